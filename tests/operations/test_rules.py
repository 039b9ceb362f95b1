"""Rules of frames and issues, as tables."""

import io
import json
import logging
from collections.abc import Sequence

import pytest

from echocast.operations import clock_rules, retention, rules
from echocast.operations.logs import EventLog, warnings_as_events
from echocast.operations.readiness import Fingerprint, Readiness
from echocast.operations.rules import Made, Wishes
from echocast.operations.settings import SettingsError, read_settings

M = 60 * 10**9


@pytest.mark.parametrize(
    ("there", "gaps", "used", "filled", "missing", "reason"),
    [
        ([0, 5, 10, 15], "shorten", [0, 5, 10, 15], [], [], ""),
        ([-5, 0, 5, 10, 15], "shorten", [0, 5, 10, 15], [], [], ""),
        ([10, 15], "refuse", [10, 15], [], [], ""),  # the service began at 10: nothing is missing
        ([0, 5, 15], "shorten", [15], [], [10], "missing_frames"),
        ([0, 10, 15], "shorten", [10, 15], [], [5], ""),
        ([0, 10, 15], "refuse", [], [], [5], "missing_frames"),
        ([0, 10, 15], "fill", [0, 10, 15], [5], [5], ""),
        ([0, 15], "fill", [15], [], [5, 10], "missing_frames"),  # two in a row are not filled
        ([-5, 5, 15], "fill", [5, 15], [10], [10], ""),
        ([15], "shorten", [15], [], [], "missing_frames"),
    ],
)
def test_which_frames_make_an_issue(
    there: Sequence[int],
    gaps: rules.Gaps,
    used: Sequence[int],
    filled: Sequence[int],
    missing: Sequence[int],
    reason: str,
) -> None:
    run = rules.run_for(15 * M, [t * M for t in there], step=5 * M, frames=4, least=2, gaps=gaps)
    told = [[t // M for t in times] for times in (run.used, run.filled, run.missing)]
    assert (told, run.reason) == ([list(used), list(filled), list(missing)], reason)


@pytest.mark.parametrize(
    ("there", "made", "more", "due"),
    [
        ([0, 5, 10], {}, {}, [(10, 0, "newest")]),
        ([0, 5, 10], {10: (0, [0, 5, 10])}, {}, []),
        ([0, 5, 10], {10: (0, [5, 10])}, {}, [(10, 1, "revised")]),
        ([0, 5, 10], {10: (3, [5, 10])}, {}, [(10, 4, "revised")]),
        ([0, 5, 10], {10: (0, [5, 10])}, {"revise": False}, []),
        ([0, 5, 10, 15], {}, {"catch_up": 10 * M}, [(15, 0, "newest"), (10, 0, "catch_up"), (5, 0, "catch_up")]),
        ([0, 5, 10, 15], {}, {"catch_up": 10 * M, "after": 5 * M}, [(15, 0, "newest"), (10, 0, "catch_up")]),
        ([0, 5, 15], {5: (0, [0, 5])}, {}, []),
        ([], {}, {}, []),
    ],
)
def test_which_issues_are_due(
    there: Sequence[int], made: dict[int, tuple[int, list[int]]], more: dict[str, int], due: list[tuple[int, int, str]]
) -> None:
    known = {t * M: Made(revision, tuple(u * M for u in used)) for t, (revision, used) in made.items()}
    wishes = Wishes(step=5 * M, frames=4, least=2, **more)  # type: ignore[arg-type]
    found, _ = rules.plan([t * M for t in there], known, wishes)
    assert [(one.run.time // M, one.revision, one.why) for one in found] == due


@pytest.mark.parametrize(
    ("times", "told", "time", "on"),
    [
        ([0, 5, 10], None, 15, True),
        ([0, 5, 10], None, 12.5, False),
        ([0, 10], None, 5, True),  # shows that the step is shorter
        ([0, 5, 10], None, 15 + 4 / 60, True),
        ([0, 5, 10], None, 15 + 6 / 60, False),
        ([0], 5, 7, False),
        ([0], 5, -10, True),
        ([], None, 7, True),
    ],
)
def test_which_frames_are_on_the_radars_clock(
    times: Sequence[float], told: float | None, time: float, on: bool
) -> None:
    known = [round(t * M) for t in times]
    assert clock_rules.is_on_clock(round(time * M), known, None if told is None else round(told * M)) is on


@pytest.mark.parametrize(
    ("age", "state"), [(60, "ok"), (360 + 300, "ok"), (361 + 300, "late"), (1200, "late"), (1201, "stale")]
)
def test_the_state_of_the_feed(age: float, state: str) -> None:
    assert clock_rules.state_of(now=age, newest=0.0, step=300, delay=60, stale=1200) == state
    assert clock_rules.state_of(now=age, newest=None, step=300, delay=60, stale=1200) == "starting"


def test_a_file_is_tried_at_growing_intervals_and_then_set_aside_until_it_changes() -> None:
    files, tries = Readiness(settle=2, patience=30), []
    for second in range(100):
        files.update({"a": Fingerprint(1 if second < 60 else 2)}, second)
        for name in files.ready(second):
            tries.append(second)
            files.failed(name, "broken", second)
    assert tries[:5] == [2, 4, 8, 16, 32]
    assert tries[5:7] == [62, 64]
    assert files.seen["a"][1] == "quarantined: broken"


@pytest.mark.parametrize(("seconds", "same"), [(59.0, True), (-60.0, True), (61.0, False)])
def test_times_of_web_servers_may_be_off_by_a_minute(seconds: float, same: bool) -> None:
    one, other = Fingerprint(5, "", 1000.0, 60.0), Fingerprint(5, "", 1000.0 + seconds, 60.0)
    assert one.is_same(other) is same
    assert not one.is_same(Fingerprint(6, "", 1000.0, 60.0))


def test_the_newest_issue_is_never_let_go() -> None:
    assert retention.kept_out([(0.0, 100, "a")], keep=1.0, most_bytes=1) == []
    assert retention.kept_out([(0.0, 9, "a"), (9e9, 100, "b")], keep=1.0, most_bytes=1) == ["a"]


@pytest.mark.parametrize(
    ("given", "environment", "message"),
    [
        ({"poll": "soon"}, {}, "--poll 'soon': is not a duration such as 10s"),
        ({}, {"ECHOCAST_WATCH__POL": "5s"}, "there is no setting 'pol'; there are: sources"),
        ({"replay": "a.zarr"}, {}, "either sources or --replay"),
        ({"keep": "10min"}, {}, "--keep 600 s is less than --catch-up 3600 s"),
        ({"frames": 3, "least_frames": 4}, {}, "--least-frames 4 is more than --frames 3"),
        ({"gaps": "guess"}, {}, "--gaps 'guess'"),
        ({"speed": 60.0}, {}, "--speed is for --replay"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, object], environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_settings({"sources": ["radar"], "out": "live"} | given, environment=environment)


def test_warnings_of_the_package_are_events(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    log = logging.getLogger("echocast.readers.odim")
    with warnings_as_events(EventLog(out, as_json=True), lambda: 60.0):
        log.warning("the frame of %s has no interval", "https://host/f.h5?key=secret")
    log.warning("after it")
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"ts": "1970-01-01T00:01:00Z", "level": "warning", "event": "warning",
         "reason": "the frame of https://host/f.h5 has no interval"},
    ]  # fmt: skip
