"""Semi-Lagrangian advection of the newest frame along tracked corners of the echoes (Lucas and Kanade).

>>> import torch
>>> tuple(LucasKanade().forecast(torch.zeros(2, 4, 1, 40, 50), steps=3).shape)
(2, 3, 1, 40, 50)
"""

from echocast.models._advected import FlowAdvected
from echocast.motion.flow import sparse_flow


class LucasKanade(FlowAdvected):
    """Tracks of the echoes' corners in the newest frames, assumed constant, carry the newest frame.

    Each lead samples it once. Where the air comes from outside the observed area the forecast is NaN.

    Args:
        pairs: how many of the newest pairs of frames are tracked.
        smoothing_px: see `echocast.motion.flow.sparse_flow`.

    Source: Lucas and Kanade 1981; Ayzel et al. 2019, doi:10.5194/gmd-12-1387-2019, and Pulkkinen et al. 2019,
    doi:10.5194/gmd-12-4185-2019, for its use on radar.
    """

    _flow = staticmethod(sparse_flow)
