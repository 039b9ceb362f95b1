"""Options of all commands: a file of options, completion in the shell, exit statuses in the help, calm threads."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.quiver import Quiver
from tests import example_files
from tests.cli.test_cli import frames, refused

from echocast import parallel
from echocast.cli import arguments
from echocast.cli.main import status
from echocast.models import _listing, base
from echocast.plotting import motion


def test_a_file_of_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, settings = frames(tmp_path / "in", 3), tmp_path / "echocast.toml"
    settings.write_text('[nowcast]\nmodel = "persistence"\nminutes = 10\njson = true\n[archive.add]\ntime-step = 5\n')
    line = ["--config", str(settings), "nowcast", str(source), "--out", str(tmp_path / "f.nc")]
    assert status(line) == 0
    said = capsys.readouterr().out
    assert '"model": "persistence"' in said
    assert said.count("T15:0") >= 2
    assert status([*line, "--minutes", "5"]) == 0  # the command line goes before the file
    assert '"lead_minutes": [\n    5.0\n  ]' in capsys.readouterr().out
    for wrong, words in (
        ("[nowcats]", "no command 'nowcats'; did you mean 'nowcast'"),
        ("[nowcast]\nmodle = 'x'", "no option 'modle'; did you mean 'model'"),
        ("[archive.ad]", "no command 'ad'; did you mean 'add'"),
        ("nowcast = 3", "belongs into a table"),
        ("[nowcast", "is no TOML"),
    ):
        settings.write_text(wrong)
        assert words in refused(capsys, *line)
    assert "cannot be read" in refused(capsys, "--config", tmp_path / "no.toml", "models")


def test_names_are_completed() -> None:
    assert arguments.completed_model("pers") == ["persistence"]
    assert arguments.completed_model("persistence,optical") == ["persistence,optical_flow"]
    assert arguments.completed_format("rado") == ["radolan"]


def test_the_help_tells_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["--help"]) == 0
    assert "Exit status: 0 done; 1" in " ".join(capsys.readouterr().out.split())


def test_the_list_of_models_knows_which_have_weights() -> None:
    """As the networks themselves tell, which takes seconds."""
    for name in base.names():
        assert _listing.weights(name) == base.weights(name), name


def test_waiting_threads_sleep_unless_the_environment_says_otherwise() -> None:
    code = "from echocast import parallel; parallel.share_the_machine(); import os; " + (
        "print(os.environ['OMP_WAIT_POLICY'], os.environ['OMP_NUM_THREADS'], parallel.thread_count())"
    )
    known = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}

    def said(**told: str) -> str:
        return subprocess.run([sys.executable, "-c", code], env=known | told, capture_output=True, text=True).stdout

    count = parallel.processors()
    assert said() == f"PASSIVE {count} {count}\n"
    assert said(OMP_WAIT_POLICY="active", OMP_NUM_THREADS="1") == "active 1 1\n"


def test_a_format_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gif = example_files.mch_gif(tmp_path)
    assert "by its content it is mch_gif: leave out --format knmi" in refused(capsys, "show", gif, "--format", "knmi")


def test_an_arrow_points_to_where_the_rain_goes() -> None:
    """The shower moves by a column and half a row a frame: six columns and three rows in half an hour."""
    figure = motion.drawn(example_files.field(example_files.blob(6, 40, 48)))
    arrows = next(one for one in figure.axes[0].collections if isinstance(one, Quiver))
    assert float(np.median(arrows.U)) == pytest.approx(6.0, abs=1.5)
    assert float(np.median(arrows.V)) == pytest.approx(3.0, abs=1.0)


def test_a_map_of_the_motion(tmp_path: Path) -> None:
    source = frames(tmp_path / "in", 3)
    line = ["nowcast", str(source), "--model", "persistence", "--minutes", "5", "--out", str(tmp_path / "f.nc")]
    assert status([*line, "--motion", str(tmp_path / "m.png")]) == 0
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
