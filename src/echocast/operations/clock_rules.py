"""Rules of frames and of time, as pure functions: the radar's clock, how late frames usually are, the feed's state.

>>> expected_delay([60.0, 70.0, 80.0] * 10, start=300.0)
80.0
>>> state_of(now=1000.0, newest=400.0, step=300.0, delay=60.0, stale=1200.0)
'ok'
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from echocast import fields
from echocast.operations.stamps import NS

DELAYS = 100
"""As many delays tell how late frames usually are."""
_FEW = 10
FUTURE_S = 120.0
"""A frame further ahead of our clock than this is refused: the radar's clock or ours is wrong."""


def step_of(times: Sequence[int], told: int | None = None) -> int | None:
    """The radar's time step in ns: the one that was told, else that of the frames; None of fewer than three."""
    if told is not None:
        return told
    if len(times) < 3:
        return None
    return _step(tuple(sorted(times)))


@lru_cache(maxsize=4)
def _step(times: tuple[int, ...]) -> int:
    return int(fields.time_step(np.array(times, "datetime64[ns]")).astype("timedelta64[ns]").astype(np.int64))


def is_on_clock(time: int, times: Sequence[int], told: int | None = None) -> bool:
    """Whether a frame is on the radar's clock, within `echocast.fields.tolerance`, as in an archive.

    A frame between two others may show that the step is shorter than was thought: it is on the clock if all are on the
    clock of all. With a step that was told, the clock starts at the oldest frame.

    Args:
        time: the new frame's time in ns.
        times: those of the frames that there are.
        told: the step in ns, if it was told.
    """
    if not times or time in times:
        return True
    values, one = np.array(sorted(times), "datetime64[ns]"), np.datetime64(time, "ns")
    if told is not None:
        return bool(fields.Clock(values[0], np.timedelta64(told, "ns")).has(one))
    if len(times) < 2:
        return True
    if fields.clock(values).has(one):
        return True
    together = np.sort(np.append(values, one))
    return bool(fields.clock(together).has(together).all())


def expected_delay(delays: Sequence[float], *, start: float) -> float:
    """How many seconds after its time a frame is expected: the 90 % quantile of the last delays, `start` of few."""
    recent = sorted(delays[-DELAYS:])
    return recent[int(0.9 * (len(recent) - 1) + 0.5)] if len(recent) >= _FEW else start


def state_of(*, now: float, newest: float | None, step: float, delay: float, stale: float) -> str:
    """The state of the feed: ``starting`` without any frame, ``ok``, ``late`` or ``stale``.

    Args:
        now: seconds since 1970.
        newest: the time of the newest frame, if there is one.
        step: seconds between frames.
        delay: how many seconds after its time a frame is expected.
        stale: a newest frame older than this is stale.
    """
    if newest is None:
        return "starting"
    if now - newest > stale:
        return "stale"
    return "late" if now > newest + step + delay + step else "ok"


def is_future(time_ns: int, now: float) -> bool:
    """Whether a frame is from the future: more than two minutes ahead of our clock."""
    return time_ns / NS > now + FUTURE_S
