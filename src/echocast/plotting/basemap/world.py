"""The vendored lines and places of the world; ``scripts/basemap`` says how their files are written."""

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

LAYERS = ("land", "lakes", "borders", "regions")
"""Areas: land, lakes. Lines: borders of countries, borders of regions within them."""
AREAS = ("land", "lakes")


@dataclass(frozen=True)
class Place:
    """A populated place in degrees."""

    name: str
    country: str
    longitude: float
    latitude: float
    population: int


@lru_cache(maxsize=1)
def layers() -> dict[str, list[np.ndarray]]:
    """The parts of each layer: longitude and latitude of its points (points, 2) in degrees. Areas are closed rings."""
    head, _, body = _content("world.bin.xz").partition(b"\n")
    about = json.loads(head)
    found, at = {}, 0
    for name, sizes in about["layers"].items():
        found[name] = _parts(body[at : at + sizes["bytes"]], sizes["parts"], sizes["points"], about["decimals"])
        at += sizes["bytes"]
    return found


def places() -> Iterator[Place]:
    """Places of 15 000 people or more, the largest first."""
    for line in _content("places.tsv.xz").decode().splitlines():
        name, country, longitude, latitude, population = line.split("\t")
        yield Place(name, country, float(longitude), float(latitude), int(population))


def _content(name: str) -> bytes:
    return lzma.decompress(resources.files(__package__).joinpath(name).read_bytes())


def _parts(content: bytes, parts: int, points: int, decimals: int) -> list[np.ndarray]:
    values = _varints(content)
    steps = values[parts:].reshape(2, points).T
    degrees = np.cumsum((steps >> 1) ^ -(steps & 1), axis=0) / 10.0**decimals
    return np.split(degrees, np.cumsum(values[:parts])[:-1])


def _varints(content: bytes) -> np.ndarray:
    """Numbers of 7 bits a byte, the lowest first, whose last byte is below 128."""
    data = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(data < 128)
    starts = np.append(0, ends[:-1] + 1)
    place = np.arange(data.size) - np.repeat(starts, ends - starts + 1)
    return np.add.reduceat((data & 127).astype(np.int64) << (7 * place), starts)
