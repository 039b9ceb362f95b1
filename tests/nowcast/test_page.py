"""The page on weather models against reality: its Python, its commands and what they say, its table and its picture."""

import os
import re
import shlex
import shutil
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import xarray as xr

from echocast.cli.main import status

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "nwp.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)


def said(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_code_and_the_commands_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    commands = 0
    for language, text in BLOCKS:
        if language == "python" and not text.startswith("# not run"):
            exec(compile(text, "nwp.md", "exec"), known)
        elif text.startswith("$ "):
            line, *expected = text.splitlines()
            capsys.readouterr()
            assert status(shlex.split(line)[2:]) == 0
            printed = capsys.readouterr()
            told = said(printed.out + printed.err)
            for one in expected:
                assert one == "..." or said(one) in told, one
            commands += 1
            if commands == 1:
                check_table(tmp_path / "forecast.nc")
    assert commands == 2
    made, shown = (matplotlib.image.imread(path) for path in (tmp_path / "nwp.png", DOCS / "images" / "nwp.png"))
    assert made.shape == shown.shape
    assert float(np.abs(made - shown).mean()) < 0.02
    if kept := os.environ.get("ECHOCAST_KEEP_PICTURES"):
        shutil.copyfile(tmp_path / "nwp.png", Path(kept) / "nwp.png")


def check_table(path: Path) -> None:
    """The page's table of weights is that of the file."""
    with xr.open_dataset(path, decode_timedelta=False) as data:
        mean = data.nwp_weight.values
    row = re.search(r"\| mean over all cells \(`nwp_weight`\) \| (.+) \|", PAGE)
    assert row is not None
    shown = [float(word) for word in row[1].split(" | ")]
    np.testing.assert_allclose(shown, mean[[5, 11, 17, 23, 35]], atol=0.006)


@pytest.mark.data
def test_a_run_of_temperatures_is_laid_onto_a_radar(data_kit: Path) -> None:
    (text,) = [text for language, text in BLOCKS if text.startswith("# not run: needs the file")]
    from echocast.synthetic import storms

    known: dict[str, object] = {"radar": on_france(storms.generate(frames=2, size=16))}
    exec(
        compile(
            text.replace("arpege_2m.grib", str(data_kit / "nwp" / "arpege_2m_NW_20180501000000.grib")), "nwp.md", "exec"
        ),
        known,
    )
    at = known["at"]
    assert isinstance(at, np.ndarray)
    assert 270.0 < float(np.nanmean(at)) < 300.0
    assert np.isfinite(at).all()


def on_france(field: xr.DataArray) -> xr.DataArray:
    """A field on cells of a tenth of a degree near Rennes."""
    from echocast import fields

    return fields.make(
        field.values,
        time=field.time.values,
        y=np.linspace(48.8, 47.3, 16),
        x=np.linspace(-2.5, -1.0, 16),
        crs="EPSG:4326",
    )
