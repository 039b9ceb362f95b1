"""ROVER, the paper's optical flow baseline, with the last three flows, the newest weighted most.

>>> import torch
>>> tuple(Rover3().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

from echocast.models._rover import Rover


class Rover3(Rover):
    """`Rover` with the newest three flows, weighted 0.7, 0.2 and 0.1.

    Source: Shi et al. 2015 (arXiv:1506.04214), section 4.2.
    """

    pair_weights = (0.7, 0.2, 0.1)
