"""The rules of issues, as pure functions: which issues are due, and from which frames each is made.

Times are nanoseconds since 1970 (UTC). Nothing here knows of files, clocks or processes, so a service that was stopped
and started again decides the same.

>>> minute = 60 * 10**9
>>> run_for(10 * minute, [0, 5 * minute, 10 * minute], step=5 * minute, frames=3, least=2, gaps="shorten").used
(0, 300000000000, 600000000000)
>>> run_for(10 * minute, [0, 10 * minute], step=5 * minute, frames=3, least=2, gaps="shorten").reason
'missing_frames'
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Gaps = Literal["shorten", "fill", "refuse"]
"""What a missing frame does: the newest unbroken run is used, one is filled by motion, or there is no issue."""

MISSING_FRAMES = "missing_frames"


@dataclass(frozen=True)
class Run:
    """The frames of one issue.

    Args:
        time: the issue's time, that of the newest frame.
        used: times of the frames, oldest first, without those that are filled.
        filled: times of frames that are made from their neighbours.
        missing: times of the wanted frames that are not there.
        reason: why there is no issue; empty if there is one.
    """

    time: int
    used: tuple[int, ...]
    filled: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    reason: str = ""

    @property
    def times(self) -> tuple[int, ...]:
        """All frames that the forecast is made from, oldest first."""
        return tuple(sorted(self.used + self.filled))


@dataclass(frozen=True)
class Made:
    """What is known of an issue that was published: its revision and the times of the frames it used."""

    revision: int
    used: tuple[int, ...]


@dataclass(frozen=True)
class Due:
    """An issue that is due.

    Args:
        run: its frames.
        revision: 0, or a higher number where an issue of the same time was published before.
        why: ``newest``, ``revised`` or ``catch_up``.
    """

    run: Run
    revision: int
    why: str


def run_for(time: int, there: Collection[int], *, step: int, frames: int, least: int, gaps: Gaps) -> Run:
    """The frames from which the issue of `time` is made, or the reason why it is not.

    Args:
        time: the issue's time.
        there: times of the frames in the store, on the clock of the radar to within `step` / 10.
        step: between two frames.
        frames: how many are wanted.
        least: how many are needed.
        gaps: what a missing frame does.
    """
    wanted = list(_found(time, there, step, frames))
    # What lies before the oldest frame of all is no gap: the service has not run for longer.
    while wanted and wanted[-1][1] is None:
        wanted.pop()
    missing = tuple(sorted(at for at, found in wanted if found is None))
    if gaps == "refuse" and missing:
        return Run(time, (), missing=missing, reason=MISSING_FRAMES)
    used, filled = _newest_run(wanted, fill=gaps == "fill")
    if len(used) + len(filled) < least:
        return Run(time, used, missing=missing, reason=MISSING_FRAMES)
    return Run(time, used, filled, missing)


def _found(time: int, there: Collection[int], step: int, frames: int) -> Iterator[tuple[int, int | None]]:
    """For each wanted time, newest first, the frame that is there; frames tremble by a little."""
    near = {round((time - one) / step): one for one in sorted(there)}
    for number in range(frames):
        one = near.get(number)
        yield time - number * step, one if one is not None and abs(time - number * step - one) <= step // 10 else None


def _newest_run(wanted: Sequence[tuple[int, int | None]], *, fill: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Used and filled times, oldest first, back to the first gap that stays one; a frame between two is filled."""
    used: list[int] = []
    filled: list[int] = []
    for number, (at, found) in enumerate(wanted):
        if found is not None:
            used.append(found)
            continue
        has_older = number + 1 < len(wanted) and wanted[number + 1][1] is not None
        if not (fill and not filled and used and has_older):
            break
        filled.append(at)
    return tuple(reversed(used)), tuple(filled)


@dataclass(frozen=True)
class Wishes:
    """How issues are to be made.

    Args:
        step: between two frames, in ns.
        frames: how many past frames an issue uses.
        least: how many it needs.
        gaps: what a missing frame does.
        catch_up: issues are made up for that far back from the newest frame, in ns; 0 for none.
        revise: whether a late frame that fills a gap of the newest issue makes that issue again.
        after: issues up to this time are not made up for: they were removed, or are from before the service.
    """

    step: int
    frames: int
    least: int
    gaps: Gaps = "shorten"
    catch_up: int = 0
    revise: bool = True
    after: int = 0


def plan(there: Sequence[int], made: Mapping[int, Made], wishes: Wishes) -> tuple[list[Due], list[Run]]:
    """The issues that are due, the most urgent first, and the runs that give none, with their reasons.

    The newest frame's issue comes first, then its revision, then those of the past, newest first. An issue is known by
    its time, so one that was published is made again only as a revision of the newest.

    Args:
        there: times of the frames in the store.
        made: the published issues by their times: the highest revision of each.
        wishes: how issues are to be made.
    """
    due: list[Due] = []
    refused: list[Run] = []
    for time, why in _candidates(there, made, wishes):
        run = run_for(time, there, step=wishes.step, frames=wishes.frames, least=wishes.least, gaps=wishes.gaps)
        if run.reason:
            refused.append(run)
        elif time not in made:
            due.append(Due(run, 0, why))
        elif wishes.revise and why == "revised" and set(run.used) - set(made[time].used) and len(made[time].used):
            due.append(Due(run, made[time].revision + 1, why))
    return due, refused


def _candidates(there: Sequence[int], made: Mapping[int, Made], wishes: Wishes) -> Iterator[tuple[int, str]]:
    """Times for which there may be an issue, the most urgent first, and why."""
    if not there:
        return
    newest, last = max(there), max(made, default=None)
    if last is None or newest > last:
        yield newest, "newest"
    if last is not None and last in there:
        yield last, "revised"
    for time in sorted(set(there) - {newest}, reverse=True):
        if time not in made and newest - wishes.catch_up <= time and time > wishes.after:
            yield time, "catch_up"
