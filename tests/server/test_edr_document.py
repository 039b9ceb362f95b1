"""The examples of docs/edr.md run, and GDAL reads what QGIS would."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rasterio
from tests.server.edr.folder import publish, served

DOCUMENT = Path(__file__).parents[2] / "docs" / "edr.md"
ADDRESS = "http://127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("live")
    publish(root)
    with served(root) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_lines_of_curl(address: str, tmp_path: Path) -> None:
    lines = next(block for block in blocks("") if "curl" in block).replace(ADDRESS, address)
    done = subprocess.run(
        ["bash", "-ec", lines.replace("curl -s", "curl -sSf")], capture_output=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"datetime,lead_minutes,longitude,latitude,rainfall_rate" in done.stdout
    assert b"PointSeries" in done.stdout
    with rasterio.open(f"netcdf:{tmp_path / 'box.nc'}:rainfall_rate") as raster:
        assert raster.count == 3
        assert "ETRS89 / TM35FIN" in raster.crs.to_wkt()
        assert raster.res == (1000, 1000)


@pytest.mark.filterwarnings("ignore")
def test_the_python(address: str) -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[0].replace(ADDRESS, address), names)
    assert names["point"]["lead_minutes"].tolist() == [5, 10, 15]
    assert str(names["point"]["datetime"].dt.tz) == "UTC"
    assert names["wettest"].dims == ("y", "x")
    assert float(names["wettest"].max()) > 0
