"""Advection is that of pysteps on real events, within the error of interpolation."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from echocast.io import reading
from echocast.motion.advection import advect
from echocast.motion.flow import dense_flow

EVENTS = {
    "fmi": ("fmi/20160928/*1[56]*.pgm.gz", 100, 100),
    "knmi": ("knmi/20100826/*", 250, 250),
    "mch": ("mch/20150515/*", 100, 100),
}
"""Files, and the first row and column of 300 cells that the radars see."""


@pytest.mark.data
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("event", EVENTS)
def test_on_the_events_of_the_kit(event: str, data_kit: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("pysteps.extrapolation.semilagrangian", reason="pysteps is not installed")
    where, row, column = EVENTS[event]
    rain, _ = reading.newest(reading.find([str(data_kit / where)]), 4)
    frames = rain.values[:, row : row + 300, column : column + 300].astype(np.float64)
    motion = dense_flow(frames.astype(np.float32))
    last = frames[-1]
    theirs = library.extrapolate(
        last, motion[::-1].astype(np.float64), 12, outval=np.nan, allow_nonfinite_values=True, interp_order=1
    )
    ours = advect(torch.from_numpy(last)[None, None], torch.from_numpy(motion).double()[None], 12)[0, :, 0].numpy()
    for lead in (0, 5, 11):
        both = np.isfinite(theirs[lead]) & np.isfinite(ours[lead])
        assert both.mean() > 0.4
        assert np.isfinite(ours[lead])[np.isfinite(theirs[lead])].mean() > 0.97
        apart = np.abs(ours[lead] - theirs[lead])[both]
        assert apart.mean() < 0.01 * last[np.isfinite(last)].std() + 1e-9
        assert np.corrcoef(ours[lead][both], theirs[lead][both])[0, 1] > 0.999
