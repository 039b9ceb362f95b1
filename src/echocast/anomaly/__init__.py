"""What is abnormal in a sequence: frames, and places in them, that a network or a forecaster does not expect.

`detection.detect` scores the frames of a field by the error of a forecaster, or of an autoencoder that learned from
normal sequences; `ranking` compares scores with labels. A network of this room is one file, see `base`.

>>> from echocast.anomaly.base import REGISTRY
>>> REGISTRY.names()
['spatiotemporal']
"""

NOT_NETWORKS = (
    "base",
    "detection",
    "errors",
    "figures",
    "files",
    "normal",
    "ranking",
    "scores",
    "screening",
    "truth",
)
"""Modules of this folder that are no autoencoders."""
