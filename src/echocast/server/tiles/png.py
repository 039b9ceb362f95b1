"""PNG of 16 colours: the deflated pixels are kept, the palette is put in front of them.

>>> content = assembled(2, 1, colours=bytes(48), alphas=bytes(16), pixels=deflated_pixels(np.array([[0, 9]], np.uint8)))
>>> content[:4]
b'\\x89PNG'
"""

import struct
import zlib

import numpy as np

from echocast.io.deflate import deflated

COLOURS = 16
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def deflated_pixels(classes: np.ndarray) -> bytes:
    """Pixels (height, width), each a number from 0 to 15, as the content of IDAT: four bits each, no filter."""
    height, width = classes.shape
    if width % 2:
        classes = np.pad(classes, ((0, 0), (0, 1)))
    lines = np.empty((height, 1 + (width + 1) // 2), np.uint8)
    lines[:, 0] = 0
    np.left_shift(classes[:, ::2], 4, out=lines[:, 1:])
    lines[:, 1:] |= classes[:, 1::2]
    return chunk(b"IDAT", deflated(lines))


def assembled(width: int, height: int, *, colours: bytes, alphas: bytes, pixels: bytes) -> bytes:
    """A PNG.

    Args:
        width: of the picture.
        height: of the picture.
        colours: red, green and blue of each of the 16 classes.
        alphas: the opacity of each.
        pixels: as `deflated_pixels` makes them.
    """
    return head(width, height, colours, alphas) + pixels + END


def head(width: int, height: int, colours: bytes, alphas: bytes) -> bytes:
    """What stands before the pixels."""
    about = struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)
    return _SIGNATURE + chunk(b"IHDR", about) + chunk(b"PLTE", colours) + chunk(b"tRNS", alphas)


def chunk(name: bytes, content: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


END = chunk(b"IEND", b"")
