"""The forecast at a place in a sentence, in UTC.

Rain is what reaches 0.1 mm/h: with at least half of the members, or in the single forecast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from echocast.operations.stamps import iso

if TYPE_CHECKING:
    from echocast.server.series import Place

WET = 0.1
_LIKELY = 0.5
_ELSE = {
    "outside": "outside the area of the forecast",
    "no_data": "nothing is known here at the moment",
    "stale": "the newest forecast is too old to tell",
}


@dataclass(frozen=True)
class Outlook:
    """What to expect at a place, lead by lead.

    Args:
        now: seconds since 1970.
        times: of the leads, likewise.
        rates: in mm/h, None where it is not known.
        chances: of rain, from 0 to 1; None without members.
    """

    now: float
    times: Sequence[float]
    rates: Sequence[float | None]
    chances: Sequence[float | None]


def summary(place: "Place") -> str:
    """What to expect: ``rain from 14:20 UTC (60 %), up to 4 mm/h; dry from 15:05 UTC``."""
    if place.coverage in _ELSE:
        return _ELSE[place.coverage]
    found = place.outlook
    last = len(found.times) - 1
    ahead = [n for n, time in enumerate(found.times) if time >= found.now] or [last]
    known = [(found.times[n], rate, found.chances[n]) for n in ahead if (rate := found.rates[n]) is not None]
    if not known:
        return "nothing is known for the next hours"
    return _told(known) + ("; later is not known" if len(known) < len(ahead) else "")


_Row = tuple[float, float, float | None]
"""Time, rate, and the chance of rain."""


def _told(rows: Sequence[_Row]) -> str:
    """Of leads that are known, the first being the next."""
    wet = [rate >= WET if chance is None else chance >= _LIKELY for _, rate, chance in rows]
    last = _clock(rows[-1])
    if not any(wet):
        most = max((chance or 0.0) for _, _, chance in rows)
        return f"dry until {last} UTC" + (f" (some rain possible: {most:.0%})" if most >= 0.1 else "")
    first = wet.index(True)
    end = next((n for n in range(first, len(wet)) if not wet[n]), None)
    spell = rows[first:end]
    sure = max((-1.0 if chance is None else chance) for _, _, chance in spell)
    begin = "rain" if first == 0 else f"rain from {_clock(rows[first])} UTC"
    begin += f" ({sure:.0%})" if sure >= 0 else ""
    most = max(rate for _, rate, _ in spell)
    until = f"dry from {_clock(rows[end])} UTC" if end is not None else f"until {last} UTC at least"
    more = "; more rain later" if end is not None and any(wet[end:]) else ""
    return f"{begin}, up to {most:.2g} mm/h; {until}{more}"


def _clock(row: _Row) -> str:
    return iso(row[0])[11:16]
