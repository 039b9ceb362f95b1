"""The command formats, and what --verbose adds to an error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from echocast import plugins
from echocast.cli.main import status


def test_all_formats_are_listed_in_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["formats"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n{name} " in told for name in plugins.names("echocast.readers"))


def test_a_format_that_does_not_exist_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["formats", "netcd"]) == 1
    assert "did you mean 'netcdf'?" in capsys.readouterr().err


def test_a_format_is_described_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["formats", "odim"]) == 0
    told = capsys.readouterr().out
    assert "takes       --variable --zr --min-quality --interval --missing-value\n" in told
    assert "endings     .h5 .hdf .hdf5\n" in told


@pytest.mark.parametrize("verbose", [True, False])
def test_the_traceback_of_an_error_is_shown_when_asked_for(verbose: bool, tmp_path: Path) -> None:
    path = tmp_path / "broken.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    line = [*(["-v"] if verbose else []), "show", str(path), "--format", "odim"]
    program = "import sys; from echocast.cli.main import status; sys.exit(status(sys.argv[1:]))"
    environment = os.environ | {"COLUMNS": "400"}
    done = subprocess.run([sys.executable, "-c", program, *line], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "broken.h5: cannot be read as odim (OSError:" in done.stderr.splitlines()[-1]
    assert ("Traceback" in done.stderr) is verbose
    assert ("odim.py" in done.stderr) is verbose
