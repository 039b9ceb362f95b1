"""What forecasters were made with: archives that trained, validated or tuned them, and whether they are scored there.

The list of what comes with echocast is `echocast/weights/archives.toml`; a checkpoint has one of its own beside it,
``mine.archives.toml`` beside ``mine.safetensors``; the forecaster is called ``mine`` in it.

    >>> [use.archive for use in uses_of("rover1")]
    ['TAASRAD19, validation split']
    >>> uses_of("persistence")
    []
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError

PURPOSES = ("training", "validation", "tuning", "seen")
"""What an archive can be used for: to fit weights, to choose which are kept, to decide a setting; or only looked at."""


@dataclass(frozen=True)
class Use:
    """An archive that a forecaster was made with.

    Args:
        forecaster: its name in a report.
        archive: the name of the archive.
        source: where it is from.
        place: west, south, east and north of it, in degrees.
        first: its first time, UTC.
        last: its last time, UTC.
        purposes: of `PURPOSES`.
        scored: days (UTC) of a verification that lie in it, in place and time.
    """

    forecaster: str
    archive: str
    source: str
    place: tuple[float, float, float, float]
    first: np.datetime64
    last: np.datetime64
    purposes: tuple[str, ...]
    scored: int = 0

    @property
    def decided(self) -> bool:
        """Whether it was used for more than to look at scores."""
        return self.purposes != ("seen",)


def uses_of(model: str) -> list[Use]:
    """The archives of a forecaster, by its name or its checkpoint's path; empty where nothing is written.

    Raises:
        DataError: the list beside a checkpoint is not one.
    """
    path = Path(model)
    if path.suffix == ".safetensors":
        beside = path.with_suffix(".archives.toml")
        return _read(beside.read_text(encoding="utf-8"), path.stem, str(beside)) if beside.is_file() else []
    return _read((resources.files("echocast.weights") / "archives.toml").read_text(encoding="utf-8"), model, "")


def _read(text: str, name: str, file: str) -> list[Use]:
    try:
        entries = tomllib.loads(text)["archive"]
        return [_use(name, entry) for entry in entries if any(name in entry.get(purpose, ()) for purpose in PURPOSES)]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as bad:
        raise DataError(
            f"{file}: is no list of archives ({bad!r}); each [[archive]] needs name, source, place = [west, south,"
            f" east, north], first and last (times), and lists of forecasters: {', '.join(PURPOSES)}"
        ) from bad


def _use(forecaster: str, entry: Mapping[str, Any]) -> Use:
    west, south, east, north = (float(degree) for degree in entry["place"])
    first, last = (_time(entry[name]) for name in ("first", "last"))
    purposes = tuple(purpose for purpose in PURPOSES if forecaster in entry.get(purpose, ()))
    return Use(forecaster, entry["name"], entry["source"], (west, south, east, north), first, last, purposes)


def _time(value: datetime) -> np.datetime64:
    return np.datetime64(value.replace(tzinfo=None), "ns")


def listed(uses: Iterable[Use], name: str) -> str:
    """The list of archives of a checkpoint, as the TOML that lies beside it.

    Args:
        uses: what was used, whatever forecaster they name.
        name: of the checkpoint, without its ending.
    """
    import tomli_w  # where weights are made

    entries = [
        {
            "name": use.archive,
            "source": use.source,
            "place": list(use.place),
            "first": use.first.astype("datetime64[s]").item(),
            "last": use.last.astype("datetime64[s]").item(),
            **{purpose: [name] for purpose in use.purposes},
        }
        for use in uses
    ]
    return tomli_w.dumps({"archive": entries})


_PURPOSE_OF_PART = {"train": "training", "validation": "validation", "test": "seen"}


def of_parts(
    rain: xr.DataArray, archive: str, parts: Mapping[str, tuple[np.datetime64, np.datetime64]]
) -> Iterator[Use]:
    """What the parts of an archive were used for: learned from, validated with, looked at.

    Args:
        rain: the archive's field.
        archive: where it is.
        parts: the first and last time of ``train``, ``validation`` and ``test``.
    """
    west, south, east, north = (round(degree, 3) for degree in _box(rain) or (-180.0, -90.0, 180.0, 90.0))
    for part, (first, last) in parts.items():
        name = f"{Path(archive).name}, {part} part"
        yield Use("", name, archive, (west, south, east, north), first, last, (_PURPOSE_OF_PART[part],))


def of_whole(rain: xr.DataArray, archive: str, purpose: str) -> Use:
    """What a whole archive was used for.

    Args:
        rain: the archive's field.
        archive: where it is.
        purpose: of `PURPOSES`.
    """
    west, south, east, north = (round(degree, 3) for degree in _box(rain) or (-180.0, -90.0, 180.0, 90.0))
    first, last = rain.time.values[[0, -1]]
    return Use("", Path(archive).name, archive, (west, south, east, north), first, last, (purpose,))


def found_in(
    models: Mapping[str, str], rain: xr.DataArray, times: Sequence[tuple[np.datetime64, np.datetime64]]
) -> list[Use]:
    """The archives of some forecasters, with the number of days on which they are scored there.

    Args:
        models: by the name in the report, a forecaster's name or a checkpoint's path.
        rain: the archive that they are verified on.
        times: the first and last frame of each block of cases.
    """
    box = _box(rain)
    made = []
    for label, model in models.items():
        for use in uses_of(model):
            meets = box is not None and _meets(box, use.place)
            days = {first.astype("datetime64[D]") for first, last in times if first <= use.last and last >= use.first}
            made.append(replace(use, forecaster=label, scored=len(days) if meets else 0))
    return made


def warnings(uses: Iterable[Use]) -> list[str]:
    """A line for each forecaster that is scored on what it was made with."""
    return [
        f"{use.forecaster} is scored on {use.scored} day{'s' if use.scored > 1 else ''} of {use.archive}, which was"
        f" used for its {' and '.join(use.purposes)}: these scores are too good, or say nothing of other weather"
        for use in uses
        if use.scored and use.decided
    ]


def _box(rain: xr.DataArray) -> tuple[float, float, float, float] | None:
    """West, south, east and north of a field; None without a place on Earth."""
    if "crs" not in rain.coords:
        return None
    lon, lat = fields.degrees(rain[0, :: max(1, rain.sizes["y"] // 50), :: max(1, rain.sizes["x"] // 50)])
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        return None
    return float(lon[known].min()), float(lat[known].min()), float(lon[known].max()), float(lat[known].max())


def _meets(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two boxes of degrees share a place; longitudes are cyclic."""
    south, north = max(one[1], other[1]), min(one[3], other[3])
    turns = (-360.0, 0.0, 360.0)
    across = any(max(one[0], other[0] + turn) < min(one[2], other[2] + turn) for turn in turns)
    return south < north and across
