"""The forecast at a place: as JSON, as a table, as CoverageJSON."""

import json
import math
from functools import cached_property
from typing import Any

import numpy as np

from echocast.operations.stamps import iso
from echocast.server.edr import covjson, reading
from echocast.server.edr.coverage import CRS84, Coverage, Points
from echocast.server.edr.parameters import leads_of
from echocast.server.edr.serving import served
from echocast.server.point_json import NOTHING, Form, form_of, numbers
from echocast.server.snapshot import Issue, ObservedFrame
from echocast.server.words import Outlook, summary

_UNITS = {"rate": "mm/h", "amount": "mm", "probability": "1", "arrival": "min"}
_NOTE = "automatic, not an official warning"


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
    def bits(self) -> np.ndarray | None:
        """The numbers of points.bin here; None where there are none. Raises `UnreadableFile`."""
        file = None if self._issue is None else self._issue.point_file
        return None if file is None or self.cell is None else file.bits(*self.cell)

    @cached_property
    def coverage(self) -> str:
        """``outside`` the grid, ``no_data`` where nothing is known, ``stale`` if too old, or ``ok``."""
        if self._issue is not None and self._issue.grid is not None and self.cell is None:
            return "outside"
        rates = self._rates
        if self._issue is None or rates is None or np.isnan(rates.view(np.float16)).all():
            return "no_data"
        return "stale" if self.now - self._issue.seconds > self._stale else "ok"

    @cached_property
    def outlook(self) -> Outlook:
        """What the sentence is made of; nothing where there are no rates."""
        form, rates = self._form, self._rates
        if form is None or rates is None or self.bits is None:
            return Outlook(self.now, (), [], [])
        chances = [None] * len(rates) if form.chance is None else numbers(self.bits[form.chance])
        return Outlook(self.now, form.times, numbers(rates), chances)

    def json(self) -> bytes:
        """All of it as JSON."""
        issue = self._issue
        head = {
            "lat": self.latitude,
            "lon": self.longitude,
            "coverage": self.coverage,
            "summary": summary(self),
            "now": iso(self.now),
            "issue": None if issue is None else self._about(issue),
            "observed_now": self._observed(),
            "units": _UNITS,
        }
        rest = NOTHING if self._form is None or self.bits is None else self._form.filled(self.bits)
        return f'{json.dumps(head)[:-1]}, {rest}, "note": "{_NOTE}"}}'.encode()

    def csv(self) -> str:
        """All variables as a table, a row for each lead; what a lead does not have is empty."""
        issue, file = self._issue, None if self._issue is None else self._issue.point_file
        if issue is None or file is None or self.cell is None:
            return "time,lead_min,coverage\n"
        values = file.series(*self.cell)
        names = [name for name in values if not name.startswith("arrival")]
        leads = sorted({lead for name in names for lead in file.leads(name)})
        columns = {name: dict(zip(file.leads(name), values[name].tolist(), strict=True)) for name in names}
        lines = [",".join(["time", "lead_min", "coverage", *names])]
        for lead in leads:
            cells = (columns[name].get(lead) for name in names)
            texts = ["" if value is None or math.isnan(value) else f"{value:.4g}" for value in cells]
            lines.append(",".join([iso(issue.seconds + 60 * lead), f"{lead:g}", self.coverage, *texts]))
        return "\n".join(lines) + "\n"

    def covjson(self) -> bytes | None:
        """What EDR gives of a position as CoverageJSON, its numbers null outside the grid; None without a forecast."""
        issue = served(self._issue)
        if issue is None:
            return None
        parameters = tuple(issue.parameters.values())
        leads, cell = leads_of(parameters), (-1, -1) if self.cell is None else self.cell
        x, y, row, column = (np.array([one]) for one in (self.longitude, self.latitude, *cell))
        points = Points(x, y, CRS84, False, row, column)
        values = reading.values(issue.values, points, parameters, leads)
        made = Coverage(issue.id, issue.issued, issue.grid, points, parameters, leads, values)
        return b"".join(covjson.parts(made))

    @cached_property
    def _rates(self) -> np.ndarray | None:
        """The numbers of the rate, one for each lead; None where there are none."""
        return None if self._form is None or self.bits is None else self.bits[self._form.rate]

    @cached_property
    def _form(self) -> Form | None:
        issue, file = self._issue, None if self._issue is None else self._issue.point_file
        return None if issue is None or file is None else form_of(file, issue.seconds)

    def _observed(self) -> dict[str, Any] | None:
        """The newest observed rate here; None outside its grid, or without a frame."""
        frame = self._frame
        if frame is None or frame.quantity != "rainfall_rate" or frame.grid is None:
            return None
        is_same = self._issue is not None and frame.grid is self._issue.grid
        cell = self.cell if is_same else frame.grid.cell(self.longitude, self.latitude)
        if cell is None:
            return None
        rate = numbers(frame.values()[cell].reshape(1).view(np.uint16))[0]
        return {"time": frame.time, "age_s": round(self.now - frame.seconds), "rate": rate}

    def _about(self, issue: Issue) -> dict[str, Any]:
        return {
            "id": issue.id,
            "time": issue.time,
            "published": issue.published,
            "age_s": round(self.now - issue.seconds),
            "degraded": issue.degraded,
            "model": issue.meta.get("model", {}).get("name"),
        }
