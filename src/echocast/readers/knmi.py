"""KNMI HDF5: rain (mm, mm/h) or reflectivity (dBZ) of the Netherlands on a polar stereographic grid.

Calibration, missing values, projection, offsets and the accumulation interval are read from the file; an amount is
divided by its interval and has its end as its time. Of several images the one of rain is taken; several of rain are a
forecast, which is refused, and `variable` names one (``image3``). In reflectivity the lowest number is no echo, even
where the file calls it missing. The corners of the grid must be those that the file gives.

Source: KNMI HDF5 data format specification 3.5.
"""

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile, WrongUnits
from echocast.readers import _hdf5
from echocast.readers._knmi_grid import grid
from echocast.readers._lookup import through_table

SUFFIXES = (".h5", ".hdf5")

_FORMULA = re.compile(r"GEO=(?:(?P<before>[-+\d.eE]+)\*)?PV(?:\*(?P<after>[\d.eE]+))?(?P<offset>[-+][-+\d.eE]+)?")
_TIME = re.compile(r"(\d{1,2})-([A-Z]{3})-(\d{4})[; ](\d\d:\d\d:\d\d)(?:\.\d*)?")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_PARAMETERS = (
    (re.compile(r"RAIN\w*_\[MM/H\]|PRECIP\w*_\[MM/H\]"), "mm/h"),
    (re.compile(r"ACCUMULAT\w*_\[MM\]|PRECIP\w*_\[MM\]|RAIN\w*_\[MM\]"), "mm"),
    (re.compile(r"REFLECTIVITY_\[DBZ\]"), "dBZ"),
)
_DRY_DBZ = -32.0


def recognises(head: bytes, path: Path) -> bool:
    """HDF5 with KNMI's groups ``overview``, ``geographic`` and ``image1``."""
    return _hdf5.looks(head, path, lambda file: all(name in file for name in ("overview", "geographic", "image1")))


def read(
    path: Path,
    *,
    variable: str | None = None,
    zr: fields.ZR | None = None,
    interval: float | None = None,
    missing_value: tuple[float, ...] = (),
) -> xr.DataArray:
    """The field of one file."""
    relation = zr or fields.MARSHALL_PALMER
    with h5py.File(path) as file:
        overview = _hdf5.group(file, "overview")
        image, units = _image(file, variable)
        time, interval_s = _when(overview, image, units, interval, named=variable is not None)
        crs, y, x, turned = grid(_hdf5.group(file, "geographic"))
        values = _values(image, units, missing_value)
        raw = _hdf5.cells(_hdf5.dataset(image, "image_data"), (len(y), len(x)))
        rate = through_table(
            raw, lambda level: fields.to_rain_rate(values(level), units, zr=relation, interval_s=interval_s)
        )[turned]
        attrs = {"source": f"KNMI {_hdf5.text(overview, 'product_group_name')}"}
        if units == "dBZ":
            attrs["zr"] = str(relation)
    return fields.make(rate[None], time=[time], y=y, x=x, crs=crs, attrs=attrs)


def _image(file: h5py.File, variable: str | None) -> tuple[h5py.Group, str]:
    """The image of rain and its unit."""
    images = {name: _hdf5.group(file, name) for name in _hdf5.numbered(file, "image")}
    parameters = {name: _hdf5.text(image, "image_geo_parameter").upper() for name, image in images.items()}
    listed = ", ".join(f"{name} {parameter}" for name, parameter in parameters.items())
    if variable is not None:
        chosen = [name for name in images if variable.upper() in (name.upper(), parameters[name])]
    else:
        kinds = [unit for _, unit in _PARAMETERS if any(_units(p) == unit for p in parameters.values())]
        chosen = [name for name, parameter in parameters.items() if kinds and _units(parameter) == kinds[0]]
    if not chosen or not _units(parameters[chosen[0]]):
        raise UnreadableFile(f"holds no {variable or 'rain (amount, rate or reflectivity)'}; it holds {listed}")
    if len(chosen) > 1:
        raise UnreadableFile(
            f"holds {len(chosen)} images of {parameters[chosen[0]]}{_valid(images, chosen)}, so it is a forecast and no"
            f" observation; name one with --variable {chosen[0]} and the minutes of an amount with --interval"
        )
    return images[chosen[0]], _units(parameters[chosen[0]])


def _units(parameter: str) -> str:
    return next((unit for pattern, unit in _PARAMETERS if pattern.fullmatch(parameter)), "")


def _valid(images: dict[str, h5py.Group], names: list[str]) -> str:
    times = [_hdf5.text(images[name], "image_datetime_valid", "") for name in (names[0], names[-1])]
    return f" valid from {times[0]} to {times[1]}" if all(times) else ""


def _when(
    overview: h5py.Group, image: h5py.Group, units: str, interval: float | None, *, named: bool
) -> tuple[np.datetime64, float | None]:
    """The time of an image, the end of an amount, and the seconds of an amount."""
    start, end = (_time(_hdf5.text(overview, f"product_datetime_{name}")) for name in ("start", "end"))
    written = _hdf5.text(image, "image_datetime_valid", "")
    valid = _time(written) if written else end
    seconds = float((end - start) / np.timedelta64(1, "s"))
    if valid != end:
        if not named:
            raise UnreadableFile(
                f"holds an image valid at {valid} of a time from {start} to {end}, so it may be part of a forecast;"
                " name it with --variable image1, and the minutes of an amount with --interval"
            )
        seconds = 0.0
    if units != "mm":
        return valid, None
    if seconds > 0 and interval and abs(seconds - 60.0 * interval) > 0.5:
        raise WrongUnits(f"holds an amount of {seconds / 60:g} min by its start and end, not of {interval:g}")
    if not seconds > 0 and not interval:
        raise WrongUnits("holds an amount whose interval it does not tell; give its minutes with --interval")
    return valid, seconds if seconds > 0 else 60.0 * (interval or 0.0)


def _values(image: h5py.Group, units: str, missing_value: tuple[float, ...]) -> Callable[[np.ndarray], np.ndarray]:
    """What makes values of the numbers of an image: NaN where the radar does not see."""
    calibration = _hdf5.group(image, "calibration")
    gain, offset = _scaling(_hdf5.text(calibration, "calibration_formulas"))
    names = ("calibration_missing_data", "calibration_out_of_image")
    given = {name: _hdf5.values(calibration, name) for name in names if name in calibration.attrs}
    if not given and not missing_value:
        raise UnreadableFile(
            f"does not say what is missing ({', '.join(names)}); give the numbers with --missing-value"
        )
    for name, numbers in given.items():
        _hdf5.check_holds(_hdf5.dataset(image, "image_data").dtype, name, numbers)
    no_echo = given.get(names[0], np.array([])) if units == "dBZ" else np.array([])
    no_echo = no_echo[(no_echo == 0) & ~np.isin(no_echo, given.get(names[1], []))]
    special = np.concatenate([*given.values(), np.asarray(missing_value, float)])
    missing = special[~np.isin(special, no_echo) | np.isin(special, missing_value)]

    def values(level: np.ndarray) -> np.ndarray:
        found = np.where(np.isin(level, no_echo), _DRY_DBZ, gain * level + offset)
        return np.where(np.isin(level, missing), np.nan, found)

    return values


def _scaling(written: str) -> tuple[float, float]:
    """Gain and offset of a formula such as ``GEO=0.01*PV+0.0`` or ``GEO = 0.500000 * PV + -32.000000``."""
    formula = _FORMULA.fullmatch("".join(written.split()))
    if formula is None or (formula["before"] and formula["after"]):
        raise ValueError(f"formula {written!r} is not of the form GEO=a*PV+b")
    gain = float(formula["before"] or formula["after"] or 1.0)
    offset = float(re.sub(r"^\+-|^-\+", "-", (formula["offset"] or "0").replace("--", "+").replace("++", "+")))
    if not (np.isfinite([gain, offset]).all() and gain != 0):
        raise ValueError(f"formula {written!r} makes no numbers of rain")
    return gain, offset


def _time(written: str) -> np.datetime64:
    found = _TIME.fullmatch(written.upper())
    if found is None or found[2] not in _MONTHS:
        raise ValueError(f"{written!r} is not of the form 26-AUG-2010;00:05:00.000")
    return np.datetime64(f"{found[3]}-{_MONTHS.index(found[2]) + 1:02}-{int(found[1]):02}T{found[4]}", "ns")
