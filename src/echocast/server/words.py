"""The forecast at a place in a sentence, in UTC.

Rain is what reaches 0.1 mm/h: with at least half of the members, or in the single forecast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from echocast.server.series import Place

WET = 0.1
_LIKELY = 0.5


def summary(place: "Place") -> str:
    """What to expect: ``rain from 14:20 UTC (60 %), up to 4 mm/h; dry from 15:05 UTC``."""
    match place.coverage:
        case "outside":
            return "outside the area of the forecast"
        case "no_data":
            return "nothing is known here at the moment"
        case "stale":
            return "the newest forecast is too old to tell"
    ahead = [row for row in place.series if _seconds(row["time"]) >= place.now] or place.series[-1:]
    if any(row["rate"] is None for row in ahead):
        known = [row for row in ahead if row["rate"] is not None]
        return _told(known) + "; later is not known" if known else "nothing is known for the next hours"
    return _told(ahead)


def _told(rows: list[dict[str, Any]]) -> str:
    """Of leads that are known, the first being the next."""
    wet = [_is_wet(row) for row in rows]
    last = _clock(rows[-1])
    if not any(wet):
        most = max((_chance(row) or 0.0) for row in rows)
        return f"dry until {last} UTC" + (f" (some rain possible: {most:.0%})" if most >= 0.1 else "")
    first = wet.index(True)
    end = next((n for n in range(first, len(wet)) if not wet[n]), None)
    spell = rows[first:end]
    chance = max((_chance(row) or 0.0) for row in spell)
    sure = f" ({chance:.0%})" if any(_chance(row) is not None for row in spell) else ""
    begin = "rain" if first == 0 else f"rain from {_clock(rows[first])} UTC"
    most = max(row["rate"] for row in spell)
    until = f"dry from {_clock(rows[end])} UTC" if end is not None else f"until {last} UTC at least"
    more = "; more rain later" if end is not None and any(wet[end:]) else ""
    return f"{begin}{sure}, up to {most:.2g} mm/h; {until}{more}"


def _is_wet(row: dict[str, Any]) -> bool:
    chance = _chance(row)
    return bool(row["rate"] >= WET if chance is None else chance >= _LIKELY)


def _chance(row: dict[str, Any]) -> float | None:
    """The probability of rain, None without members."""
    found = row.get("probability", {}).get(f"{WET:g}")
    return None if found is None else float(found)


def _clock(row: dict[str, Any]) -> str:
    return str(row["time"])[11:16]


def _seconds(time: str) -> float:
    from echocast.operations.stamps import seconds_of

    return seconds_of(time)
