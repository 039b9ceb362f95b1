"""ROVER, the paper's optical flow baseline: the mean of the last two flows.

>>> import torch
>>> tuple(Rover2().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

from echocast.models._rover import Rover


class Rover2(Rover):
    """Variational optical flow and semi-Lagrangian advection, with the mean of the newest two flows.

    The energy, per pixel, is ``d^T J_r d + alpha (|grad u|^2 + |grad v|^2)`` on arctan images of reflectivity with
    values of 0 to 255: see `echocast.motion.variational.combined_flow`. The paper does not publish its parameters;
    these were chosen on TAASRAD19's validation runs. Unlike the HKO-7 variant each lead samples the newest frame once.
    Where the air comes from outside the radar's view nothing is known, and the forecast is NaN.

    Args:
        alpha: how much smoothness of the flow counts, in squared grey levels; 2000.
        rho: standard deviation in pixels of the window that shares a motion; 1.5.
        sigma: standard deviation in pixels of the Gaussian that the images are smoothed by; 1.

    Source: Shi et al. 2015 (arXiv:1506.04214), section 4.2; Woo and Wong 2017, doi:10.3390/atmos8030048, for ROVER.
    """

    _weights = (1.0, 1.0)
