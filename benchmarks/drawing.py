"""How many tiles a second of processor time each way of drawing gives: echocast, rasterio, rio-tiler.

rio-tiler is measured where it can be imported, or in the interpreter that ``--rio-tiler`` names, in a process of its
own: the same field as a GeoTIFF of float32 with overviews, kept open, with the classes and colours of echocast.
"""

import importlib.util
import io
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.serve import Size, tiles_of
from echocast.errors import DataError
from echocast.operations.grid import Grid
from echocast.server.metrics import Metrics
from echocast.server.snapshot import Issue, Snapshot
from echocast.server.tiles import mercator, png
from echocast.server.tiles.palettes import LEGENDS, PALETTES
from echocast.server.tiles.renderer import Renderer, Source, head_of

rio_python: str | None = None
"""An interpreter that has rio-tiler."""
Tile = tuple[int, int, int]


def drawing(snapshot: Snapshot, folder: Path, size: Size, rounds: int) -> dict[str, float]:
    """Tiles a second of processor time, of each way to draw them."""
    issue = snapshot.newest
    assert issue is not None  # published above
    source = Source(issue, "rate", issue.leads[len(issue.leads) // 2])
    tiles = tiles_with_some(source.grid, 24 if size.rows > 500 else 6)
    renderer, rounds = Renderer(500_000_000, Metrics()), max(1, min(rounds, 3))

    def draw(tile: Tile, drawer: Renderer = renderer, key: object = None) -> bytes:
        pixels = drawer.pixels((key, tile, time.perf_counter_ns()), source, mercator.tile(*tile))
        return head_of("cvd", "rate", 256, 256) + pixels + png.END

    def draw_anew(tile: Tile) -> bytes:
        fresh = Renderer(500_000_000, Metrics())
        fresh._planes = renderer._planes  # the layer is read once, where the pixels lie is found each time
        return draw(tile, fresh)

    ways: dict[str, Callable[[Tile], bytes]] = {
        "echocast, the place seen before, the layer not": draw,
        "echocast, never seen": draw_anew,
    } | warping(source, folder)
    found = {name: max(_rate(way, tiles) for _ in range(rounds)) for name, way in ways.items()}
    return found | rio_tiler(issue, source, folder, tiles, rounds)


def tiles_with_some(grid: Grid, count: int) -> list[Tile]:
    """So many tiles, drawn by lot of those that show some cell."""
    all_tiles, (rows, columns) = tiles_of(grid), grid.shape
    random.Random(0).shuffle(all_tiles)
    shown = (one for one in all_tiles if (mercator.cells(grid, mercator.tile(*one)) < rows * columns).any())
    return list(itertools.islice(shown, count))


def warping(source: Source, folder: Path) -> dict[str, Callable[[Tile], bytes]]:
    """Drawing with rasterio, if it is installed: an open GeoTIFF of classes, with overviews, warped for each tile."""
    try:
        import rasterio
        from PIL import Image
        from rasterio.enums import Resampling
        from rasterio.transform import from_origin
        from rasterio.vrt import WarpedVRT
        from rasterio.windows import from_bounds
    except ImportError:
        return {}
    rows, columns = source.grid.shape
    classes = source.plane(0)[:-1].reshape(rows, columns)
    x, y, path = source.grid.x, source.grid.y, folder / "classes.tif"
    transform = from_origin(x.first - x.step / 2, y.first - y.step / 2, x.step, -y.step)
    form = {"driver": "GTiff", "dtype": "uint8", "count": 1, "tiled": True, "compress": "deflate"}
    with rasterio.open(
        path, "w", width=columns, height=rows, crs=source.grid.crs_wkt, transform=transform, **form
    ) as out:
        out.write(classes, 1)
        out.build_overviews([2, 4, 8], Resampling.nearest)
    opened = WarpedVRT(rasterio.open(path), crs="EPSG:3857", resampling=Resampling.nearest)
    palette = head_of("cvd", "rate", 256, 256)

    def draw(tile: Tile) -> bytes:
        side = 2 * mercator.HALF / 2 ** tile[0]
        left, top = tile[1] * side - mercator.HALF, mercator.HALF - tile[2] * side
        window = from_bounds(left, top - side, left + side, top, opened.transform)
        pixels = opened.read(1, window=window, out_shape=(256, 256), boundless=False)
        picture = Image.fromarray(pixels, "P")
        picture.putpalette(palette[41:89])
        content = io.BytesIO()
        picture.save(content, "PNG", compress_level=3)
        return content.getvalue()

    return {"rasterio: an open GeoTIFF, its warped blocks kept, Pillow": draw}


def _rate(way: Callable[[Tile], bytes], tiles: Sequence[Tile]) -> float:
    for tile in tiles:
        way(tile)
    began = time.process_time()
    for tile in tiles:
        way(tile)
    return len(tiles) / max(time.process_time() - began, 1e-6)


def rio_tiler(issue: Issue, source: Source, folder: Path, tiles: Sequence[Tile], rounds: int) -> dict[str, float]:
    """Drawing with rio-tiler, if it is there.

    Raises:
        DataError: the interpreter that was named does not have it, or it fails.
    """
    python = rio_python or (sys.executable if importlib.util.find_spec("rio_tiler") else None)
    if python is None:
        return {}
    file, x, y = issue.layer_file, source.grid.x, source.grid.y
    assert file is not None  # its layers are drawn
    field, breaks = folder / "field.npy", LEGENDS["rate"].breaks
    np.save(field, file.scale_values(source.layer)[file.levels(source.layer, source.lead)].astype(np.float32))
    colours = PALETTES["cvd"].colours(LEGENDS["rate"])
    asked = {
        "field": str(field),
        "geotiff": str(folder / "field.tif"),
        "crs": source.grid.crs_wkt,
        "transform": [x.step, 0, x.first - x.step / 2, 0, y.step, y.first - y.step / 2],
        "classes": [
            (low, high, (*colour, 255)) for low, high, colour in zip(breaks, (*breaks[1:], 1e9), colours, strict=True)
        ],
        "tiles": tiles,
        "rounds": rounds,
    }
    line = [python, str(Path(__file__).with_name("rio_worker.py"))]
    done = subprocess.run(line, input=json.dumps(asked), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"{python}: drawing with rio-tiler failed: {done.stderr.strip()[-500:]}")
    said = json.loads(done.stdout)
    return {f"rio-tiler {said['version']}: an open GeoTIFF of float32, its colour map": float(said["rate"])}
