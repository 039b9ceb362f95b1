"""Running sums and what they gained from step to step.

>>> import numpy as np
>>> ends = np.datetime64("2018-05-01", "ns") + np.arange(1, 4) * np.timedelta64(3600 * 10**9, "ns")
>>> starts = np.full(3, np.datetime64("2018-05-01", "ns"))
>>> new, since = deaccumulated(np.array([[[1.0]], [[4.0]], [[4.5]]]), starts, ends, "mm")
>>> new.ravel().tolist(), since[1] == ends[0]
([1.0, 3.0, 0.5], np.True_)
"""

import numpy as np

from echocast.errors import UnreadableFile

_RESIDUE, _RESIDUE_SHARE = 0.1, 0.01
"""A running sum may lose so many mm and so much of its highest from one step to the next."""


def deaccumulated(
    amounts: np.ndarray, starts: np.ndarray, ends: np.ndarray, units: str
) -> tuple[np.ndarray, np.ndarray]:
    """What sums gained since the last earlier sum from the same start, and from when on.

    Args:
        amounts: (time, ..., y, x), in the order of `ends`.
        starts: from when on each sums up (datetime64).
        ends: until when.
        units: of the amounts, for messages.

    Returns:
        The amounts of the new intervals, and their starts.

    Raises:
        UnreadableFile: a sum loses more than packing explains.
    """
    latest: dict[np.datetime64, tuple[np.datetime64, np.ndarray]] = {}
    new, begins = np.array(amounts, np.float32), np.array(starts, "datetime64[ns]")
    for number, (start, end) in enumerate(zip(begins.copy(), ends, strict=True)):
        reached = amounts[number]
        if start in latest:
            begins[number], earlier = latest[start]
            new[number] = gained(earlier, reached, ("its sum", units), (begins[number], end))
            reached = highest(earlier, reached)
        latest[start] = (end, reached)
    return new, begins


def highest(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """The highest that a running sum has reached; NaN where it is not known now.

    What is new is counted from there: so a sum that loses a little and gains it again has gained nothing.
    """
    return np.asarray(np.where(np.isnan(later), later, np.fmax(earlier, later)))


def gained(
    earlier: np.ndarray, later: np.ndarray, about: tuple[str, str], times: tuple[np.datetime64, np.datetime64]
) -> np.ndarray:
    """What a running sum gained over the highest before; interpolation and packing let single cells lose a little.

    Args:
        earlier: the highest that it had reached.
        later: the sum now.
        about: what is summed up, and its unit, for messages.
        times: of both.

    Raises:
        UnreadableFile: it loses more.
    """
    new = later - earlier
    lost, most = -float(np.fmin.reduce(new, axis=None)), float(np.fmax.reduce(later, axis=None))
    if lost > _RESIDUE + _RESIDUE_SHARE * most:
        raise UnreadableFile(
            f"{about[0]} loses up to {lost:g} {about[1]} from {times[0]} to {times[1]}, though both are sums"
            " from the same start; split the file if they are not"
        )
    return np.asarray(np.maximum(new, np.float32(0.0)))
