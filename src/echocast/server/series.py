"""The forecast at a place, as numbers and in words."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from echocast.operations.stamps import iso
from echocast.server.snapshot import Issue, ObservedFrame
from echocast.server.words import summary

_RATES = {"rate": "rate", "rate.mean": "mean"} | {f"rate.p{share}": f"p{share}" for share in (10, 25, 50, 75, 90)}
_UNITS = {"rate": "mm/h", "amount": "mm", "probability": "1", "arrival": "min"}


class Place:
    """What is known of a place.

    Args:
        latitude: in degrees, WGS 84.
        longitude: in degrees.
        issue: the forecast, None if there is none.
        frame: the newest observed frame, None if there is none.
        now: seconds since 1970.
        stale: the age in seconds from which a forecast is too old.
    """

    def __init__(
        self,
        latitude: float,
        longitude: float,
        issue: Issue | None,
        frame: ObservedFrame | None,
        now: float,
        stale: float,
    ) -> None:
        self.latitude, self.longitude, self.now = latitude, longitude, now
        self._issue, self._frame, self._stale = issue, frame, stale

    @cached_property
    def cell(self) -> tuple[int, int] | None:
        """Row and column in the forecast; None outside it."""
        grid = None if self._issue is None else self._issue.grid
        return None if grid is None else grid.cell(self.longitude, self.latitude)

    @cached_property
    def values(self) -> Mapping[str, np.ndarray]:
        """The variables of points.bin here; empty where there are none. Raises `UnreadableFile`."""
        file = None if self._issue is None else self._issue.point_file
        return {} if file is None or self.cell is None else file.series(*self.cell)

    @cached_property
    def coverage(self) -> str:
        """``outside`` the grid, ``no_data`` where nothing is known, ``stale`` if too old, or ``ok``."""
        if self._issue is not None and self._issue.grid is not None and self.cell is None:
            return "outside"
        if "rate" not in self.values or np.isnan(self.values["rate"]).all():
            return "no_data"
        assert self._issue is not None  # it has values
        return "stale" if self.now - self._issue.seconds > self._stale else "ok"

    def content(self) -> dict[str, Any]:
        """All of it, for JSON."""
        issue = self._issue
        return {
            "lat": self.latitude,
            "lon": self.longitude,
            "coverage": self.coverage,
            "summary": summary(self),
            "now": iso(self.now),
            "issue": None if issue is None else self._about(issue),
            "observed_now": self.observed,
            "units": _UNITS,
            "series": self.series,
            "amounts": self._amounts(),
            "arrival": self.arrival,
            "note": "automatic, not an official warning",
        }

    @cached_property
    def observed(self) -> dict[str, Any] | None:
        """The newest observed rate here; None outside its grid, or without a frame."""
        frame = self._frame
        if frame is None or frame.quantity != "rainfall_rate" or frame.grid is None:
            return None
        cell = frame.grid.cell(self.longitude, self.latitude)
        if cell is None:
            return None
        rate = _number(float(frame.values()[cell]))
        return {"time": frame.time, "age_s": round(self.now - frame.seconds), "rate": rate}

    @cached_property
    def series(self) -> list[dict[str, Any]]:
        """Each lead: its time, rates and probabilities; None for what is not known."""
        issue, file = self._issue, None if self._issue is None else self._issue.point_file
        if issue is None or file is None or not self.values:
            return []
        leads = file.leads("rate")
        columns = {label: _numbers(self.values[name]) for name, label in _RATES.items() if name in self.values}
        chances = {
            name.removeprefix("prob.rate."): _numbers(found)
            for name, found in self.values.items()
            if name.startswith("prob.rate.")
        }
        rows = []
        for number, lead in enumerate(leads):
            row = {"time": iso(issue.seconds + 60 * lead), "lead": lead}
            row |= {label: column[number] for label, column in columns.items()}
            if chances:
                row["probability"] = {least: column[number] for least, column in chances.items()}
            rows.append(row)
        return rows

    @cached_property
    def arrival(self) -> dict[str, float | None] | None:
        """Minutes from the issue until rain begins; None in it where it does not, None for all of it if not known."""
        names = [name for name in self.values if name.startswith("arrival")]
        found = {name.removeprefix("arrival").lstrip(".") or "rate": float(self.values[name][0]) for name in names}
        if not found or any(math.isnan(value) for value in found.values()):
            return None
        return {name: _number(value) for name, value in found.items()}

    def csv(self) -> str:
        """All variables as a table, a row for each lead; what a lead does not have is empty."""
        issue, file = self._issue, None if self._issue is None else self._issue.point_file
        if issue is None or file is None or not self.values:
            return "time,lead_min,coverage\n"
        names = [name for name in self.values if not name.startswith("arrival")]
        leads = sorted({lead for name in names for lead in file.leads(name)})
        columns = {name: dict(zip(file.leads(name), self.values[name].tolist(), strict=True)) for name in names}
        lines = [",".join(["time", "lead_min", "coverage", *names])]
        for lead in leads:
            cells = (columns[name].get(lead) for name in names)
            texts = ["" if value is None or math.isnan(value) else f"{value:.4g}" for value in cells]
            lines.append(",".join([iso(issue.seconds + 60 * lead), f"{lead:g}", self.coverage, *texts]))
        return "\n".join(lines) + "\n"

    def _about(self, issue: Issue) -> dict[str, Any]:
        return {
            "id": issue.id,
            "time": issue.time,
            "published": issue.published,
            "age_s": round(self.now - issue.seconds),
            "degraded": issue.degraded,
            "model": issue.meta.get("model", {}).get("name"),
        }

    def _amounts(self) -> list[dict[str, Any]]:
        found = []
        for name, values in self.values.items():
            if name.startswith("amount."):
                span = name.removeprefix("amount.")
                row: dict[str, Any] = {"minutes": float(span), "amount": _number(float(values[0]))}
                begin = f"prob.amount.{span}."
                chances = {
                    n.removeprefix(begin): _number(float(v[0])) for n, v in self.values.items() if n.startswith(begin)
                }
                found.append(row | ({"probability": chances} if chances else {}))
        return found


def _numbers(values: np.ndarray) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | None:
    """A number with four digits, None for what is not known or never."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
