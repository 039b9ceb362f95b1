"""Semi-Lagrangian advection of the newest frame along Farneback's polynomial optical flow.

>>> import torch
>>> tuple(Farneback().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

from functools import partial

from echocast.models._advected import FlowAdvected
from echocast.motion.flow import dense_flow


class Farneback(FlowAdvected):
    """Motion by polynomial expansion, assumed constant, carries the newest frame.

    Each lead samples it once. Where the air comes from outside the observed area the forecast is NaN.

    Args:
        pairs: how many of the newest pairs of frames the motion is averaged over.
        smoothing_px: see `echocast.motion.flow.dense_flow`.

    Source: Farneback 2003, doi:10.1007/3-540-45103-X_50; Ayzel et al. 2019, doi:10.5194/gmd-12-1387-2019, for its use
    on radar.
    """

    _flow = staticmethod(partial(dense_flow, method="farneback"))
