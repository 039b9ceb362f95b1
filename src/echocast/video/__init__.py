"""Moving pictures in and out: videos, folders of pictures, and arrays of sequences become fields; fields become videos.

>>> from pathlib import Path
>>> for sequence in sequences([Path("clips/bikes.mp4")]):  # doctest: +SKIP
...     field = sequence.field()
"""

from echocast.video.sequences import DEFAULT, START, Options, Sequence, names, one, sequences

__all__ = ["DEFAULT", "START", "Options", "Sequence", "names", "one", "sequences"]
