"""Pictures with their images.toml: grey, indexed and coloured PNG, GIF and NPY, of 1 to 16 bits, with transparency."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from tests.known import Cell, Known, _draw

from echocast.io.reading import ReadOptions

PLACES = {
    "EPSG:3067": (1000.0, 300_000.0, 7_000_000.0),
    "EPSG:2326": (500.0, 800_000.0, 820_000.0),
    "EPSG:4326": (0.01, 113.0, 23.0),
}
KINDS = ("L", "L16", "1", "LA", "P", "P shuffled", "RGB", "RGBA", "gif", "npy", "index", "palette", "palette gif")
REFUSED = {
    "animation": "is an animation",
    "colour": "is a colour picture",
    "unknown colour": "does not name: #ff0000",
    "name": "its name is not as images.toml says",
}


def write(folder: Path, drawn: np.random.Generator) -> Known:
    spots, time = _draw.spots(drawn), _draw.time(drawn)
    refused = str(drawn.choice(list(REFUSED))) if drawn.random() < 0.15 else ""
    kind = {"animation": "gif", "colour": "RGB", "unknown colour": "palette"}.get(refused, str(drawn.choice(KINDS)))
    gain, dry, nodata = float(drawn.choice([0.1, 0.25])), 0, 65535 if kind == "L16" else 255
    bright = 255 if kind == "1" else int(drawn.integers(100, 250)) * (256 if kind == "L16" else 1)
    gain = gain / 256 if kind == "L16" else gain
    level = np.full(spots.shape, dry, np.uint16 if kind == "L16" else np.uint8)
    level[spots.bright] = bright
    transparent = kind in ("LA", "RGBA") or (kind in ("P", "P shuffled") and bool(drawn.integers(2)))
    level[spots.missing] = dry if kind == "1" or transparent else nodata
    reference = str(drawn.choice(list(PLACES)))
    cell, left, top = PLACES[reference]
    note = {"units": "mm/h", "gain": gain, "nodata": [] if kind == "1" else [nodata], "dry": [dry]}
    if "palette" in kind:
        colours = {dry: "#ffffff", bright: "#0040ff", nodata: "#808080"}
        note = {"units": "mm/h", "nodata": [colours[nodata]], "dry": [colours[dry]]}
        note["palette"] = [{"color": colours[bright], "value": gain * bright}]
    if kind == "index":
        note["pixel"] = "index"
    path, pattern, options = _place(folder, drawn, kind, time)
    if refused == "name":
        pattern, options = f"other_{pattern.rpartition('/')[2]}", None
    grid = f'[grid]\ncrs = "{reference}"\nleft = {left}\ntop = {top}\ncell = {cell}\n'
    rows = "".join(f"{key} = {_toml(value)}\n" for key, value in (note | {"pattern": pattern}).items())
    (folder / "images.toml").write_text(rows + grid)
    alpha = np.full(spots.shape, 255, np.uint8)
    if transparent:
        alpha[spots.missing] = 0
    if refused:
        alpha[spots.missing] = 255
    _save(path, drawn, kind, level, alpha, refused, {dry: (255, 255, 255), bright: (0, 64, 255), nodata: (128,) * 3})
    cells = [
        Cell(*_degrees(reference, left + (spot[1] + 0.5) * cell, top - (spot[0] + 0.5) * cell), value)
        for spot, value in ((spots.bright, gain * bright), (spots.dry, 0.0), (spots.missing, np.nan))
    ]
    if kind == "1":
        cells = cells[:2]
    return Known(path, [time], cells, spots.shape, options, refused=REFUSED.get(refused))


def _place(
    folder: Path, drawn: np.random.Generator, kind: str, time: np.datetime64
) -> tuple[Path, str, ReadOptions | None]:
    """Where the picture lies, the pattern of its name or path, and options."""
    at = time.astype("datetime64[s]").item()
    ending = "gif" if "gif" in kind else "npy" if kind == "npy" else "png"
    way = int(drawn.integers(4))
    pattern = [
        f"radar_%Y%m%d_%H%M.{ending}",
        f"%Y/%m/%d/%H%M.{ending}",
        f"%Y/%m/%d/RAD_%Y%m%d%H%M00.{ending}",
        f"%d.%m.%y-%H.%M_*.{ending}",
    ][way]
    path = folder / f"{at:{pattern}}".replace("*", "x7")
    if way == 0 and drawn.integers(2):  # above day folders, the pattern of the name alone
        path = path.parent / f"{at:%Y}" / f"{at:%m%d}" / path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if way == 3 and drawn.integers(2):
        return path, f"%Y%j.{ending}", ReadOptions(time_pattern=pattern)
    return path, pattern, None


def _save(
    path: Path,
    drawn: np.random.Generator,
    kind: str,
    level: np.ndarray,
    alpha: np.ndarray,
    refused: str,
    colours: dict[int, tuple[int, ...]],
) -> None:
    if kind == "npy":
        np.save(path, np.asfortranarray(level) if drawn.integers(2) else level.astype(">u2"))
        return
    grey = Image.fromarray(level) if kind == "L16" else Image.fromarray(level).convert("L")
    if kind in ("P", "P shuffled", "gif", "index"):
        grey = _indexed(drawn, kind, level, alpha)
    elif kind == "1":
        grey = grey.convert("1")
    elif kind in ("LA", "RGB", "RGBA"):
        shown = [level] * (1 if kind == "LA" else 3)
        if refused == "colour":
            shown[2] = 255 - level
        grey = Image.fromarray(np.dstack([*shown, alpha]), None).convert(kind)
        if kind == "LA":
            grey = Image.merge("LA", (Image.fromarray(level), Image.fromarray(alpha)))
    elif "palette" in kind:
        painted = np.zeros((*level.shape, 3), np.uint8)
        for number, colour in colours.items():
            painted[level == number] = colour
        if refused == "unknown colour":
            painted[level == level.max()] = (255, 0, 0)
        grey = Image.fromarray(painted)
        if "gif" in kind:
            grey = grey.quantize(8)
    if refused == "animation":
        grey.save(path, save_all=True, append_images=[Image.fromarray(255 - level)])
    else:
        grey.save(path)


def _indexed(drawn: np.random.Generator, kind: str, level: np.ndarray, alpha: np.ndarray) -> Image.Image:
    """A picture with a palette; its numbers are not its greys, unless they are meant."""
    order = np.arange(256) if kind in ("gif", "index") else drawn.permutation(256)
    index = np.argsort(order)[level].astype(np.uint8)
    picture = Image.fromarray(index).convert("L")
    shown = Image.new("P", picture.size)
    painted = [(n, n, n) if kind != "index" else (n, 255 - n, 7) for n in order.tolist()]
    shown.putpalette([part for colour in painted for part in colour])
    shown.putdata(index.ravel().tolist())
    if (alpha == 0).any():
        free = next(n for n in range(256) if n not in index)
        index[alpha == 0] = free
        shown.putdata(index.ravel().tolist())
        shown.info["transparency"] = free
    return shown


def _toml(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return (
            "["
            + ", ".join("{" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in one.items()) + "}" for one in value)
            + "]"
        )
    return json.dumps(value)


def _degrees(reference: str, x: float, y: float) -> tuple[float, float]:
    return (x, y) if reference == "EPSG:4326" else _draw.degrees(reference, x, y)
