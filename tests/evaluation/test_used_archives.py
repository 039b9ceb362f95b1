"""What forecasters were made with is written down, named in reports and warned of."""

import logging
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from tests import example_files

from echocast import archive, evaluation
from echocast.errors import DataError
from echocast.evaluation import VerificationConfig, used_archives
from echocast.models import base
from echocast.report import page

OWN = """
[[archive]]
name = "My radar, 2016"
source = "here"
place = [{west}, -90.0, {east}, 90.0]
first = {first}
last = 2016-12-31T00:00:00
training = ["mine"]
seen = ["another"]
"""


def written(name: str = "archives.toml") -> list[dict[str, object]]:
    text = (resources.files("echocast.weights") / name).read_text(encoding="utf-8")
    entries: list[dict[str, object]] = tomllib.loads(text)["archive"]
    return entries


def test_every_model_with_weights_says_what_trained_and_chose_it() -> None:
    shipped = {path.stem for path in resources.files("echocast.weights").iterdir() if path.suffix == ".safetensors"}  # type: ignore[attr-defined]
    assert shipped
    for name in shipped:
        purposes = {purpose for use in used_archives.uses_of(name) for purpose in use.purposes}
        assert {"training", "validation", "tuning"} <= purposes, name


def test_the_list_names_forecasters_that_exist_and_times_in_order() -> None:
    known = set(base.names())
    for entry in written():
        named = {name for purpose in used_archives.PURPOSES for name in entry.get(purpose, [])}  # type: ignore[attr-defined]
        assert named
        assert named <= known, entry["name"]
        assert set(entry) <= {"name", "source", "place", "first", "last", *used_archives.PURPOSES}
        assert isinstance(entry["first"], datetime)
        assert isinstance(entry["last"], datetime)
        assert entry["first"] < entry["last"] < datetime.now(UTC).replace(tzinfo=None)


def verified(
    tmp_path: Path, *, first: str = "2016-01-01T00:00:00", west: float = -180.0, east: float = 180.0
) -> evaluation.VerificationResult:
    """A checkpoint with a list of its own, verified on a shower of 2016-09-28."""
    checkpoint = resources.files("echocast.weights") / "lagrangian.safetensors"
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(checkpoint.read_bytes())
    (tmp_path / "mine.archives.toml").write_text(OWN.format(first=first, west=west, east=east))
    radar = example_files.netcdf(tmp_path, rain=example_files.blob(8, 16, 16))
    archive.write([radar], tmp_path / "store.zarr")
    models = {"still": "persistence", "ours": str(mine)}
    return evaluation.run(
        evaluation.Job(str(tmp_path / "store.zarr"), models, config=VerificationConfig(past=3, leads=2, stride=4))
    )


def test_a_model_that_is_scored_on_its_training_data_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        made = verified(tmp_path)
    (use,) = made.uses
    assert (use.forecaster, use.archive, use.purposes, use.scored) == ("ours", "My radar, 2016", ("training",), 1)
    line = "ours is scored on 1 day of My radar, 2016, which was used for its training"
    assert line in caplog.text
    text = page.markdown(page.sections_of(made, "x"), {})
    assert "A forecaster is scored on what it was made with" in text
    assert f"> {line}" in text
    assert "| ours | My radar, 2016 | 2016-01-01 00:00 |" in text
    assert "Nothing is written down of: still." in text


@pytest.mark.parametrize("elsewhere", [{"first": "2016-12-01T00:00:00"}, {"west": -100.0, "east": -60.0}])
def test_another_time_or_place_is_named_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, elsewhere: dict[str, object]
) -> None:
    with caplog.at_level(logging.WARNING):
        made = verified(tmp_path, **elsewhere)  # type: ignore[arg-type]
    assert [use.scored for use in made.uses] == [0]
    assert "is scored on" not in caplog.text
    assert "is scored on what it was made with" not in page.markdown(page.sections_of(made, "x"), {})


def test_boxes_meet_across_the_date_line() -> None:
    pacific = (170.0, -20.0, 190.0, 0.0)
    assert used_archives._meets(pacific, (-175.0, -10.0, -170.0, 5.0))
    assert not used_archives._meets(pacific, (0.0, -10.0, 10.0, 5.0))
    assert not used_archives._meets(pacific, (-175.0, 10.0, -170.0, 15.0))


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.archives.toml").write_text("[[archive]]\nname = 'x'\ntraining = ['mine']\n")
    with pytest.raises(DataError, match=r"mine\.archives\.toml: is no list of archives .*each \[\[archive\]\] needs"):
        used_archives.uses_of(str(tmp_path / "mine.safetensors"))
    assert used_archives.uses_of(str(tmp_path / "another.safetensors")) == []


def test_only_what_was_seen_is_no_reason_to_warn() -> None:
    (use,) = (u for u in used_archives.uses_of("lagrangian") if "test" in u.archive)
    assert used_archives.warnings([replace(use, scored=3)]) == []
    assert use.first == np.datetime64("2016-08-05T05:20")
