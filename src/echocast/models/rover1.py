"""ROVER, the paper's optical flow baseline, with the flow between the last two frames.

>>> import torch
>>> tuple(Rover1().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

from echocast.models._rover import Rover


class Rover1(Rover):
    """`Rover` with the flow between the newest two frames.

    Source: Shi et al. 2015 (arXiv:1506.04214), section 4.2.
    """

    pair_weights = (1.0,)
