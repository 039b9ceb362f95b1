"""What Prometheus is shown, read by its own parser from the real address, against what was published."""

import re
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.operations import service
from tests.operations.fake_radar import START_S, FakeRadar

from echocast.errors import DataError, MissingDependency
from echocast.operations.clocks import ManualClock
from echocast.operations.measures import FAMILIES, Measures
from echocast.operations.metrics import MetricsServer
from echocast.operations.watching import Watch

WANTED = """
    build_info frames_total frame_timestamp_seconds frame_delay_seconds issues_total issue_timestamp_seconds
    last_success_timestamp_seconds stage_seconds publish_latency_seconds catchup_backlog source_errors_total
    published_bytes disk_free_bytes worker_restarts_total alerts_active notifications_total
"""


def scraped(watch: Watch) -> dict[str, dict[tuple[str, ...], float]]:
    """All samples by name and the values of their labels."""
    assert watch._metrics is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{watch._metrics.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_prometheus_is_shown_what_happened(tmp_path: Path) -> None:
    radar, clock = FakeRadar(tmp_path / "radar", 4, faulty=False), ManualClock(START_S)
    watch = service.watch(radar.folder, tmp_path / "live", clock, metrics="127.0.0.1:0")
    service.drive(watch, radar)
    watch.status.write()
    shown, source = scraped(watch), str(radar.folder)
    metas = service.read_all(tmp_path / "live")
    assert shown["echocast_frames_total"] == {("used", source): 4}  # labels by their names
    # Of one frame and of two the step is not known; the first frame has none before it.
    assert shown["echocast_issues_total"] == {
        ("not_due", "step_unknown"): 2,
        ("not_due", "missing_frames"): 1,
        ("ok", "newest"): len(metas) - 1,
        ("ok", "catch_up"): 1,
    }
    assert shown["echocast_frame_timestamp_seconds"] == {(source,): START_S + 900}
    assert shown["echocast_issue_timestamp_seconds"] == {(): START_S + 900}
    assert shown["echocast_frame_delay_seconds_count"] == {(): 4}
    # Frames come 50 to 100 s after their time, are seen within a poll of 30 s, and wait 2 s.
    assert 4 * 50 <= shown["echocast_frame_delay_seconds_sum"][()] <= 4 * 145
    assert shown["echocast_publish_latency_seconds_count"] == {(): len(metas) - 1}  # one was caught up with
    assert shown["echocast_published_bytes"] == {(): sum(i.bytes for i in watch.issuing.publisher.issues.values())}
    assert {stage for (stage,) in shown["echocast_stage_seconds_count"]} >= {"list", "read", "compute", "publish"}
    watch.close()
    with pytest.raises(OSError):
        scraped(watch)


def test_all_names_of_the_documentation_are_there_and_no_others() -> None:
    names = {f"{name}_total" if family.kind == "counter" else name for name, family in FAMILIES.items()}
    assert names == {f"echocast_{name}" for name in WANTED.split()}
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert names <= set(re.findall(r"echocast_\w+", page))


def test_a_label_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="echocast_frames has the labels source, outcome, not outcome"):
        Measures().count("echocast_frames", outcome="used")
    with pytest.raises(KeyError):
        Measures().set("echocast_none", 1.0)


def test_buckets_hold_the_values_up_to_their_bound() -> None:
    measures = Measures()
    for value in (0.01, 0.02, 500.0):
        measures.observe("echocast_stage_seconds", value, stage="read")
    (spread,) = measures.spreads("echocast_stage_seconds").values()
    assert (spread.counts[0], spread.counts[1], spread.counts[-1]) == (1, 1, 1)
    assert spread.sum == pytest.approx(500.03)


def test_an_address_in_use_is_told() -> None:
    first = MetricsServer("127.0.0.1:0", Measures())
    with pytest.raises(DataError, match=f"--metrics 127.0.0.1:{first.port}: the address cannot be taken"):
        MetricsServer(f"127.0.0.1:{first.port}", Measures())
    first.close()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    with pytest.raises(MissingDependency, match=r"pip install 'echocast\[operations\]'"):
        MetricsServer("127.0.0.1:0", Measures())
