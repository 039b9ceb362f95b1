"""torchgeo's ConvLSTM, whose weights are laid out as ndrplz's: gates i, f, o, g, no peepholes; found as ndrplz's."""

from echocast.nn.compat import ndrplz
from echocast.nn.compat.base import Imported, Weights


def convert(weights: Weights) -> Imported:
    """``cell_list.N.conv.weight`` (4 F, C + F, k, k) and ``cell_list.N.conv.bias``."""
    return ndrplz.convert(weights)
