"""A process that draws tiles with rio-tiler and tells how many it draws in a second of processor time.

Started by `drawing` with an interpreter that has rio-tiler, perhaps another one; needs nothing of echocast. What to do
comes as JSON on standard input: the field, where to write its GeoTIFF, the classes with their colours, the tiles.
"""

import importlib
import json
import sys
import time
from typing import Any


def main() -> None:
    """Answer one request."""
    rio_tiler = importlib.import_module("rio_tiler")

    asked = json.load(sys.stdin)
    write_geotiff(asked)
    rates = tiles_a_second(asked)
    json.dump({"version": rio_tiler.__version__, "rate": max(rates)}, sys.stdout)


def write_geotiff(asked: dict[str, Any]) -> None:
    """The field as float32 with overviews, as tile servers want it."""
    import numpy as np
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.transform import Affine

    values = np.load(asked["field"])
    form = {"driver": "GTiff", "dtype": "float32", "count": 1, "tiled": True, "compress": "deflate", "nodata": np.nan}
    with rasterio.open(
        asked["geotiff"],
        "w",
        width=values.shape[1],
        height=values.shape[0],
        crs=asked["crs"],
        transform=Affine(*asked["transform"]),
        **form,
    ) as out:
        out.write(values, 1)
        out.build_overviews([2, 4, 8], Resampling.average)


def tiles_a_second(asked: dict[str, Any]) -> list[float]:
    """Of each round, after one to warm up; the file is kept open."""
    reader = importlib.import_module("rio_tiler.io").Reader

    colours = [((low, high), tuple(colour)) for low, high, colour in asked["classes"]]
    rates = []
    with reader(asked["geotiff"]) as opened:
        for _ in range(1 + asked["rounds"]):
            began = time.process_time()
            for zoom, x, y in asked["tiles"]:
                picture = opened.tile(x, y, zoom, tilesize=256)
                picture.render(img_format="PNG", colormap=colours)
            rates.append(len(asked["tiles"]) / max(time.process_time() - began, 1e-6))
    return rates[1:]


if __name__ == "__main__":
    main()
