"""Archive and forecasters in, scores with their intervals out.

Every forecaster forecasts the same windows and is scored on the same pixels: those observed, and forecast by each of
them. So a forecaster gains nothing by leaving out difficult pixels; its coverage says how many it forecasts. Sums are
kept by bootstrap block, a UTC day inside a segment (an unbroken stretch of frames), and pooled before a ratio is
formed; resampling the blocks gives confidence intervals of a score, or of the difference between two forecasters.

    >>> field = archive.open(Path("radar.zarr"))  # doctest: +SKIP
    >>> result = evaluate(field, {"persistence": Persistence()}, VerificationConfig(leads=12))  # doctest: +SKIP
    >>> result.mean("csi", "persistence", 0.5)  # doctest: +SKIP
    0.31
"""

from echocast.evaluation.at_stations import StationResult, evaluate_at_stations
from echocast.evaluation.config import BootstrapBlock, VerificationConfig
from echocast.evaluation.forecasts import ForecastFiles, ForecastSource, forecasts_of
from echocast.evaluation.result import Difference, Row, VerificationResult
from echocast.evaluation.runner import Job, evaluate, run

__all__ = [
    "BootstrapBlock",
    "Difference",
    "ForecastFiles",
    "ForecastSource",
    "Job",
    "Row",
    "StationResult",
    "VerificationConfig",
    "VerificationResult",
    "evaluate",
    "evaluate_at_stations",
    "forecasts_of",
    "run",
]
