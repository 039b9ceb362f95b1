"""What readers of small files share: all bytes at once, unpacked if they are gzip, and never more than a bound."""

import gzip
import io
from pathlib import Path

MOST_BYTES = 2**28
_GZIP = b"\x1f\x8b"


def content(path: Path, most: int = MOST_BYTES) -> bytes:
    """The (unpacked) bytes of a file; raises `ValueError` if they are more than `most`."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    with gzip.open(path, "rb") if packed else path.open("rb") as stream:
        return _bounded(stream.read(most + 1), most)


def unpacked(data: bytes, most: int = MOST_BYTES) -> bytes:
    """Bytes, unpacked if they are gzip; raises `ValueError` if they are more than `most`."""
    if data[:2] != _GZIP:
        return data
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return _bounded(stream.read(most + 1), most)


def _bounded(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise ValueError(f"it unpacks to more than {most:,} bytes, the limit for one file")
    return data
