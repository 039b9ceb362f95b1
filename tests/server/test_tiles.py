"""Tiles and pictures, decoded by Pillow, against the values that they show."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.server import issues
from tests.server.client import Client

from echocast.operations import scales
from echocast.plotting import colours as plotting
from echocast.server.app import create_app
from echocast.server.settings import Settings
from echocast.server.tiles import mercator, planes, png
from echocast.server.tiles.palettes import LEGENDS, PALETTES, Palette

SCHEMES = {"rate": "rate", "amount.30": "amount", "prob.rate.1": "probability"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> issues.Folder:
    return issues.filled(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def client(folder: issues.Folder) -> Client:
    guard = create_app(Settings(folder=folder.layout.root))
    guard.service.clock = lambda: issues.NOW
    guard.service.refresh()
    return Client(guard)


def decoded(content: bytes) -> np.ndarray:
    """Red, green, blue and opacity of each pixel."""
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    return np.asarray(picture.convert("RGBA"))


def colour(value: float, palette: str, scheme: str) -> tuple[int, ...]:
    """By a plain loop over the classes."""
    if np.isnan(value):
        return (*PALETTES[palette].not_known, 110)
    legend, found = LEGENDS[scheme], (0, 0, 0, 0)
    for least, rgb in zip(legend.breaks, PALETTES[palette].colours(legend), strict=True):
        if np.float16(value) >= np.float16(least):
            found = (*rgb, 255)
    return found


@pytest.mark.parametrize(("layer", "lead"), [("rate", 5), ("amount.30", 30), ("prob.rate.1", 20), ("rate", 0)])
@pytest.mark.parametrize("palette", ["cvd", "classic"])
def test_each_pixel_has_the_colour_of_its_cell(
    folder: issues.Folder, client: Client, layer: str, lead: int, palette: str
) -> None:
    issue = list(folder.forecasts)[-1] if lead else folder.store.all()[-1].path.stem
    members = folder.forecasts[list(folder.forecasts)[-1]].values
    shown = {
        ("rate", 5): np.median(members[:, 0], axis=0),
        ("amount.30", 30): members[:, :6].sum(axis=1).mean(axis=0) / 12,
        ("prob.rate.1", 20): np.where(np.isnan(members[0, 3]), np.nan, (members[:, 3] >= 1).mean(axis=0)),
        ("rate", 0): issues.rain(1, seed=15)[0],
    }[layer, lead]
    zoom, (x, y) = 7, (71, 34)
    answer = client.get(f"/v1/tiles/{issue}/{layer}/{lead}/{zoom}/{x}/{y}.png?palette={palette}")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    pixels = decoded(answer.body)
    cells = mercator.cells(issues.GRID, mercator.tile(zoom, x, y))
    assert 0.2 < (cells < shown.size).mean() < 1
    seen = set()
    for row, column in np.random.default_rng(0).integers(0, 256, (700, 2)):
        cell = cells[row, column]
        value = shown.ravel()[cell] if cell < shown.size else 0.0
        expected = colour(float(value), palette, SCHEMES[layer])
        # Amounts are summed in another order here: a value at the edge of its class may fall to either side.
        close = [float(value) * (1 + d) for d in (-1e-3, 1e-3)]
        assert tuple(pixels[row, column]) in {expected, *(colour(v, palette, SCHEMES[layer]) for v in close)}
        seen.add(expected)
    assert len(seen) >= 4


def test_below_the_resolution_of_the_grid_blocks_have_the_mean_of_what_is_known() -> None:
    values = issues.rain(seed=3)
    levels = scales.RATE.levels(values)
    made = planes.plane(levels, scales.RATE.values, LEGENDS["rate"], 2)
    known = scales.RATE.values[levels]
    for down in range(12):
        for across in range(10):
            block = known[4 * down : 4 * down + 4, 4 * across : 4 * across + 4]
            seen = block[~np.isnan(block)]
            expected = LEGENDS["rate"].classes(np.array([seen.mean() if 2 * seen.size >= block.size else np.nan]))[0]
            assert made[down * 10 + across] == expected
    assert made[-1] == 0
    known = np.where(levels > 0, 2, 0).astype(np.uint8)
    coverage = planes.plane(known, scales.COVERAGE.values, LEGENDS["coverage"], 0)
    np.testing.assert_array_equal(coverage, [*np.where(levels > 0, 0, 1).ravel(), 1])


def test_a_picture_of_512_is_its_four_tiles_and_an_empty_tile_is_one(folder: issues.Folder, client: Client) -> None:
    issue = list(folder.forecasts)[-1]
    whole = decoded(client.get(f"/v1/tiles/{issue}/rate/10/6/36/17.png?size=512").body)
    quarters = [[client.get(f"/v1/tiles/{issue}/rate/10/7/{x}/{y}.png") for x in (72, 73)] for y in (34, 35)]
    parts = [[decoded(one.body) for one in row] for row in quarters]
    np.testing.assert_array_equal(np.concatenate([np.concatenate(row, axis=1) for row in parts]), whole)
    far = client.get(f"/v1/tiles/{issue}/rate/10/7/3/3.png")
    assert far.status == 200
    assert not decoded(far.body).any()
    assert len(far.body) < 350
    unknown = decoded(client.get(f"/v1/tiles/{issue}/coverage/10/7/3/3.png").body)
    assert (unknown == (128, 128, 128, 110)).all()  # nothing is known there


def test_the_whole_domain_lies_where_the_index_says(folder: issues.Folder, client: Client) -> None:
    index = client.get("/v1/index.json").json()
    issue = list(folder.forecasts)[-1]
    for width in ("384", "768"):
        about = index["grid"]["overview"][width]
        pixels = decoded(client.get(f"/v1/overview/{issue}/rate/5.png?width={width}").body)
        assert list(pixels.shape[1::-1]) == about["size"]
        (south, west), (north, east) = about["bounds"]
        shown = np.median(folder.forecasts[issue].values[:, 0], axis=0)
        left, bottom = mercator.mercator(west, south)
        right, top = mercator.mercator(east, north)
        for row, column in ((20, 20), (40, 7), (2, 30), (44, 35)):
            lon, lat = issues.GRID.places(np.array([row + 0.5]), np.array([column + 0.5]))
            x, y = mercator.mercator(float(lon[0]), float(lat[0]))
            at = int((top - y) / (top - bottom) * pixels.shape[0]), int((x - left) / (right - left) * pixels.shape[1])
            assert tuple(pixels[at]) == colour(float(shown[row, column]), "cvd", "rate")


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 256)])
def test_png_of_any_size_is_read_back(shape: tuple[int, int]) -> None:
    classes = np.random.default_rng(0).integers(0, 16, shape).astype(np.uint8)
    pixels = png.deflated_pixels(classes)
    content = png.assembled(shape[1], shape[0], colours=bytes(range(48)), alphas=bytes(range(16)), pixels=pixels)
    expected = np.stack([3 * classes, 3 * classes + 1, 3 * classes + 2, classes], axis=-1)
    np.testing.assert_array_equal(decoded(content), expected)


def lightness(rgb: np.ndarray) -> np.ndarray:
    """L* of CIE 1976."""
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(rgb[None] / 255)[0, :, 0])


SEEN_WITHOUT = {
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Colour vision without one kind of cone, in linear RGB. Source: Machado, Oliveira, Fernandes 2009, severity 1."""


def seen_without(rgb: np.ndarray, cone: str) -> np.ndarray:
    part = rgb / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ np.array(SEEN_WITHOUT[cone]).T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", ["rain", "chance"])
@pytest.mark.parametrize("name", ["cvd", "night", "grey"])
def test_classes_are_told_apart_by_any_colour_vision_and_by_lightness_alone(name: str, kind: str) -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    rgb = np.array(getattr(PALETTES[name], kind), float)
    steps = np.diff(lightness(rgb)) * (1 if name == "night" else -1)
    assert (steps > 3).all(), steps
    for cone in SEEN_WITHOUT:
        lab = rgb2lab(seen_without(rgb, cone)[None] / 255)[0]
        apart = deltaE_ciede2000(lab[:-1], lab[1:])
        assert apart.min() > 3, (cone, apart)


def test_classic_has_the_colours_of_the_pictures() -> None:
    def as_hex(colours: tuple[tuple[int, int, int], ...]) -> tuple[str, ...]:
        return tuple("#{:02x}{:02x}{:02x}".format(*one) for one in colours)

    classic = PALETTES["classic"]
    assert as_hex(classic.rain) == plotting._RAIN[1:]
    assert classic.rain_breaks["rate"] == plotting.CLASSES_MM_H
    assert as_hex(classic.chance) == plotting._PROBABILITY[1:]


def test_another_palette_changes_nothing_but_the_colours(folder: issues.Folder, client: Client) -> None:
    path = f"/v1/tiles/{list(folder.forecasts)[-1]}/rate/15/7/73/35.png"
    tails = {client.get(f"{path}?palette={name}").body.partition(b"IDAT")[2] for name in PALETTES}
    assert len(tails) == 1
    assert isinstance(PALETTES["cvd"], Palette)
