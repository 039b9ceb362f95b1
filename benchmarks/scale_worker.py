"""One archive from files to scores on a Dask cluster of two processes; what `scale` starts for each length.

What grows with an archive is as in a national composite of 1226 x 760 cells, only the frames are small: two frames a
chunk and 70 frames a transaction. Prints JSON: by stage seconds of all processors, of the clock, and memory.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from echocast import archive, parallel
from echocast.archive import ingest
from echocast.evaluation import Job, VerificationConfig, run
from echocast.io import store as stores
from echocast.nowcast import reforecasting

FRAMES_A_CHUNK, FRAMES_A_TRANSACTION = 2, 70
STAGES = ("ingest", "verify", "reforecast", "verify forecasts")


def spent() -> float:
    """Seconds of the processor that this process took, in all threads."""
    return time.process_time()


def largest() -> float:
    """The largest resident size of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work(files: list[Path], folder: Path, address: str) -> dict[str, Callable[[], Any]]:
    """The stages, each of which gives how much it did."""
    store, forecasts = str(folder / "store.zarr"), folder / "forecasts"
    workers = parallel.Workers(dask=address)
    config = VerificationConfig(past=4, leads=6, stride=12, scores=("continuous",))
    every = reforecasting.Settings("persistence", minutes=30, frames=4, every=240)

    def ingest_files() -> int:
        return archive.write(files, store, workers=workers).frames

    def verify() -> int:
        return run(Job(store, {"persistence": "persistence"}, config=config), workers=workers).cases

    def reforecast() -> int:
        return reforecasting.run(store, forecasts, every, workers=workers).made

    def verify_forecasts() -> int:
        every_issue = VerificationConfig(past=1, leads=6, stride=1, scores=config.scores)
        return run(Job(store, {}, {"again": str(forecasts)}, every_issue), workers=workers).cases

    return dict(zip(STAGES, (ingest_files, verify, reforecast, verify_forecasts), strict=True))


def main(listed: Path, folder: Path) -> None:
    """Do all stages with the files that a list names."""
    from distributed import Client, LocalCluster

    files = [Path(line) for line in listed.read_text().split()]
    frame = 2 * int(os.environ["CELLS"])
    stores.CHUNK_BYTES, ingest._BATCH_BYTES = FRAMES_A_CHUNK * frame, FRAMES_A_TRANSACTION * frame
    found = {}
    where = {"processes": True, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with LocalCluster(n_workers=2, **where) as cluster, Client(cluster) as client:  # type: ignore[no-untyped-call]
        for name, stage in work(files, folder, cluster.scheduler_address).items():
            before, theirs, began = spent(), sum(client.run(spent).values()), time.perf_counter()
            done = stage()
            found[name] = {
                "done": done,
                "clock": time.perf_counter() - began,
                "processor": spent() - before + sum(client.run(spent).values()) - theirs,
                "memory": largest(),
                "workers": max(client.run(largest).values()),
            }
    sizes = {"store": stores.size(folder / "store.zarr")}
    sys.stdout.write(json.dumps(found | {"sizes": sizes}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
