"""Semi-Lagrangian advection of the newest frame along dense optical flow.

>>> import torch
>>> tuple(OpticalFlow().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

from echocast.models._advected import FlowAdvected
from echocast.motion.flow import dense_flow


class OpticalFlow(FlowAdvected):
    """Motion from the newest frames, assumed constant, carries the newest frame; each lead samples it once.

    Where the air comes from outside the observed area the forecast is NaN.

    Args:
        pairs: how many of the newest pairs of frames the motion is averaged over.
        smoothing_px: see `echocast.motion.flow.dense_flow`.

    Source: Ayzel et al. 2019 (rainymotion's Dense model), doi:10.5194/gmd-12-1387-2019, with the mean of several flows.
    """

    _flow = staticmethod(dense_flow)
