"""Simulated storms: rain cells on a rotating, shearing flow, seen by one radar.

Cells are born, grow, merge, decay and die while the flow carries them; a wide area of light rain and a speckle of
turbulence travel along. The radar sees a disk, less one blocked sector. The same seed gives the same storm.

    >>> field = generate(frames=3, size=48, seed=1)
    >>> field.dims, field.attrs["units"]
    (('time', 'y', 'x'), 'mm h-1')
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.ndimage import gaussian_filter, map_coordinates

from echocast import fields
from echocast.synthetic._flow import Flow

PLACE = (11.2, 46.5)
START = np.datetime64("2026-06-01T12:00", "ns")
"""Longitude and latitude of the radar, and the time of its first frame, unless others are asked for."""
_LIGHTEST_MM_H = 0.1
_HEAVIEST_DBZ = 57.0
"""About 130 mm/h by Marshall and Palmer."""


@dataclass(frozen=True)
class _Cells:
    """All cells of a storm: arrays with one value a cell."""

    place: np.ndarray
    birth: np.ndarray
    life: np.ndarray
    peak_dbz: np.ndarray
    radius_km: np.ndarray
    stretch: np.ndarray
    angle: np.ndarray


def generate(
    *,
    frames: int = 28,
    size: int = 160,
    grid_km: float = 2.0,
    time_step_minutes: float = 5.0,
    seed: int = 0,
    whole: bool = False,
    place: tuple[float, float] = PLACE,
    start: np.datetime64 = START,
) -> xr.DataArray:
    """A storm as a checked field of rain rates (mm/h).

    Args:
        frames: how many frames.
        size: cells along y and along x.
        grid_km: cell size in km.
        time_step_minutes: time between frames.
        seed: what all of it is drawn from.
        whole: the rain everywhere, and not only where the radar looks.
        place: longitude and latitude of the radar, in the middle.
        start: the time of the first frame.

    Returns:
        (frames, size, size), NaN outside the radar's disk and in its blocked sector unless it is `whole`.

    Raises:
        ValueError: fewer than 1 frame, fewer than 8 cells a side, or a size or step that is not positive.
    """
    if frames < 1 or size < 8 or grid_km <= 0 or time_step_minutes <= 0:
        raise ValueError(
            f"cannot simulate {frames} frames of {size} x {size} cells of {grid_km} km every {time_step_minutes} min"
        )
    rng = np.random.default_rng(seed)
    km = (np.arange(size) - (size - 1) / 2) * grid_km
    east, north = np.meshgrid(km, km[::-1])
    half = size * grid_km / 2
    flow = Flow.draw(rng, half)
    cells = _draw_cells(rng, half, frames * time_step_minutes)
    texture = _Texture.draw(rng, size, grid_km)
    unseen = ~_seen(rng, east, north, half)
    rain = np.stack(
        [_frame(number * time_step_minutes, cells, flow, texture, (east, north)) for number in range(frames)]
    )
    if not whole:
        rain[:, unseen] = np.nan
    times = start + np.arange(frames) * np.timedelta64(round(time_step_minutes * 60e9), "ns")
    return fields.make(
        rain,
        time=times,
        y=km[::-1] * 1000,
        x=km * 1000,
        crs=f"+proj=aeqd +lat_0={place[1]} +lon_0={place[0]} +datum=WGS84 +units=m",
        attrs={"source": f"simulated storm, seed {seed}"},
    )


def _draw_cells(rng: np.random.Generator, half: float, minutes: float) -> _Cells:
    """Cells in clusters, so that they merge; some there from the start, some born on the way."""
    clusters = rng.uniform(-1.5 * half, 1.5 * half, (max(6, int(half / 16)), 2))
    count = max(24, int(0.9 * half))
    spread = rng.normal(0.0, 0.16 * half, (count, 2))
    life = rng.gamma(5.0, 16.0, count) + 20.0
    return _Cells(
        place=clusters[rng.integers(len(clusters), size=count)] + spread,
        birth=rng.uniform(-80.0, minutes, count),
        life=life,
        peak_dbz=np.clip(rng.normal(39.0, 7.0, count), 26.0, 55.0),
        radius_km=rng.gamma(6.0, 1.1, count) + 3.0,
        stretch=rng.uniform(1.0, 2.2, count),
        angle=rng.uniform(0.0, np.pi, count),
    )


def _frame(
    minute: float, cells: _Cells, flow: Flow, texture: "_Texture", grid: tuple[np.ndarray, np.ndarray]
) -> Float[np.ndarray, "y x"]:
    """The rain at one moment."""
    age = (minute - cells.birth) / cells.life
    # Radar reflectivities of overlapping cells add as power: they merge.
    power = np.zeros_like(grid[0])
    places = flow.carry(cells.place, minute)
    for number in np.flatnonzero((age > 0) & (age < 1)):
        power += _cell(cells, int(number), float(age[number]), places[number], grid)
    origin = flow.carry(np.stack(grid, axis=-1), -minute)
    speckle, wide = texture.at(origin, minute)
    dbz = 10.0 * np.log10(power + 10.0 ** (wide / 10.0)) + 3.2 * speckle
    rate = fields.rain_rate(np.minimum(dbz, _HEAVIEST_DBZ))
    return np.where(rate < _LIGHTEST_MM_H, 0.0, rate)


def _cell(
    cells: _Cells, number: int, age: float, place: np.ndarray, grid: tuple[np.ndarray, np.ndarray]
) -> Float[np.ndarray, "y x"]:
    """Reflectivity factor of one cell: a stretched bell that rises quickly and falls slowly."""
    strength = np.sin(np.pi * age**0.7)
    east, north = place
    radius = cells.radius_km[number] * (0.5 + 0.5 * strength)
    cos, sin = np.cos(cells.angle[number]), np.sin(cells.angle[number])
    along = (grid[0] - east) * cos + (grid[1] - north) * sin
    across = (grid[1] - north) * cos - (grid[0] - east) * sin
    distance = (along / cells.stretch[number]) ** 2 + (across * cells.stretch[number] ** 0.5) ** 2
    peak = 10.0 ** (cells.peak_dbz[number] * (0.35 + 0.65 * strength) / 10.0)
    return np.asarray(peak * np.exp(-np.sqrt(1.0 + distance / radius**2) * 3.2 + 3.2))


@dataclass(frozen=True)
class _Texture:
    """Correlated noise that travels with the air: a fine one for speckle, a wide one for areas of light rain.

    Two fields of each are blended over time, so that the texture slowly becomes another.
    """

    fine: np.ndarray
    wide: np.ndarray
    km: float

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int, grid_km: float) -> "_Texture":
        shape = (2, 2 * size, 2 * size)
        fine = sum(
            weight * _unit(gaussian_filter(rng.standard_normal(shape), (0, s, s), mode="wrap"))
            for s, weight in ((2.5 / grid_km, 0.5), (7.0 / grid_km, 0.6), (18.0 / grid_km, 0.6))
        )
        wide = _unit(gaussian_filter(rng.standard_normal(shape), (0, 30.0 / grid_km, 30.0 / grid_km), mode="wrap"))
        return cls(np.asarray(fine), wide, grid_km)

    def at(self, origin: np.ndarray, minute: float) -> tuple[np.ndarray, np.ndarray]:
        """Speckle, and reflectivity (dBZ) of light rain, where the air came from."""
        place = np.stack([-origin[..., 1], origin[..., 0]]) / self.km + self.fine.shape[-1] / 2
        turn = np.pi / 2 * min(minute / 240.0, 1.0)
        blend = np.array([np.cos(turn), np.sin(turn)])
        speckle, wide = (
            sum(w * map_coordinates(f, place, order=1, mode="grid-wrap") for w, f in zip(blend, noise, strict=True))
            for noise in (self.fine, self.wide)
        )
        return np.asarray(speckle), np.asarray(4.0 + 13.0 * wide)


def _unit(noise: np.ndarray) -> np.ndarray:
    return np.asarray((noise - noise.mean()) / noise.std())


def _seen(rng: np.random.Generator, east: np.ndarray, north: np.ndarray, half: float) -> np.ndarray:
    """The radar's disk less a sector that a mountain hides beyond some distance."""
    distance, azimuth = np.hypot(east, north), np.arctan2(east, north)
    middle, width = rng.uniform(-np.pi, np.pi), rng.uniform(0.15, 0.3)
    off = np.abs(np.angle(np.exp(1j * (azimuth - middle))))
    hidden = (off < width / 2) & (distance > 0.35 * half)
    return np.asarray((distance <= 0.98 * half) & ~hidden)
