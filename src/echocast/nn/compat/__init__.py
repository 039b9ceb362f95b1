"""Weights of other implementations, one file each: the folder is the registry.

Every module has ``convert(weights, ...) -> Imported``, whose keywords are what the weights alone do not tell. All give
the same: an input kernel (4 F, C, *k), a state kernel (4 F, F, *k), a bias (4 F) and a peephole, with the gates in the
order input, forget, candidate, output.

    >>> from echocast.nn import compat
    >>> "ndrplz" in compat.names()
    True
"""

from echocast.nn.compat.base import Imported, Weights, convert, names, summary

__all__ = ["Imported", "Weights", "convert", "names", "summary"]
