"""alerts.json: what is active and what was told lately, as GeoJSON, for `echocast serve` and other readers."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from echocast.operations.alerts import geometry, messages
from echocast.operations.alerts.config import Alerts
from echocast.operations.alerts.evaluation import Key
from echocast.operations.alerts.places import Place
from echocast.operations.alerts.rule_config import Rule
from echocast.operations.alerts.state_file import State
from echocast.operations.alerts.states import Record
from echocast.operations.alerts.wording import WORDS
from echocast.operations.stamps import iso

_MOST_POINTS = 100


def content(
    alerts: Alerts,
    state: State,
    *,
    now: float,
    stale_after: float,
    model: str,
    is_stale: bool,
    held: Iterable[Key] = (),
) -> dict[str, Any]:
    """What alerts.json says.

    Args:
        alerts: the rules.
        state: after the newest issue.
        now: in seconds since 1970.
        stale_after: seconds from an issue's time on after which it says nothing of now.
        model: of the newest issue.
        is_stale: whether the newest issue is that old.
        held: rules in areas whose messages quiet hours hold back.
    """
    known = {(rule.id, place.id): (rule, place) for rule in alerts.rules for place in alerts.areas[rule.id]}
    active = {key: record for key, record in state.records.items() if record.state == "active" and key in known}
    unknown = [
        {"rule": key[0], "area": key[1], "why": record.why}
        for key, record in state.records.items()
        if not record.is_known and key in known
    ]
    return {
        "type": "FeatureCollection",
        "version": messages.VERSION,
        "generated": iso(now),
        "issue": {"id": state.issue, "time": iso(state.time)} if state.issue else None,
        "model": model,
        "stale_from": iso(state.time + stale_after) if state.issue else None,
        "data": "none" if not state.issue else "stale" if is_stale else "ok",
        "unknown": unknown,
        "notice": WORDS[alerts.languages[0]]["notice"],
        "features": [_feature(*known[key], record, key in set(held)) for key, record in active.items()],
        "messages": state.recent,
    }


def brief(state: State) -> list[dict[str, Any]]:
    """What index.json says: the rules that are active, and where."""
    return [
        {
            "incident": record.incident,
            "rule": rule,
            "area": area,
            "severity": record.severity,
            "since": iso(record.since),
            "onset": iso(record.onset),
            "end": iso(record.end),
            "known": record.is_known,
        }
        for (rule, area), record in state.records.items()
        if record.state == "active"
    ]


def _feature(rule: Rule, place: Place, record: Record, is_held: bool) -> dict[str, Any]:
    last = record.told.last if record.told else {}
    return {
        "type": "Feature",
        "id": record.incident,
        "geometry": _simple(place.geojson()),
        "properties": {
            "state": record.state,
            "rule": rule.id,
            "area": place.id,
            "name": place.name,
            "severity": record.severity,
            "quantity": rule.quantity,
            "statistic": rule.statistic,
            "threshold": rule.event_threshold,
            "span_min": rule.span,
            "value": record.value,
            "probability": record.probability,
            "known": record.is_known,
            "why": record.why,
            "since": iso(record.since),
            "onset": iso(record.onset),
            "end": iso(record.end),
            "held_by_quiet_hours": is_held,
            "message": last.get("id"),
            "expires": last.get("expires"),
            "headline": last.get("headline", {}),
            "description": last.get("description", {}),
        },
    }


def _simple(shape: dict[str, Any]) -> dict[str, Any]:
    """A geometry whose rings have at most 100 points."""
    many = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
    few = [[geometry.simplified(np.array(ring), _MOST_POINTS).tolist() for ring in polygon] for polygon in many]
    return {"type": shape["type"], "coordinates": few if shape["type"] == "MultiPolygon" else few[0]}
