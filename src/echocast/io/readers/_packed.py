"""What readers of small files share: all bytes at once, unpacked if they are gzip, and never more than a bound."""

import gzip
import zlib
from pathlib import Path

from echocast.errors import UnreadableFile

MOST_BYTES = 2**28


def content(path: Path, most: int = MOST_BYTES) -> bytes:
    """The (unpacked) bytes of a file; raises `UnreadableFile` if it is broken or unpacks to more than `most`."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            found = stream.read(most + 1)
    except (EOFError, zlib.error, OSError) as bad:
        raise UnreadableFile(f"{path}: cannot be unpacked ({bad}); it is truncated or broken: fetch it again") from bad
    if len(found) > most:
        raise UnreadableFile(f"{path}: unpacks to more than {most:,} bytes, more than one frame can have; look at it")
    return found
