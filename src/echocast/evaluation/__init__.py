"""Archive and forecasters become scores.

Every forecaster forecasts the same windows and is scored on the same pixels: those observed where each of them says
something. So none gains by keeping silent where it is hard; how much each says is its coverage. Sums are kept by event,
a UTC day inside an unbroken run of frames, and pooled before a ratio is formed; drawing events anew tells how sure a
score, or a difference between two forecasters, is.

    >>> field = archive.open(Path("radar.zarr"))  # doctest: +SKIP
    >>> result = evaluate(field, {"persistence": Persistence()}, Plan(leads=12))  # doctest: +SKIP
    >>> result.mean("csi", "persistence", 0.5)  # doctest: +SKIP
    0.31
"""

from echocast.evaluation.config import Event, Plan
from echocast.evaluation.forecasts import forecasts_of
from echocast.evaluation.result import Difference, Evaluation, Row
from echocast.evaluation.runner import Job, evaluate, run

__all__ = ["Difference", "Evaluation", "Event", "Job", "Plan", "Row", "evaluate", "forecasts_of", "run"]
