"""Rules, issues and messages for tests: real files in the formats of the service."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from echocast.operations.alerts import config, issue
from echocast.operations.alerts.config import Alerts
from echocast.operations.alerts.issue import Published
from echocast.operations.alerts.messages import Issued, Message, made
from echocast.operations.alerts.states import Record
from echocast.operations.grid import Axis, Grid
from echocast.operations.layer_file import Layer
from echocast.operations.point_file import write_points
from echocast.operations.stamps import NS, iso, name_stamp

T0 = 1_792_000_200.0
"""2026-10-14T17:50:00Z."""
STEP_S = 300.0
SHAPE = (12, 10)
GRID = Grid(pyproj.CRS.from_epsg(3067).to_wkt(), Axis(400_500.0, 1000.0, 10), Axis(6_711_500.0, -1000.0, 12))
"""One kilometre; the upper left corner is at 400 km, 6712 km of ETRS-TM35FIN."""

AREA = 'id = "town"\nname = "Town"\npoint = [{lon}, {lat}]\nradius_km = 1.2\n'
RULE = 'id = "heavy"\nareas = ["*"]\nseverity = "Severe"\nquantity = "rate"\nthreshold = 10\n'


def place(row: float, column: float) -> tuple[float, float]:
    """Longitude and latitude of the centre of a cell."""
    lon, lat = GRID.places(np.array([row + 0.5]), np.array([column + 0.5]))
    return float(lon[0]), float(lat[0])


def text(rule: str = RULE, *, area: str | None = None, more: str = "", top: str = "") -> str:
    """A file of one area around the cell (5, 4), one rule and what else is given."""
    lon, lat = place(5, 4)
    area = AREA.format(lon=lon, lat=lat) if area is None else area
    return f"{top}\n[[area]]\n{area}\n[[rule]]\n{rule}\n{more}\n"


def alerts(folder: Path, rule: str = RULE, **more: Any) -> Alerts:
    """The rules of `text`, from a file."""
    path = folder / "alerts.toml"
    path.write_text(text(rule, **more), encoding="utf-8")
    return config.load(path)


def published(folder: Path, number: int, layers: dict[str, Any], *, revision: int = 0, grid: Grid = GRID) -> Published:
    """An issue on the disk, number steps after T0; its layers are values (lead, y, x), or one for all cells of a lead.

    Amounts have the lead of their span, others 5, 10, 15 ... min.
    """
    time = T0 + number * STEP_S
    name = f"{name_stamp(int(time) * NS)}-0000000{revision}"
    there = folder / name
    there.mkdir(parents=True, exist_ok=True)
    found = {}
    for layer, given in layers.items():
        values = np.asarray(given, np.float32)
        values = np.broadcast_to(values[:, None, None], (len(values), *SHAPE)) if values.ndim == 1 else values
        spans = [float(part) for part in layer.split(".") if "amount" in layer and part.isdigit()]
        leads = tuple(spans[:1]) or tuple(5.0 * (n + 1) for n in range(len(values)))
        found[layer] = Layer(np.ascontiguousarray(values), leads, "rate", layer)
    meta = {
        "id": name,
        "time": iso(time),
        "published": iso(time + 120),
        "model": {"name": "lagrangian", "digest": "0"},
        "grid": grid.as_dict(),
        "point_file": write_points(there / "points.bin", found),
    }
    (there / "meta.json").write_text(json.dumps(meta))
    return issue.of_folder(there)


def message(found: Alerts, kind: str = "Alert", number: int = 0, **record: Any) -> Message:
    """A message of the first rule and area."""
    rule = found.rules[0]
    about = {"state": "active", "incident": "i" * 32, "value": 12.0, "severity": "Severe"} | record
    about |= {"onset": T0 + 900, "end": T0 + 1800}
    issued = Issued(f"issue-{number}", T0 + number * STEP_S, "lagrangian", T0 + number * STEP_S + 60)
    return made(
        rule,
        found.areas[rule.id][0],
        Record(**about),
        issued,
        kind,
        "raised",
        found.languages,
        found.zone,  # type: ignore[arg-type]
    )
