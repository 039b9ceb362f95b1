"""Archives, their motion, and Moving MNIST in one small file: frames in 8 bits, motion on a coarse grid in 16.

Rates are stored by their logarithm: 0 is dry (below 0.05 mm/h), 1 to 254 are 0.05 to 200 mm/h in steps of 3.3 %, 255 is
not observed. The motion is that which `lagrangian` estimates from the ten frames that end with each frame, in pixels a
time step, as means over squares of `CELL` pixels.
"""

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

CELL = 8
PAST, FUTURE = 10, 18
LOWEST, HIGHEST, MISSING = 0.05, 200.0, 255


def pack(out: Path, archives: list[str], validation: Path | None, *, digits: str) -> None:
    """Write the file; prints what it holds."""
    named = dict(one.partition("=")[::2] for one in archives)
    if validation is not None:
        named["validation"] = str(validation)
    members: dict[str, np.ndarray] = {}
    for name, store in named.items():
        members |= {f"{name}/{key}": value for key, value in _archive(Path(store)).items()}
    members |= _digits(digits)
    write(out, members)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB; " + ", ".join(named))


def write(out: Path, members: dict[str, np.ndarray]) -> None:
    """An .npz that NumPy reads, packed as small as the standard library can."""
    part = out.with_name(out.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_LZMA) as file:
        for name, values in members.items():
            buffer = io.BytesIO()
            np.save(buffer, values, allow_pickle=False)
            file.writestr(f"{name}.npy", buffer.getvalue())
    part.replace(out)


def to_bytes(rain_mm_h: np.ndarray) -> np.ndarray:
    """Rates in 8 bits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.log(rain_mm_h / LOWEST) / np.log(HIGHEST / LOWEST)
    stored = np.where(rain_mm_h < LOWEST, 0, 1 + np.clip(np.rint(place * 253), 0, 253))
    return np.where(np.isnan(rain_mm_h), MISSING, stored).astype(np.uint8)


def table() -> np.ndarray:
    """The rate (mm/h) of each byte."""
    rates = LOWEST * (HIGHEST / LOWEST) ** ((np.arange(256) - 1) / 253)
    rates[0], rates[MISSING] = 0.0, np.nan
    return rates.astype(np.float32)


def _archive(store: Path) -> dict[str, np.ndarray]:
    from echocast.archive import contents

    return packed(contents.open(store))


def packed(field: "xr.DataArray") -> dict[str, np.ndarray]:
    """The segments of a field (time, y, x) one after the other, in bytes, with the motion of each frame."""
    from echocast import fields
    from echocast.samples import segments

    parts = segments.segments(field)
    stored = [to_bytes(field[part].values) for part in parts]
    with ThreadPoolExecutor() as pool:  # OpenCV lets other threads run while it works
        motions = list(pool.map(_motions, stored))
    step = float(fields.time_step(field.time.values) / np.timedelta64(1, "m"))
    return {
        "frames": np.concatenate(stored),
        "lengths": np.array([len(part) for part in stored]),
        "motion": np.concatenate(motions),
        "cell_km_step_minutes": np.array([fields.grid_km(field), step]),
    }


def _motions(frames: np.ndarray) -> np.ndarray:
    """For each frame of a segment the motion (2, rows, columns) of the frames that end with it; 0 for the first."""
    from echocast.models.lagrangian import MotionSettings
    from echocast.motion.flow import dense_flow

    settings, rates = MotionSettings(), table()
    rows, columns = (-(-n // CELL) for n in frames.shape[-2:])
    motions = np.zeros((len(frames), 2, rows, columns), np.float16)
    for last in range(1, len(frames)):
        past = np.nan_to_num(rates[frames[max(0, last + 1 - PAST) : last + 1]])
        flow = dense_flow(
            past, pairs=settings.pairs, min_smoothing_px=settings.min_smoothing_px, method=settings.method
        )
        motions[last] = _means(flow)
    return motions


def _means(flow: np.ndarray) -> np.ndarray:
    """Means over squares, the last ones of what is there."""
    margin = [(0, 0), *((0, -n % CELL) for n in flow.shape[-2:])]
    padded = np.pad(flow, margin, mode="edge")
    return padded.reshape(2, padded.shape[1] // CELL, CELL, -1, CELL).mean(axis=(2, 4))


def _digits(source: str) -> dict[str, np.ndarray]:
    """What the paper's sequences are drawn from: the pool of digits, which of them, and where they are."""
    from echocast.synthetic import moving_mnist
    from echocast.synthetic.mnist import digits_of

    pool = moving_mnist.paper_pool(digits_of("train", source=source)[0])
    chosen, corners = moving_mnist.paper_draws(len(pool))
    return {"digits/pool": pool, "digits/chosen": chosen.astype(np.uint16), "digits/corners": corners.astype(np.uint8)}
