"""A radar that is not real: it drops a file a frame into a folder, as its clock goes, for demonstrations and tests.

>>> import tempfile
>>> from echocast.operations.clocks import ManualClock
>>> clock = ManualClock(1_795_896_000.0)
>>> with tempfile.TemporaryDirectory() as folder:
...     radar = SimulatedRadar(Path(folder), clock, size=16, past=2)
...     radar.advance()
...     clock.sleep(400)
...     radar.advance()
...     sorted(path.name for path in Path(folder).iterdir())[-1]
2
2
'radar_202611282005.nc'
"""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from echocast.io.forecast_file import series_to_netcdf
from echocast.operations.clocks import Clock
from echocast.operations.stamps import NS
from echocast.synthetic import storms

STEP_S = 300
_DELAY_S = 60.0
"""After the time of a frame its file is there."""
_STORM = 72
"""Frames of one storm: then another one comes."""


@dataclass
class SimulatedRadar:
    """Files of a simulated storm, each there a minute after its time.

    Args:
        folder: where to.
        clock: the time that it lives by.
        seed: of the first storm; the next has the next number.
        size: cells along each side.
        past: how many frames are there at the start.
    """

    folder: Path
    clock: Clock
    seed: int = 0
    size: int = 160
    past: int = 12

    def __post_init__(self) -> None:
        """The times begin on whole steps, so that the newest is there at once."""
        last = (self.clock.now() - _DELAY_S) // STEP_S * STEP_S
        self._first = last - (self.past - 1) * STEP_S
        self._written = 0
        self._storm: tuple[int, xr.DataArray] | None = None

    def advance(self) -> int:
        """Write what is due; how many files that were.

        Raises:
            DataError: the folder cannot be written.
        """
        due = int((self.clock.now() - _DELAY_S - self._first) // STEP_S) + 1
        count = max(0, due - self._written)
        for number in range(self._written, self._written + count):
            frame = self._frame(number)
            stamp = str(frame.time.values[0].astype("datetime64[m]")).translate({ord(sign): None for sign in "-T:"})
            series_to_netcdf(frame, self.folder / f"radar_{stamp}.nc")
        self._written += count
        return count

    def run(self, stop: threading.Event) -> None:
        """Write until told to stop."""
        while not stop.wait(0.2):
            self.advance()

    def _frame(self, number: int) -> xr.DataArray:
        storm, at = divmod(number, _STORM)
        if self._storm is None or self._storm[0] != storm:
            self._storm = storm, storms.generate(frames=_STORM, size=self.size, seed=self.seed + storm)
        time = np.array([int((self._first + number * STEP_S) * NS)], "datetime64[ns]")
        return self._storm[1][at : at + 1].assign_coords(time=time)
