"""DWD's products by their names: what each holds, and which are refused."""

import bz2
import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io import reading


def content(
    product: str, middle: str, level: np.ndarray, *, shape: tuple[int, int] = (900, 900), rest: str = ""
) -> bytes:
    """A file of 2016-09-28 14:45; `level` are its numbers in the south west."""
    pixels = np.zeros(shape, level.dtype.newbyteorder("<"))
    pixels[: level.shape[0], : level.shape[1]] = level
    head = f"{product}281445100000916BY{pixels.nbytes + 100:7d}VS{middle}GP{shape[0]:4d}x{shape[1]:4d}{rest}"
    return f"{head}MS 13<boo,ros,VV9> \x03".encode() + pixels.tobytes()


def read(folder: Path, data: bytes) -> np.ndarray:
    """The cells of the south west, from the south."""
    path = folder / "raa01-xx_10000"
    path.write_bytes(data)
    values: np.ndarray = reading.read(path).values
    return values[0, ::-1]


WN = content(
    "WN", " 5SW P200001HPR E-01INT   5", np.array([[650, 1250, 0x29C4, 0x8000 | 650]], np.uint16), shape=(1200, 1100),
    rest="VV 000MF 00000002",
)  # fmt: skip


@pytest.mark.parametrize("form", ["plain", "gz", "bz2", "tar", "tar.bz2"])
def test_wn_is_reflectivity_in_tenths_of_rvp6_units(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"WN.{form}"
    if form.startswith("tar"):
        with tarfile.open(path, "w:bz2" if form == "tar.bz2" else "w") as tar:
            later = WN.replace(b"VV 000", b"VV 005").replace(np.uint16(1250).tobytes(), np.uint16(2000).tobytes())
            for lead, data in (("005", later), ("000", WN)):
                about = tarfile.TarInfo(f"WN1609281445_{lead}")
                about.size = len(data)
                tar.addfile(about, io.BytesIO(data))
    else:
        path.write_bytes({"plain": bytes, "gz": gzip.compress, "bz2": bz2.compress}[form](WN))
    field = reading.read(path)
    assert [str(time)[:16] for time in field.time.values] == ["2016-09-28T14:45"]
    np.testing.assert_allclose(field.values[0, -1, :4], [0.0, 2.734, np.nan, np.nan], rtol=1e-3)  # 0 and 30 dBZ
    assert field.attrs["zr"] == str(fields.MARSHALL_PALMER)
    assert fields.corners(field)["lower left"] == pytest.approx((3.56699, 45.69643), abs=1e-4)


def test_the_grid_of_older_versions_is_on_the_sphere(tmp_path: Path) -> None:
    path = tmp_path / "WN"
    path.write_bytes(WN.replace(b"VS 5SW P200001H", b"VS 3SW P200001H"))
    field = reading.read(path)
    # 470 and 600 km from DWD's reference at 9 E 51 N, on the sphere
    x, y = fields.corner(fields.crs(field), 9.0, 51.0)
    assert (float(field.x[0]) - 500 - x, float(field.y[-1]) - 500 - y) == pytest.approx((-470e3, -600e3), abs=1.0)


@pytest.mark.parametrize(
    ("product", "middle", "rate"),
    [
        ("RY", " 3SW   2.21.0PR E-02INT   5", 3.0),
        ("RZ", " 3SW   2.21.0PR E-02INT   5", 3.0),
        ("YW", " 3SW   2.21.0PR E-02INT   5", 3.0),
        ("RW", " 3SW   2.21.0PR E-01INT  60", 2.5),
        ("RQ", " 3SW   2.21.0PR E-01INT  60", 2.5),
        ("SQ", " 3SW   2.21.0PR E-01INT 360", 2.5 / 6),
        ("SH", " 3SW   2.21.0PR E-01INT 720", 2.5 / 12),
        ("W1", " 3SW   2.21.0PR E-01INT   7U1", 2.5 / 168),
        ("W4", " 3SW   2.21.0PR E+00INT  30U1", 25 / 720),
    ],
)
def test_amounts_are_divided_by_their_interval(product: str, middle: str, rate: float, tmp_path: Path) -> None:
    found = read(tmp_path, content(product, middle, np.array([[25, 0x1000 | 25]], np.uint16)))
    np.testing.assert_allclose(found[0, :3], [rate, rate, 0.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("product", "what"),
    [
        ("HG", "a class of hydrometeors"),
        ("FX", "a forecast"),
        ("FZ", "a forecast"),
        ("PG", "a picture"),
        ("QZ", "none that is known"),
    ],
)
def test_other_products_are_refused_by_name(product: str, what: str, tmp_path: Path) -> None:
    data = content(product, " 3SW   2.21.0PR E-01INT   5", np.array([[120]], np.uint16))
    with pytest.raises(UnreadableFile, match=rf"is the product {product} of DWD, {what}.*RY .* are read"):
        read(tmp_path, data)


def test_a_picture_with_a_header_of_its_own_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="the product PG of DWD"):
        read(
            tmp_path,
            b"PG281445100000916BY12345LV 6  1.0 19.0 28.0 37.0 46.0 55.0CS0MX 0MS 13<boo,ros> \x03" + bytes(99),
        )


def test_an_interval_that_is_not_the_products_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="interval of 60 min, but RY is of 5 min"):
        read(tmp_path, content("RY", " 3SW   2.21.0PR E-02INT  60", np.array([[25]], np.uint16)))


def test_two_frames_of_one_time_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "RY.tar"
    with tarfile.open(path, "w") as tar:
        for level in (25, 26):
            data = content("RY", " 3SW   2.21.0PR E-02INT   5", np.array([[level]], np.uint16))
            about = tarfile.TarInfo(f"raa01-ry_{level}")
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    with pytest.raises(UnreadableFile, match="raa01-ry_26 in it is another RY of 2016-09-28T14:45"):
        reading.read(path)
