"""ROVER, the paper's optical flow baseline, with the mean of the last two flows.

>>> import torch
>>> tuple(Rover2().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

from echocast.models._rover import Rover


class Rover2(Rover):
    """`Rover` with the mean of the newest two flows.

    Source: Shi et al. 2015 (arXiv:1506.04214), section 4.2.
    """

    pair_weights = (1.0, 1.0)
