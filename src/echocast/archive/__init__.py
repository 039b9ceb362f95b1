"""The archive: frames of many files in one store on a regular time axis.

>>> write(["radar/"], "radar.zarr")  # doctest: +SKIP
>>> open("radar.zarr").sizes  # doctest: +SKIP
Frozen({'time': 288, 'y': 765, 'x': 700})
"""

from echocast.archive.contents import gaps, open  # noqa: A004 (archive.open reads best)
from echocast.archive.ingest import Report, write
from echocast.archive.videos import add as add_videos
from echocast.archive.videos import sequences
from echocast.io.palette import grid_of

__all__ = ["Report", "add_videos", "gaps", "grid_of", "open", "sequences", "write"]
