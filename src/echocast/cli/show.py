"""echocast show: what one radar file holds, in words and as a picture."""

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echocast.cli import arguments, options, output
from echocast.errors import UnreadableFile

if TYPE_CHECKING:
    import xarray as xr


def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A radar file, a Zarr store, or the URL of either.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.png", help="A picture of its last frame.")] = None,
    format: options.Format = None,  # noqa: A002 (the option's name)
    variable: options.Variable = None,
    units: options.Units = None,
    zr: options.ZR = None,
    min_quality: options.MinQuality = None,
    interval: options.Interval = None,
    time_pattern: options.TimePattern = None,
    missing_value: options.MissingValue = None,
    bbox: options.Bbox = None,
    as_json: options.Json = False,
) -> None:
    """Read one radar file and say what it holds: times, grid, corners, how much was observed, how much rain.

    Example: echocast show 201609281445_fmi.pgm.gz --out finland.png
    """
    if out:
        arguments.check_output(out, "--out", (".png",), [file])
    arguments.check_inputs([file])
    cut = arguments.box(bbox)
    how = options.read_options(
        format=format,
        variable=variable,
        units=units,
        zr=zr,
        min_quality=min_quality,
        interval=interval,
        time_pattern=time_pattern,
        missing_value=missing_value,
    )
    from echocast import fields
    from echocast.io import reading

    with _Warnings() as told:
        places = reading.find([file])
        if len(places) != 1:
            raise UnreadableFile(f"{file}: stands for {len(places)} files, such as {places[-1]}; give one of them")
        field = reading.read(places[0], how)
        if cut:
            field = fields.cropped(field, cut)
    found = _found(field) | {"file": str(places[0]), "warnings": told.messages}
    if as_json:
        output.say_json(found)
    else:
        output.say_rows(_lines(found))
    if out:
        from echocast.plotting import maps

        maps.field_to_png(field, out)


def _found(field: "xr.DataArray") -> dict[str, Any]:
    """What a field holds, as a script reads it."""
    import numpy as np

    from echocast import fields

    seen = field.values[np.isfinite(field.values)]
    times = field.time.values
    rain = field.name == fields.NAME
    found: dict[str, Any] = {
        "source": str(field.attrs.get("source", "unknown")),
        "variable": str(field.name),
        "units": str(field.attrs["units"]),
        "frames": len(times),
        "first_time": times[0],
        "last_time": times[-1],
        "time_step_minutes": fields.time_step(times) if len(times) > 1 else None,
        "shape": [field.sizes["y"], field.sizes["x"]],
        "observed_fraction": float(seen.size / field.size),
        "wet_fraction": float((seen >= _WET_MM_H).mean()) if rain and seen.size else None,
        "lowest": float(seen.min()) if seen.size else None,
        "mean": float(seen.mean()) if seen.size else None,
        "highest": float(seen.max()) if seen.size else None,
        "blank_frames": int((~np.isfinite(field.values).any(axis=tuple(range(1, field.ndim)))).sum()),
        "zr": field.attrs.get("zr"),
        "clipped_cells": field.attrs.get("clipped_cells", 0),
    }
    if "crs" in field.coords:
        found["projection"] = fields.crs_name(field)
        found["cell_km"] = fields.grid_km(field)
        found["corners"] = {name: list(at) for name, at in fields.corners(field).items()}
    return found


_WET_MM_H = 0.1


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The same for people: a title and a text each."""
    from echocast import fields

    first, last = (fields.format_time(found[name]) for name in ("first_time", "last_time"))
    span = first if found["frames"] == 1 else f"{first} to {last}"
    rows = [("source", found["source"]), ("time", f"{span} UTC{_interval(found)}")]
    size = f"{found['shape'][0]} x {found['shape'][1]} cells"
    if "corners" in found:
        rows += [("grid", f"{size} of {found['cell_km']:.3g} km"), ("projection", found["projection"])]
        corners = {name: _degrees(*at) for name, at in found["corners"].items()}
        rows.append(("corners", f"{corners['upper left']} (upper left)    {corners['upper right']} (upper right)"))
        rows.append(("", f"{corners['lower left']} (lower left)    {corners['lower right']} (lower right)"))
    else:
        rows.append(("grid", size))
    rows.append(("observed", _observed(found)))
    if found["highest"] is not None:
        rain = found["variable"] == fields.NAME
        unit = "mm/h" if rain else found["units"]
        text = f"lowest {found['lowest']:.3g}, mean {found['mean']:.3f}, highest {found['highest']:.1f} {unit}"
        rows.append(("rain" if rain else found["variable"], text))
    if found["zr"]:
        rows.append(("Z-R", str(found["zr"])))
    if found["clipped_cells"]:
        rows.append(("clipped", f"{found['clipped_cells']} cells outside 0 to {fields.MAX_RATE:g} mm/h"))
    return rows


def _interval(found: dict[str, Any]) -> str:
    import numpy as np

    step = found["time_step_minutes"]
    return "" if step is None else f", {found['frames']} frames, every {step / np.timedelta64(1, 'm'):g} min"


def _observed(found: dict[str, Any]) -> str:
    share = f"{100 * found['observed_fraction']:.1f} % of the cells"
    if found["wet_fraction"] is not None:
        share += f"; {100 * found['wet_fraction']:.1f} % wet ({_WET_MM_H} mm/h or more)"
    if found["blank_frames"]:
        share += f"; {found['blank_frames']} frames are blank: they count as missing"
    return share


def _degrees(longitude: float, latitude: float) -> str:
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        return "not on Earth"
    return f"{abs(longitude):.3f} {'E' if longitude >= 0 else 'W'} {abs(latitude):.3f} {'N' if latitude >= 0 else 'S'}"


class _Warnings(logging.Handler):
    """Collects the warnings of echocast while a file is read; they are printed as usual too."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    def __enter__(self) -> "_Warnings":
        logging.getLogger("echocast").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("echocast").removeHandler(self)
