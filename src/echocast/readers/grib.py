"""GRIB 1 and 2, plain or gzip: NOAA MRMS, rain rates, amounts and reflectivity of radars and models, on a plain grid.

One message is one frame; several of one parameter become several times. What is rain is in a list; the best of it in
a file is taken, and `variable` names another, or a level or a member where a file holds several. An amount is divided
by its own interval and has its end as its time; running sums since the start of a forecast are differenced. MRMS' own
parameters (discipline 209), which carry no unit that decoders know, are known by number, and so are their special
numbers: -3 and -1 are missing, in reflectivity -999 is no coverage and -99 no echo. Grids of degrees in any scanning
mode, Lambert, polar stereographic and Mercator. Other quantities of models and reanalyses (temperature, humidity, wind,
pressure, geopotential, land, height of the ground) are read when they are named. Needs ecCodes (extra ``grib``).

Source: WMO manual on codes I.2; NOAA MRMS GRIB2 tables (nssl.noaa.gov/projects/mrms/operational/tables.php).
"""

from itertools import groupby
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.readers import _eccodes, _packed, _runs
from echocast.readers import _grib_frames as _frames
from echocast.readers._grib_parameters import QUANTITIES

SUFFIXES = (".grib2", ".grb2", ".grib", ".grib2.gz", ".grb")
GZIP = True

_MOST_BYTES = 2**30


def recognises(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the content is enough)
    """GRIB's magic word."""
    return head[:4] == b"GRIB"


def read(
    path: Path,
    *,
    variable: str | None = None,
    units: str | None = None,
    zr: fields.ZR | None = None,
    interval: float | None = None,
    missing_value: tuple[float, ...] = (),
) -> xr.DataArray:
    """The field of one file; raises `MissingDependency` without ecCodes."""
    _eccodes.library()
    frames, relation = _found(path, variable, units, missing_value), zr or fields.MARSHALL_PALMER
    _frames.check_one_each(frames)
    before = _frames.before(frames)
    values = [_frames.values(frame, last, interval, relation) for frame, last in zip(frames, before, strict=True)]
    first, where = frames[0], frames[0].grid
    attrs = {"zr": str(relation)} if first.what.kind == "reflectivity" else {}
    times = [frame.when.end for frame in frames]
    quantity = first.what.quantity or fields.NAME
    return fields.make(
        np.stack(values),
        time=times,
        y=where.y,
        x=where.x,
        crs=where.crs,
        quantity=quantity,
        attrs=_said(frames) | attrs,
    )


def of_quantity(path: Path, quantity: str, *, variable: str | None = None, units: str | None = None) -> xr.DataArray:
    """The field of a quantity that is no rain: see `echocast.readers`."""
    if variable is not None:
        return read(path, variable=variable, units=units)
    names = [name for name, (known, _) in QUANTITIES.items() if known == quantity]
    _eccodes.library()
    held = _frames.held(_packed.content(path, _MOST_BYTES))
    found = [name for name in names if name in held]
    if len(found) != 1:
        raise UnreadableFile(
            f"holds {' and '.join(found) or 'nothing'} that may be {quantity}, of: {', '.join(held)}; name one with"
            " --variable"
        )
    return read(path, variable=found[0], units=units)


def runs(path: Path, *, variable: str | None = None, units: str | None = None) -> list[xr.DataArray]:
    """The runs of a model that a file holds, each a forecast: see `echocast.readers`."""
    _eccodes.library()
    frames = sorted(_found(path, variable, units, ()), key=lambda frame: frame.began)
    return [_run(list(of_run)) for _, of_run in groupby(frames, lambda frame: frame.began)]


def _found(
    path: Path, variable: str | None, units: str | None, missing_value: tuple[float, ...]
) -> list[_frames.Frame]:
    return _frames.frames(_packed.content(path, _MOST_BYTES), variable, units, missing_value)


def _said(frames: list[_frames.Frame]) -> dict[str, str]:
    """What a file says of its frames: the product, the level, and the run of a model if it is one run's forecast."""
    what, began = frames[0].what, {frame.began for frame in frames}
    said = {"source": f"GRIB {what.name}", "product": what.name}
    if what.quantity is not None:
        said["level"] = frames[0].level
    if len(began) == 1 and frames[-1].when.end > frames[0].began:
        said["forecast_reference_time"] = f"{str(frames[0].began)[:16]}Z"
    return said


def _run(frames: list[_frames.Frame]) -> xr.DataArray:
    """A run (lead, y, x), or (member, lead, y, x)."""
    numbers = sorted({frame.member or 0 for frame in frames})
    members = [[frame for frame in frames if (frame.member or 0) == number] for number in numbers]
    members = [[frame for frame in of_member if not _frames.is_start_of_sum(frame)] for of_member in members]
    members = [_frames.of_shortest_interval(of_member) for of_member in members]
    for of_member in members:
        _frames.check_one_each(of_member)
    steps = [
        [
            _runs.Step(_frames.start(frame, last), frame.when.end, _frames.values(frame, last))
            for frame, last in zip(of_member, _frames.before(of_member), strict=True)
        ]
        for of_member in members
    ]
    first, said = frames[0], _said(frames)
    said.pop("forecast_reference_time", None)
    where = first.grid
    return _runs.run(
        steps,
        began=first.began,
        grid=(where.y, where.x, where.crs),
        quantity=first.what.quantity or fields.NAME,
        attrs=said,
        numbers=numbers if len(numbers) > 1 else (),
    )
