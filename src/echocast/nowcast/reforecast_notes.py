"""What all forecasts of a folder share, kept in its ``reforecast.json``, so that a later run cannot mix others in.

>>> Settings("optical_flow", minutes=60).told()["minutes"]
60
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast._version import __version__
from echocast.atomic import atomic_write
from echocast.errors import DataError

NAME = "reforecast.json"
_FORMAT = "echocast reforecast 1"


@dataclass(frozen=True)
class Settings:
    """How each forecast is made.

    Args:
        model: a forecaster's name, the path of a checkpoint, or a class as ``my.py:Class``.
        minutes: how far to forecast, rounded up to whole time steps.
        frames: how many frames each forecast is made from.
        every: minutes between two issue times, counted from midnight UTC; a day must hold a whole number of them.
        members: of each ensemble; None for one forecast.

    Raises:
        DataError: numbers that make no forecasts.
    """

    model: str
    minutes: float = 90.0
    frames: int = 10
    every: float = 30.0
    members: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.every <= 1440 or abs(1440 / self.every - round(1440 / self.every)) > 1e-9:
            raise DataError(f"every {self.every:g} min: a day must hold a whole number of these, as of 5, 30 or 60")

    def told(self) -> dict[str, Any]:
        """By name, without where the model's file lies."""
        return asdict(self) | {"model": Path(self.model).name}


def of_archive(rain: xr.DataArray) -> dict[str, Any]:
    """What an archive is known by wherever it lies: its grid, time step, and what its frames are."""
    place = (rain.y.values.tobytes(), rain.x.values.tobytes(), fields.crs_name(rain).encode())
    step = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    about = {name: str(rain.attrs[name]) for name in ("source", "zr", "product", "transforms") if name in rain.attrs}
    return about | {"grid": hashlib.sha256(b"|".join(place)).hexdigest()[:16], "time_step_minutes": step}


def of_model(model: str) -> dict[str, Any]:
    """The version of echocast, and a digest of a model's weights or source; None of one without."""
    path = Path(model.rpartition(":")[0] if ".py:" in model else model)
    shipped = resources.files("echocast.weights") / f"{model}.safetensors"
    content = path.read_bytes() if path.is_file() else shipped.read_bytes() if shipped.is_file() else None
    return {"echocast": __version__, "weights": content and hashlib.sha256(content).hexdigest()[:16]}


def check_notes(folder: Path, asked: Mapping[str, Any]) -> None:
    """Refuse a folder whose forecasts were made otherwise; one without notes, and without forecasts, gets these.

    Raises:
        DataError: another model, setting, version or archive; forecasts that no run made; or it cannot be written.
    """
    path = folder / NAME
    if not path.exists():
        if any(not one.name.startswith(".") for one in folder.rglob("*.nc")):
            raise DataError(f"{folder}: holds forecasts, and no {NAME} that says of what; give another --out")
        with atomic_write(path) as partial:
            partial.write_text(json.dumps({"format": _FORMAT} | dict(asked), indent=1) + "\n", encoding="utf-8")
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as bad:
        raise DataError(f"{path}: cannot be read ({bad}); give another --out") from bad
    for name, value in ({"format": _FORMAT} | dict(asked)).items():
        if known.get(name) != value:
            raise DataError(
                f"{folder}: its forecasts have {name} = {_shown(known.get(name))}, and {_shown(value)} is asked for;"
                " give the same, or another --out"
            )


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
