"""Weights of other implementations, one file each: the folder is the registry.

Every module has ``convert(weights, ...) -> Imported``, whose keywords are what the weights alone do not tell. All give
the same: an input kernel (4 F, C, *k), a state kernel (4 F, F, *k), a bias (4 F) and a peephole, with the gates in the
order input, forget, candidate, output.

`find` looks for such weights in a file: what is a ConvLSTM, of which implementation, and what else there is.

    >>> from echocast.nn import compat
    >>> "ndrplz" in compat.names()
    True
"""

from echocast.nn.compat._finding import Found, Search, find
from echocast.nn.compat.base import Imported, Weights, convert, names, summary

__all__ = ["Found", "Imported", "Search", "Weights", "convert", "find", "names", "summary"]
