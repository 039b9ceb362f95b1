"""Covariates: what a forecaster is given beside the frames, aligned with them in time and space.

Files become sources in `echocast.archive.covariates`; a source gives the values of a covariate at the times of a
window's frames, on their grid, as they were known when the forecast was issued. `Given` has several, and
`context_of` makes the context of a forecast of them.
"""

from echocast.samples.covariates.given import Given, clocks, context_of
from echocast.samples.covariates.hiding import hidden
from echocast.samples.covariates.settings import Covariates, FieldFiles, StationFiles
from echocast.samples.covariates.sources import Angle, Fixed, Moments, Runs, Source, Stations

__all__ = [
    "Angle",
    "Covariates",
    "FieldFiles",
    "Fixed",
    "Given",
    "Moments",
    "Runs",
    "Source",
    "StationFiles",
    "Stations",
    "clocks",
    "context_of",
    "hidden",
]
