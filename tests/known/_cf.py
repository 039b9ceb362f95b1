"""What the writers of CF files draw: a dataset as plain arrays and attributes, and what must be read from it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyproj
from tests.known import Cell, _draw

from echocast.io.reading import ReadOptions

Variable = tuple[tuple[str, ...], np.ndarray, dict[str, Any]]


@dataclass
class Drawn:
    """A dataset that is drawn part by part: variables in their order, attributes, options, why it must be refused."""

    variables: dict[str, Variable] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None
    times: list[np.datetime64] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    shape: tuple[int, int] = (0, 0)
    tolerance: float = 1e-3


@dataclass(frozen=True)
class _Grid:
    """Coordinates as a file has them, their attributes, the grid mapping, and the place of a row and column."""

    y: np.ndarray
    x: np.ndarray
    y_attrs: dict[str, Any]
    x_attrs: dict[str, Any]
    mapping: dict[str, Any] | None
    place: Callable[[int, int], tuple[float, float]]
    elsewhere: dict[str, Any] = field(default_factory=dict)


_STERE = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +a=6378137 +b=6356752.314 +x_0={0} +y_0={0} +units={1}"
_STERE_CF = {
    "grid_mapping_name": "polar_stereographic",
    "straight_vertical_longitude_from_pole": 10.0,
    "latitude_of_projection_origin": 90.0,
    "standard_parallel": 60.0,
    "semi_major_axis": 6378137.0,
    "semi_minor_axis": 6356752.314,
}
_GEOS = {
    "grid_mapping_name": "geostationary",
    "perspective_point_height": 35786023.0,
    "semi_major_axis": 6378137.0,
    "semi_minor_axis": 6356752.31414,
    "longitude_of_projection_origin": -75.0,
    "latitude_of_projection_origin": 0.0,
    "sweep_angle_axis": "x",
}
_ROTATED = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
}
_FEET = 1200 / 3937


@cache
def _wkt(proj4: str) -> str:
    return pyproj.CRS.from_user_input(proj4).to_wkt()


@cache
def _to_degrees(proj4: str) -> pyproj.Transformer:
    crs = pyproj.CRS.from_user_input(proj4)
    return pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)


@cache
def _of_cf(name: str) -> pyproj.Transformer:
    crs = pyproj.CRS.from_cf({"geostationary": _GEOS, "rotated": _ROTATED}[name])
    return pyproj.Transformer.from_crs(crs, crs.source_crs or crs.geodetic_crs, always_xy=True)


def dataset(drawn: np.random.Generator) -> Drawn:
    """A dataset of rain, packed, placed and timed in one of the ways that CF allows."""
    made, spots = Drawn(), _draw.spots(drawn, *([1, None] if drawn.random() < 0.05 else []))
    made.shape = spots.shape
    grid = _grid(drawn, spots.shape)
    count = int(drawn.integers(1, 4))
    rates, missing = _rates(drawn, spots, count)
    numbers, attrs, values = _packed(drawn, made, rates, missing)
    _timed(drawn, made, attrs, count)
    attrs |= _georeferenced(drawn, made, grid)
    decoys = _decoys(drawn, made, numbers)
    order = (
        ("time", "y", "x")
        if drawn.random() < 0.7
        else ("time", "x", "y")
        if drawn.random() < 0.7
        else ("y", "x", "time")
    )
    numbers = numbers.transpose([("time", "y", "x").index(d) for d in order])
    if drawn.random() < 0.2:
        order, numbers = ("level", *order), numbers[None]
    scalar = count == 1 and drawn.random() < 0.4 and "time_bnds" not in made.variables
    if scalar:
        numbers, order = numbers.squeeze(order.index("time")), tuple(d for d in order if d != "time")
        _, time, about = made.variables["time"]
        made.variables["time"] = ((), time[0], about)
    rain = {"rain_rate": (order, np.ascontiguousarray(numbers), attrs)}
    made.variables = {**decoys, **rain, **made.variables}
    _renamed(drawn, made, grid)
    _refused(drawn, made)
    last = values[-1]
    made.cells = [Cell(*grid.place(*spot), float(last[spot])) for spot in (spots.bright, spots.dry, spots.missing)]
    return made


def _grid(drawn: np.random.Generator, shape: tuple[int, int]) -> _Grid:
    kind = str(
        drawn.choice(
            ["degrees", "metres", "kilometres", "angles", "rotated", "feet"], p=[0.35, 0.25, 0.15, 0.1, 0.1, 0.05]
        )
    )
    rows, columns = (np.arange(n) * 1.0 for n in shape)
    if drawn.random() < 0.6:
        rows = rows[::-1].copy()  # from north to south
    made: _Grid = {"degrees": _degrees, "rotated": _rotated, "angles": _angles}.get(kind, _projected)(
        drawn, rows, columns, kind
    )
    return made


def _degrees(drawn: np.random.Generator, rows: np.ndarray, columns: np.ndarray, _: str) -> _Grid:
    step = float(drawn.choice([0.01, 0.05, 0.25]))
    south = float(drawn.integers(-60, 60))
    west = float(drawn.choice([-120.0, -5 * step, 180 - 2 * step, 7.0, 250.0, -180.0, 359.0]))
    x, y = west + columns * step, south + rows * step
    true = x.copy()
    if drawn.random() < 0.5:
        x = np.where(x < 0, x + 360, x) if drawn.random() < 0.7 else np.where(x >= 180, x - 360, x)
        x = np.where(x >= 360, x - 360, x)
    told = drawn.integers(3)
    y_attrs: dict[str, Any] = [
        {"units": "degrees_north"},
        {"standard_name": "latitude", "units": "degrees"},
        {"standard_name": "latitude", "units": "degree_north", "axis": "Y"},
    ][told]
    x_attrs: dict[str, Any] = [
        {"units": "degrees_east"},
        {"standard_name": "longitude", "units": "degrees"},
        {"standard_name": "longitude", "units": "degreeE", "axis": "X"},
    ][told]
    mapping = {
        "grid_mapping_name": "latitude_longitude",
        "semi_major_axis": 6378137.0,
        "inverse_flattening": 298.257223563,
    }
    dtype = drawn.choice([np.float32, np.float64]) if step > 0.02 else np.float64
    return _Grid(
        y.astype(dtype),
        x.astype(dtype),
        y_attrs,
        x_attrs,
        mapping if drawn.random() < 0.4 else None,
        lambda r, c: (float(true[c]), float(y[r])),
    )


def _projected(drawn: np.random.Generator, rows: np.ndarray, columns: np.ndarray, kind: str) -> _Grid:
    cell = float(drawn.choice([500.0, 1000.0, 2000.0]))
    left, bottom = 1000.0 * drawn.integers(-300, 300), -1000.0 * drawn.integers(3000, 3800)
    false = float(drawn.choice([0.0, 500000.0]))
    proj4 = "EPSG:2263" if kind == "feet" else _STERE.format(false, "km" if kind == "kilometres" else "m")
    if kind == "feet":
        left, bottom, false = 300000.0, 60000.0, 0.0
    x_m, y_m = left + false + columns * cell, bottom + false + rows * cell
    own = {"feet": _FEET, "kilometres": 1000.0}.get(kind, 1.0)
    unit, factor = [("m", 1.0), ("km", 1000.0), ("metres", 1.0), ("US_survey_foot", _FEET), ("", own)][
        int(drawn.integers(5))
    ]
    how = int(drawn.integers(1 if kind in ("feet", "kilometres") else 0, 4))
    mapping: dict[str, Any] | None = {"crs_wkt": _wkt(proj4)}
    elsewhere: dict[str, Any] = {}
    if how == 0:
        told = false / factor if unit else false
        mapping = _STERE_CF | {"false_easting": told, "false_northing": told}
    elif how == 2 and kind != "feet":
        mapping = {"proj4": proj4}
    elif how == 3:
        mapping, elsewhere = None, {str(drawn.choice(["projection", "proj4", "proj_string"])): proj4}

    def place(row: int, column: int) -> tuple[float, float]:
        lon, lat = _to_degrees(proj4).transform(x_m[column] / own, y_m[row] / own)
        return float(lon), float(lat)

    attrs = {"units": unit} if unit else {}
    return _Grid(
        y_m / factor,
        x_m / factor,
        attrs | {"standard_name": "projection_y_coordinate"},
        attrs | {"axis": "X"},
        mapping,
        place,
        elsewhere,
    )


def _angles(drawn: np.random.Generator, rows: np.ndarray, columns: np.ndarray, _: str) -> _Grid:
    x, y = 1e-4 * drawn.integers(-300, 300) + columns * 5.6e-5, 1e-4 * drawn.integers(200, 900) + rows * 5.6e-5
    unit, factor = [("rad", 1.0), ("radian", 1.0), ("microradian", 1e6), ("degrees", 180 / np.pi), ("m", 35786023.0)][
        int(drawn.integers(5))
    ]

    def place(row: int, column: int) -> tuple[float, float]:
        lon, lat = _of_cf("geostationary").transform(x[column] * 35786023.0, y[row] * 35786023.0)
        return float(lon), float(lat)

    name = "projection_{}_coordinate" if unit == "m" else "projection_{}_angular_coordinate"
    return _Grid(
        y * factor,
        x * factor,
        {"units": unit, "standard_name": name.format("y")},
        {"units": unit, "standard_name": name.format("x")},
        _GEOS,
        place,
    )


def _rotated(drawn: np.random.Generator, rows: np.ndarray, columns: np.ndarray, _: str) -> _Grid:
    x, y = float(drawn.integers(-15, 10)) + columns * 0.02, float(drawn.integers(-15, 10)) + rows * 0.02

    def place(row: int, column: int) -> tuple[float, float]:
        lon, lat = _of_cf("rotated").transform(x[column], y[row])
        return float(lon), float(lat)

    unit, factor = [("degrees", 1.0), ("radians", np.pi / 180)][int(drawn.integers(2))]
    return _Grid(
        y * factor,
        x * factor,
        {"units": unit, "standard_name": "grid_latitude"},
        {"units": unit, "standard_name": "grid_longitude"},
        _ROTATED,
        place,
    )


def _rates(drawn: np.random.Generator, spots: _draw.Spots, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rain rates (mm/h) with a bright cell that fades from frame to frame, and where nothing is observed."""
    rates = np.zeros((count, *spots.shape))
    rates[:, *spots.bright] = float(drawn.integers(20, 80)) * (1.0 + np.arange(count)[::-1])
    missing = np.zeros(rates.shape, bool)
    missing[:, *spots.missing] = True
    return rates, missing


_RATE_UNITS = {
    "mm/h": 1.0,
    "mm h-1": 1.0,
    "kg m-2 s-1": 3600.0,
    "m s-1": 3.6e6,
    "mm/5min": 12.0,
    "mm/day": 1 / 24,
    "in/hr": 25.4,
}


def _packed(
    drawn: np.random.Generator, made: Drawn, rates: np.ndarray, missing: np.ndarray
) -> tuple[np.ndarray, dict[str, Any], np.ndarray]:
    """The numbers, their attributes and what they must become: a rate, a reflectivity or an amount in minutes."""
    kind = str(drawn.choice(["rate", "reflectivity", "amount"]))
    attrs: dict[str, Any] = {}
    if kind == "reflectivity":
        attrs |= {"units": str(drawn.choice(["dBZ", "dbz", "DBZ"])), "standard_name": "equivalent_reflectivity_factor"}
        values = np.where(rates > 0, 10 * np.log10(200 * np.maximum(rates, 1e-9) ** 1.6), -20.0)
    elif kind == "rate":
        attrs["units"], factor = list(_RATE_UNITS.items())[int(drawn.integers(len(_RATE_UNITS)))]
        values = rates / factor
    else:
        attrs["units"], factor = [("mm", 1.0), ("kg m-2", 1.0), ("m", 1000.0)][int(drawn.integers(3))]
        made.options["minutes"] = float(drawn.choice([5, 10, 15, 60]))
        values = rates * made.options["minutes"] / 60.0 / factor
    if drawn.random() < 0.5:
        attrs["long_name"] = str(
            drawn.choice(["rain rate", "quality controlled precipitation", "radar reflectivity of rain"])
        )
    numbers, values = _numbers(drawn, attrs, values, missing, kind)
    if kind == "reflectivity":
        out = np.where(values <= 0, 0.0, (10 ** (values / 10) / 200) ** (1 / 1.6))
    else:
        out = values * factor * (60.0 / made.options["minutes"] if kind == "amount" else 1.0)
    return numbers, attrs, np.where(missing, np.nan, out)


def _numbers(
    drawn: np.random.Generator, attrs: dict[str, Any], values: np.ndarray, missing: np.ndarray, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Values packed as numbers of a drawn type, with a drawn way to say "not observed"."""
    dtype = np.dtype(str(drawn.choice(["f4", "f8", "u1", "i1", "u2", "i2", "i4"])))
    if dtype.kind == "f":
        return _broken(drawn, attrs, values.astype(dtype), missing, kind), values
    unsigned = dtype.kind == "i" and dtype.itemsize < 4 and drawn.random() < 0.5
    meant = np.dtype(f"u{dtype.itemsize}") if unsigned else dtype
    top = min(np.iinfo(meant).max, 30000) - 10
    offset = -32.0 if kind == "reflectivity" else 0.0
    scale = (
        float(np.ceil((values.max() - offset) / top * 1000) / 1000)
        if values.max() - offset > 0.1 * top
        else float((values.max() - offset) / top)
    )
    if dtype.itemsize == 1 and kind == "reflectivity":
        scale = 0.5 if meant.kind == "u" else 1.0
    numbers = np.round((values - offset) / scale)
    attrs["scale_factor"] = np.array([scale]) if drawn.random() < 0.3 else scale
    if offset or drawn.random() < 0.5:
        attrs["add_offset"] = offset
    code, told = _code(drawn, meant, attrs, int(numbers.max()))
    if told is not None:
        attrs |= told
    numbers = np.where(missing, code, numbers).astype(meant)
    if unsigned:
        attrs["_Unsigned"] = "true"
        for key in ("_FillValue", "missing_value", "valid_range", "valid_max"):
            if key in attrs and np.asarray(attrs[key]).dtype == meant:
                attrs[key] = np.asarray(attrs[key]).view(dtype)[()]
    return numbers.view(dtype), np.round((values - offset) / scale) * scale + offset


def _code(
    drawn: np.random.Generator, meant: np.dtype[Any], attrs: dict[str, Any], top: int
) -> tuple[int, dict[str, Any] | None]:
    """A number for "not observed", and the attributes that tell it; none where it is NetCDF's default."""
    limits = np.iinfo(meant)
    code = (
        limits.max
        if meant.kind == "u"
        else int(drawn.choice([-1 if meant.itemsize == 1 else -9999, limits.min, limits.max]))
    )
    number = meant.type(code)
    ways: list[dict[str, Any] | None] = [
        {"_FillValue": number},
        {"missing_value": number},
        {"missing_value": np.array([number, meant.type(limits.max - 3)])},
        {"_FillValue": meant.type(limits.max - 3), "missing_value": number},
    ]
    if code == limits.max:
        ways += [{"valid_range": np.array([0, top], meant)}, {"valid_max": meant.type(top)}]
    if meant.itemsize > 1:
        default = {"i2": -32767, "u2": 65535, "i4": -(2**31) + 1}[meant.str[1:]]
        if drawn.random() < 0.2:
            return default, None
    return code, ways[int(drawn.integers(len(ways)))]


def _broken(
    drawn: np.random.Generator, attrs: dict[str, Any], values: np.ndarray, missing: np.ndarray, kind: str
) -> np.ndarray:
    """Floating-point numbers; codes that rain cannot be need no declaration."""
    code = float(drawn.choice([np.nan, -9999.0, -999.0, 1e20, 9.969209968386869e36, -32768.0, -9999.9, 1e30]))
    way = int(drawn.integers(4))
    if way == 0:
        attrs["_FillValue"] = values.dtype.type(code)
    elif way == 1 and np.isfinite(code):
        attrs["missing_value"] = np.array([code, -1e30], values.dtype)
    elif way == 2 and kind != "reflectivity" and np.isfinite(code):
        attrs["valid_range"] = np.array([0.0, values.max()], values.dtype)
    return np.where(missing, values.dtype.type(code), values).astype(values.dtype)


def _timed(drawn: np.random.Generator, made: Drawn, attrs: dict[str, Any], count: int) -> None:
    """The time of each frame, and how long an amount fell."""
    minutes = made.options.pop("minutes", None)
    step = np.timedelta64(int(minutes or 5), "m")
    first = _draw.time(drawn)
    ends = first + np.arange(count) * step
    made.times = list(ends)
    stamps = ends
    unit, seconds = [("seconds", 1), ("minutes", 60), ("hours", 3600), ("days", 86400)][int(drawn.integers(4))]
    since, zone = np.datetime64(str(drawn.choice(["1970-01-01", "2000-01-01", "1900-01-01"])), "ns"), ""
    offset = np.timedelta64(0, "h")
    if drawn.random() < 0.3:
        zone, hours = [(" UTC", 0), (" +02:00", 2), ("Z", 0), (" -0500", -5)][int(drawn.integers(4))]
        offset = np.timedelta64(hours, "h")
    about: dict[str, Any] = {"units": f"{unit} since {str(since)[:10]} 00:00:00{zone}", "standard_name": "time"}

    def coded(times: np.ndarray) -> np.ndarray:
        exact = (times - since + offset) / np.timedelta64(seconds, "s")
        return exact.astype(np.int64 if unit == "seconds" else np.float64)

    if minutes is not None:
        way = int(drawn.integers(5)) if count > 1 else int(drawn.integers(4))
        if way == 0:
            starts = ends - step
            stamps = [starts, ends, starts + step // 2][int(drawn.integers(3))]
            made.variables["time_bnds"] = (("time", "bnds"), coded(np.stack([starts, ends], 1)), {})
            about["bounds"] = "time_bnds"
        elif way == 1:
            said = [
                f"{minutes:g} minutes",
                f"{minutes:g} min",
                f"{60 * minutes:g} s",
                f"PT{minutes:g}M",
                f"{minutes / 60:.10g} hr",
            ]
            form = str(
                drawn.choice(
                    [
                        "time: sum (interval: {})",
                        "time: sum ( interval: {} )",
                        "area: mean time: sum (interval: {} comment: radar)",
                    ]
                )
            )
            attrs["cell_methods"] = form.format(said[int(drawn.integers(5))])
        elif way == 2:
            made.options["interval"] = minutes
        elif way == 3:
            attrs["accum_time_h"] = minutes / 60.0
    made.variables["time"] = (("time",), coded(stamps), about)


def _georeferenced(drawn: np.random.Generator, made: Drawn, grid: _Grid) -> dict[str, Any]:
    made.variables["y"] = (("y",), grid.y, dict(grid.y_attrs))
    made.variables["x"] = (("x",), grid.x, dict(grid.x_attrs))
    made.attrs |= grid.elsewhere | {"title": "rain of known truth"}
    if grid.mapping is None:
        return {}
    name = str(drawn.choice(["crs", "projection", "spatial_ref"]))
    made.variables[name] = ((), np.int32(0), dict(grid.mapping))
    return {"grid_mapping": name if drawn.random() < 0.8 else f"{name}: x y"}


def _decoys(drawn: np.random.Generator, made: Drawn, numbers: np.ndarray) -> dict[str, Variable]:
    """What stands before the rain and is none."""
    shape, dims = numbers.shape[1:], ("y", "x")
    every: list[tuple[str, dict[str, Any]]] = [
        ("rain_error", {"units": "mm/h", "long_name": "error of the rain rate"}),
        ("rain_count", {"units": "mm", "long_name": "number of gauges"}),
        ("wind", {"units": "m s-1", "standard_name": "wind_speed"}),
        ("altitude", {"units": "m"}),
        ("swe", {"units": "kg m-2", "long_name": "snow water equivalent"}),
        ("rate_se", {"units": "mm/h", "standard_name": "rainfall_rate standard_error"}),
        ("rain_quality", {"units": "mm/h"}),
        ("probability_of_rain", {"units": "mm"}),
        ("lwp", {"units": "kg m-2", "long_name": "cloud liquid water path with rain"}),
    ]
    chosen = drawn.choice(len(every), int(drawn.integers(0, 3)), replace=False)
    return {every[n][0]: (dims, np.full(shape, 7.5, np.float32), every[n][1]) for n in chosen}


def _renamed(drawn: np.random.Generator, made: Drawn, grid: _Grid) -> None:
    """Other names for the dims; coordinates that say themselves what they are keep the truth."""
    names = [("y", "x"), ("ny", "nx"), ("yc", "xc")]
    if "standard_name" in grid.x_attrs or "degrees_east" in grid.x_attrs.values():
        names += [("row", "col"), ("col", "row"), ("dim_0", "dim_1")]
    y, x = names[int(drawn.integers(len(names)))]
    time = str(drawn.choice(["time", "t", "valid_time"]))
    new = {"y": y, "x": x, "time": time}
    if drawn.random() < 0.2 and y != "col":
        new["y"], new["x"] = (
            ("lat", "lon")
            if "degree" in str(grid.x_attrs) and grid.mapping is not _ROTATED and grid.mapping is not _GEOS
            else (y, x)
        )

    def of(name: str) -> str:
        return new.get(name, name)

    made.variables = {of(n): (tuple(of(d) for d in dims), a, attrs) for n, (dims, a, attrs) in made.variables.items()}
    for _, _, attrs in made.variables.values():
        if ": x y" in str(attrs.get("grid_mapping")):
            attrs["grid_mapping"] = attrs["grid_mapping"].replace("x y", f"{of('x')} {of('y')}")


def _refused(drawn: np.random.Generator, made: Drawn) -> None:
    """Now and then something without which a file must be refused."""
    if drawn.random() > 0.12:
        return
    time = next(n for n in ("time", "t", "valid_time") if n in made.variables)
    dims, numbers, about = made.variables[time]
    way = int(drawn.integers(5))
    if way == 0:
        made.variables["rain_rate"][2]["grid_mapping"] = "nowhere"
        made.refused = "names the grid mapping 'nowhere'"
    elif way == 1:
        made.variables[time] = (dims, numbers, {k: v for k, v in about.items() if k != "units"})
        made.variables.pop("time_bnds", None)
        made.refused = "--time-pattern"
    elif way == 2 and numbers.dtype.kind == "f":
        made.variables[time] = (
            dims,
            np.where(np.arange(numbers.size).reshape(numbers.shape) == 0, np.nan, numbers),
            about,
        )
        made.refused = "has no time"
    elif way == 3:
        issued = np.float64(numbers.min() - (1 if numbers.dtype.kind == "f" else 600))
        made.variables["forecast_reference_time"] = (
            (),
            issued,
            {"units": about["units"], "standard_name": "forecast_reference_time"},
        )
        made.refused = "is a forecast"
    else:
        order, array, attrs = made.variables["rain_rate"]
        made.variables["rain_other"] = (order, array, dict(attrs) | {"long_name": "another rain"})
        made.refused = "name one with --variable"


def options(made: Drawn) -> ReadOptions | None:
    """How to read it."""
    return ReadOptions(**made.options) if made.options else None
