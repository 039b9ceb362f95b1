"""The numbers of ODIM_H5 as values: gain and offset, what is dry and what was not observed.

Source: ODIM_H5 2.4: undetect is below what the radar detects, nodata is where no radar looked.
"""

from collections.abc import Callable

import numpy as np

from echocast.errors import UnreadableFile
from echocast.readers import _hdf5


def decoder(
    raw: np.ndarray, numbers: dict[str, float], dry: float, missing_value: tuple[float, ...]
) -> Callable[[np.ndarray], np.ndarray]:
    """What makes values (float32, NaN where not observed) of numbers of the file.

    Args:
        raw: the numbers of the file, for what has to be proved of them.
        numbers: ``gain``, ``offset``, ``nodata`` and ``undetect``, as far as the file has them.
        dry: the value of what is below detection.
        missing_value: more numbers that mean "not observed".

    Raises:
        UnreadableFile: the numbers can mean more than one thing.
        ValueError: the gain is zero or no number.
    """
    gain, offset = numbers.get("gain", 1.0), numbers.get("offset", 0.0)
    if not (np.isfinite([gain, offset]).all() and gain != 0):
        raise ValueError(f"gain {gain:g} and offset {offset:g}")
    _check(raw, numbers, missing_value)
    nodata, undetect = numbers.get("nodata"), numbers.get("undetect")

    def decode(level: np.ndarray) -> np.ndarray:
        plain = (gain, offset) == (1.0, 0.0)
        values = level.astype(np.float32) if plain else (gain * level + offset).astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        if undetect is not None:
            values[_is(level, undetect)] = dry
        for number in (nodata, *missing_value):
            if number is not None and not (number == undetect and missing_value and number not in missing_value):
                values[_is(level, number)] = np.nan
        return values

    return decode


def _check(raw: np.ndarray, numbers: dict[str, float], missing_value: tuple[float, ...]) -> None:
    nodata, undetect = numbers.get("nodata"), numbers.get("undetect")
    if raw.dtype.kind in "iu" and "gain" not in numbers and "offset" not in numbers:
        raise UnreadableFile(f"holds whole numbers ({raw.dtype}) without gain and offset; write these into the file")
    for name in {"nodata", "undetect"} & set(numbers):
        _hdf5.check_holds(raw.dtype, name, numbers[name])
    same = nodata is not None and undetect is not None and np.array_equal(nodata, undetect, equal_nan=True)
    if same and not missing_value and _is(raw, float(nodata or 0.0)).any():
        raise UnreadableFile(
            f"nodata and undetect are both {nodata:g}, so its cells may be dry or not observed; give --missing-value"
            f" {nodata:g} if they were not observed, or another number if they are dry"
        )


def _is(level: np.ndarray, number: float) -> np.ndarray:
    """Cells of a number, which may be NaN."""
    return np.asarray(np.isnan(level) if np.isnan(number) else level == number)
