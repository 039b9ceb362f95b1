"""Rules on an archive: what they would have raised, and what was observed.

>>> found = replay(alerts, "radar.zarr", Settings(model="lagrangian"))  # doctest: +SKIP
>>> found.by_rule["heavy"].pod  # doctest: +SKIP
0.8
"""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from echocast import archive, fields, nowcast
from echocast.errors import DataError, MissingFrames
from echocast.io.location import Location
from echocast.models import base
from echocast.nowcast.past import FRAMES
from echocast.operations import issue_layers
from echocast.operations.alerts import evaluation, scoring, truth
from echocast.operations.alerts.cells import Cells, cells_of
from echocast.operations.alerts.config import Alerts
from echocast.operations.alerts.evaluation import Key
from echocast.operations.alerts.messages import Issued, Message
from echocast.operations.alerts.needs import needs_of
from echocast.operations.alerts.rule_config import Rule
from echocast.operations.alerts.scoring import Judged, Score
from echocast.operations.alerts.states import Record
from echocast.operations.grid import Grid
from echocast.operations.jobs import grid_of
from echocast.operations.layer_file import Layer
from echocast.operations.stamps import NS, name_stamp
from echocast.products.ensemble import Thresholds


@dataclass(frozen=True)
class Settings:
    """How forecasts are made.

    Args:
        model: a name, or the path of a checkpoint.
        minutes: length of the forecast.
        frames: that each forecast uses, fewer where there are fewer.
        members: of an ensemble, None for one forecast.
        every: an issue at every so many frames.
        begin: the first issue time, None for the first that can be made.
        end: the last.
        gap_min: observed events less apart are one.
    """

    model: str = "lagrangian"
    minutes: float = 90
    frames: int = FRAMES
    members: int | None = None
    every: int = 1
    begin: np.datetime64 | None = None
    end: np.datetime64 | None = None
    gap_min: float = 30.0


@dataclass
class Replayed:
    """What came of it.

    Args:
        scores: of each rule in each of its areas.
        messages: all that would have been sent, in order.
        issues: how many forecasts were made.
    """

    scores: dict[Key, Score] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    issues: int = 0

    @property
    def by_rule(self) -> dict[str, Score]:
        """The scores of each rule, its areas together."""
        found: dict[str, Score] = {}
        for (rule, _), one in self.scores.items():
            found[rule] = found[rule] + one if rule in found else one
        return found


class InMemory:
    """The layers of a forecast as an issue would hold them, in half precision.

    Args:
        layers: by their names.
    """

    def __init__(self, layers: dict[str, Layer]) -> None:
        self._layers = layers

    @property
    def variables(self) -> frozenset[str]:
        """The names of the layers."""
        return frozenset(self._layers)

    def leads(self, name: str) -> tuple[float, ...]:
        """The leads of a layer in minutes."""
        return self._layers[name].leads

    def window(self, rows: slice, columns: slice, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Layers in a rectangle of cells, each (lead, y, x)."""
        wanted = self._layers if names is None else names
        with np.errstate(over="ignore"):
            return {
                name: self._layers[name].values[:, rows, columns].astype(np.float16).astype(np.float32)
                for name in wanted
            }


def replay(
    alerts: Alerts,
    store: Location,
    chosen: Settings,
    *,
    on_issue: Callable[[int, int], None] = lambda _, __: None,
) -> Replayed:
    """Make a forecast at each time of an archive, judge the rules on it, and compare with what was observed.

    Args:
        alerts: the rules.
        store: the archive.
        chosen: how forecasts are made.
        on_issue: called with the number of issues made and of all after each.

    Raises:
        DataError: there is no such archive, it is not of rain rates, or it has too few frames.
        ModelError: there is no such model, or it has no members.
    """
    field_ = archive.open(store)
    if field_.name != fields.NAME:
        raise DataError(f"{store}: holds {field_.name}, and alerts are of rain rates; give an archive of radar frames")
    forecaster = base.resolve(chosen.model)
    step_min = float(fields.time_step(field_.time.values) / np.timedelta64(1, "m"))
    numbers = _issue_times(field_, chosen, max(2, forecaster.min_frames))
    if not numbers:
        raise MissingFrames(f"{store}: at no time are there enough frames in a row for {chosen.model}")
    grid = Grid.of(grid_of(field_))
    cells = {name: cells_of(place, grid) for name, place in alerts.places.items()}
    found, judged, records = Replayed(), dict[Key, list[Judged]](), dict[Key, Record]()
    for count, number in enumerate(numbers, 1):
        issued, values, observed = _issue(field_, number, forecaster, chosen, alerts)
        done = evaluation.evaluate(alerts, records, issued, cells, values, observed)
        records = done.records
        found.messages += [message for message, _ in done.sent]
        _note(alerts, records, issued, judged)
        on_issue(count, len(numbers))
    found.issues = len(numbers)
    _score(alerts, field_, cells, judged, found, step_min, chosen)
    return found


def _issue_times(field_: xr.DataArray, chosen: Settings, least: int) -> list[int]:
    """The numbers of the frames at which a forecast can be made."""
    observed, times = field_.observed.values, field_.time.values
    found, run = [], 0
    for number, is_there in enumerate(observed):
        run = run + 1 if is_there else 0
        is_wanted = (chosen.begin is None or times[number] >= chosen.begin) and (
            chosen.end is None or times[number] <= chosen.end
        )
        if run >= max(least, min(3, chosen.frames)) and is_wanted:
            found.append(number)
    return found[:: chosen.every]


def _issue(
    field_: xr.DataArray, number: int, forecaster: base.Forecaster, chosen: Settings, alerts: Alerts
) -> tuple[Issued, InMemory, np.ndarray]:
    """A forecast from the frames up to one, and what is observed then."""
    observed = field_.observed.values
    first = number
    while first > 0 and observed[first - 1] and number - first + 1 < chosen.frames:
        first -= 1
    past = field_[first : number + 1].load().drop_vars("observed")
    forecast = nowcast.forecast_from(past, forecaster, minutes=chosen.minutes, members=chosen.members)
    wanted = needs_of(alerts)
    thresholds = Thresholds().also(wanted.rates, wanted.amounts, wanted.spans)
    products = nowcast.products_of(forecast, thresholds)
    time_ns = int(field_.time.values[number].astype("datetime64[ns]").astype(np.int64))
    seconds = time_ns / NS
    issued = Issued(f"{name_stamp(time_ns)}-replay", seconds, chosen.model, seconds, "Exercise")
    layers = issue_layers.rounded(issue_layers.layers_of(forecast, products, thresholds.spans))
    return issued, InMemory(layers), past.values[-1]


def _note(alerts: Alerts, records: dict[Key, Record], issued: Issued, judged: dict[Key, list[Judged]]) -> None:
    for rule in alerts.rules:
        for place in alerts.areas[rule.id]:
            record = records[rule.id, place.id]
            is_met = record.value is not None and record.value >= rule.raise_at if record.is_known else None
            one = Judged(issued.time / 60, record.state == "active", record.incident, is_met)
            judged.setdefault((rule.id, place.id), []).append(one)


def _score(
    alerts: Alerts,
    field_: xr.DataArray,
    cells: dict[str, Cells],
    judged: dict[Key, list[Judged]],
    found: Replayed,
    step_min: float,
    chosen: Settings,
) -> None:
    """Compare with what was observed, area by area."""
    seen = _observed(field_, cells)
    times = field_.time.values.astype("datetime64[s]").astype(np.int64) / 60
    for rule in alerts.rules:
        for place in alerts.areas[rule.id]:
            happened = truth.happened(rule, cells[place.id], seen[place.id], step_min)
            leads = _leads(rule, chosen.minutes)
            key = (rule.id, place.id)
            found.scores[key] = scoring.score(
                judged[key], times.tolist(), happened.tolist(), leads, gap_min=chosen.gap_min
            )


def _observed(field_: xr.DataArray, cells: dict[str, Cells]) -> dict[str, np.ndarray]:
    """The observed rates in the cells of each area, (time, cell), NaN where a frame is missing; each is read once."""
    seen = {name: np.full((len(field_), len(one.rows)), np.nan, np.float32) for name, one in cells.items()}
    for number in np.flatnonzero(field_.observed.values):
        frame = field_[int(number)].values
        for name, one in cells.items():
            seen[name][number] = frame[one.rows, one.columns]
    return seen


def _leads(rule: Rule, minutes: float) -> tuple[float, float]:
    first, last = rule.lead_range
    return first, rule.span if rule.span is not None else min(last, minutes)


COLUMNS = (
    "issues", "unknown", "alerts", "false_alarms", "open", "events", "hits", "late", "misses", "pod", "far", "warning",
    "issue_hits", "issue_false_alarms", "issue_misses", "issue_correct_negatives", "csi",
)  # fmt: skip
"""Of the table: counts of `echocast.operations.alerts.scoring.Score`, and what follows from them."""


def as_csv(found: Replayed) -> str:
    """The scores as CSV: a row for each rule and area, and one for each rule with the area ``*``."""
    rows = [(rule, "*", one) for rule, one in found.by_rule.items()]
    rows += [(rule, area, one) for (rule, area), one in found.scores.items()]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("rule", "area", *COLUMNS))
    for rule, area, one in rows:
        writer.writerow((rule, area, *(cell(getattr(one, name)) for name in COLUMNS)))
    return out.getvalue()


def cell(value: float | None) -> str:
    """A number of the table; empty where it is not defined."""
    if value is None:
        return ""
    return f"{value:d}" if isinstance(value, int) else f"{value:.3g}"
