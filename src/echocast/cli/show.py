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

    rain = reading.read(file, reading.ReadOptions(format=format, variable=variable, units=units))
    rows, columns = rain.shape[1:]
    seen = np.isfinite(rain.values)
    values = rain.values[seen]
    times = [fields.format_time(t) for t in rain.time.values]
    span = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}, {len(times)} frames"
    wet = f"{100 * float((values >= 0.1).mean()):.1f} % wet (0.1 mm/h or more)" if values.size else "nothing seen"
    lines = [
        ("source", str(rain.attrs.get("source", "unknown"))),
        ("time", f"{span} UTC"),
        ("grid", f"{rows} x {columns} cells of {fields.grid_km(rain):.3g} km"),
        ("projection", fields.crs_name(rain)),
        ("seen", f"{100 * float(seen.mean()):.1f} % of the cells; {wet}"),
    ]
    if values.size:
        lines.append(("rain", f"mean {float(values.mean()):.3f}, highest {float(values.max()):.1f} mm/h"))
    if "zr" in rain.attrs:
        lines.append(("Z-R", str(rain.attrs["zr"])))
    if "clipped_cells" in rain.attrs:
        lines.append(("clipped", f"{rain.attrs['clipped_cells']} cells outside 0 to {fields.MAX_RATE:g} mm/h"))
    text = "\n".join(f"{name:<11} {said}" for name, said in lines)
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
    if out:
        maps.field_to_png(rain, out)
