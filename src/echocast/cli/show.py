"""echocast show: what one radar file holds, in words and as a picture."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A radar file, a Zarr store, or the URL of either.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.png", help="A picture of its last frame.")] = None,
    format: Annotated[  # noqa: A002 (the option's name)
        str | None, typer.Option("--format", help="Its format (see `echocast formats`); recognised by default.")
    ] = None,
    variable: Annotated[str | None, typer.Option("--variable", metavar="NAME", help="The variable to take.")] = None,
    units: Annotated[str | None, typer.Option("--units", help="The unit of a file that does not say it.")] = None,
) -> None:
    """Read one radar file and say what it holds: time, grid, how much was observed, how much rain.

    Example: echocast show 201609281445_fmi.pgm.gz --out finland.png
    """
    import numpy as np

    from echocast import fields
    from echocast.io import reading
    from echocast.plotting import maps

    field = reading.read(file, reading.ReadOptions(format=format, variable=variable, units=units))
    observed = np.isfinite(field.values)
    values = field.values[observed]
    rain = field.name == fields.NAME
    times = [fields.format_time(t) for t in field.time.values]
    span = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}, {len(times)} frames"
    size = f"{field.sizes['y']} x {field.sizes['x']} cells"
    lines = [("source", str(field.attrs.get("source", "unknown"))), ("time", f"{span} UTC")]
    if "crs" in field.coords:
        lines.append(("grid", f"{size} of {fields.grid_km(field):.3g} km"))
        lines.append(("projection", fields.crs_name(field)))
    else:
        lines.append(("grid", size))
    share = f"{100 * float(observed.mean()):.1f} % of the cells"
    if rain and values.size:
        share += f"; {100 * float((values >= 0.1).mean()):.1f} % wet (0.1 mm/h or more)"
    lines.append(("observed", share))
    if values.size:
        unit = "mm/h" if rain else str(field.attrs["units"])
        mean, highest = float(values.mean()), float(values.max())
        lines.append(("rain" if rain else str(field.name), f"mean {mean:.3f}, highest {highest:.1f} {unit}"))
    if "zr" in field.attrs:
        lines.append(("Z-R", str(field.attrs["zr"])))
    if "clipped_cells" in field.attrs:
        lines.append(("clipped", f"{field.attrs['clipped_cells']} cells outside 0 to {fields.MAX_RATE:g} mm/h"))
    text = "\n".join(f"{name:<11} {said}" for name, said in lines)
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
    if out:
        maps.field_to_png(field, out)
