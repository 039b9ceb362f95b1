"""What stands in an images.toml, in a module of its own: only folders that have one need pydantic."""

from typing import Annotated, Literal

import pydantic

_Colour = Annotated[str, pydantic.Field(pattern="^#[0-9a-fA-F]{6}$")]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Entry(_Strict):
    """A colour and the value that it stands for."""

    color: _Colour
    value: float


class Grid(_Strict):
    """Where the pictures lie."""

    crs: str
    left: float
    top: float
    cell: float | None = pydantic.Field(None, gt=0)
    cell_x: float | None = pydantic.Field(None, gt=0)
    cell_y: float | None = pydantic.Field(None, gt=0)


class Note(_Strict):
    """What an images.toml says."""

    pattern: str
    units: str
    grid: Grid
    gain: float | None = None
    offset: float = 0.0
    pixel: Literal["grey", "index"] = "grey"
    palette: list[Entry] | None = None
    nodata: list[int | _Colour] = []
    dry: list[int | _Colour] = []
    interval_minutes: float | None = pydantic.Field(None, gt=0)
    source: str = "pictures"
