"""Use every plug-in of the example in docs/plugins.md; run by test_plugins.py in a process of its own.

The argument is the folder where the example is installed.
"""

import contextlib
import csv
import functools
import http.server
import io
import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, sys.argv[1])
os.environ["COLUMNS"] = "200"

import numpy as np
import torch
import xarray as xr

import echocast
from echocast import archive
from echocast.archive import transforms
from echocast.cli.main import status
from echocast.fetch import download
from echocast.models import base


def said(*words: str) -> str:
    """What a command line prints; it must succeed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert status([str(word) for word in words]) == 0, words
    return out.getvalue()


def write_frames(folder: Path, count: int) -> None:
    """A shower that moves east, a frame each 5 minutes."""
    folder.mkdir()
    y, x = np.mgrid[:32, :32]
    for number in range(count):
        rates = 8 * np.exp(-((x - 8 - number) ** 2 + (y - 16) ** 2) / 20)
        time = np.datetime64("2024-06-01T12:00") + number * np.timedelta64(5, "m")
        (folder / f"{number:02d}.acme").write_bytes(f"ACME1 {time} 32 32\n".encode() + rates.astype("<f4").tobytes())


def use_reader() -> None:
    assert "ACME radar, binary" in said("formats")
    field = echocast.read(Path("radar/03.acme"))
    assert field.attrs["source"] == "ACME radar"
    assert float(field.max()) == 8.0
    Path("half.acme").write_bytes(b"ACME1 2024-06-01T12:00 32 32\n1234")
    assert status(["nowcast", "half.acme", "--out", "none.nc"]) == 1


def use_model() -> None:
    assert "acme_fading" in said("models")
    future = echocast.resolve("acme_fading").forecast(torch.ones(1, 2, 1, 4, 4), 2)
    torch.testing.assert_close(future[0, :, 0, 0, 0], torch.tensor([0.9, 0.81]))
    echocast.save(base.construct("acme_fading", {"share": 0.5}), Path("m.safetensors"))
    assert echocast.load(Path("m.safetensors")).share == 0.5
    said("nowcast", "radar", "--model", "m.safetensors", "--minutes", "10", "--frames", "4", "--out", "f.nc")
    with xr.open_dataset("f.nc", engine="h5netcdf") as forecast:
        assert [float(v) for v in forecast.rainfall_rate.max(("y", "x"))] == [4.0, 2.0]


def use_transform_and_score() -> None:
    archive.write(["radar"], "acme.zarr", transforms=transforms.parse(["acme_scale factor=2"]))
    assert abs(float(archive.open("acme.zarr").max()) - 16) < 0.2
    assert "Error of the highest rain rate" in said("scores")
    words = ["--scores", "acme_peak", "--past", "2", "--minutes", "10", "--stride", "5", "--workers", "1"]
    said("verify", "acme.zarr", "--models", "persistence,acme_fading", *words, "--out", "report")
    assert "peak error" in Path("report/report.md").read_text(encoding="utf-8")
    with Path("report/scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["score"] == "acme_peak_error"]
    found = {(row["forecaster"], row["lead_minutes"]): float(row["value"]) for row in rows if row["region"] == "all"}
    assert abs(found["acme_fading", "5"] - -0.1 * 16) < 0.05, found
    assert abs(found["acme_fading", "10"] - -0.19 * 16) < 0.05, found
    assert abs(found["persistence", "5"]) < 0.05, found


def use_source() -> None:
    assert "acme_hourly" in download.sources()
    day = Path("server/2024/06/01")
    day.mkdir(parents=True)
    for hour in (12, 13):
        (day / f"{hour}.acme").write_bytes(Path("radar/00.acme").read_bytes())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="server")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        times = ["--from", "2024-06-01T12:00", "--to", "2024-06-01T13:30"]
        mirror = f"http://127.0.0.1:{server.server_port}"
        assert "2 files downloaded" in said("download", "acme_hourly", *times, "--mirror", mirror, "--out", "fetched")
        server.shutdown()
    assert sorted(path.name for path in Path("fetched").glob("*.acme")) == ["20240601T1200.acme", "20240601T1300.acme"]


if __name__ == "__main__":
    write_frames(Path("radar"), 8)
    use_reader()
    use_model()
    use_transform_and_score()
    use_source()
    sys.stdout.write("every kind of plug-in was used\n")
