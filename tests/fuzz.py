"""Damaged radar files for every reader: only a `DataError` that names the file, or a correct field, may come out.

    python -m tests.fuzz --inputs 100000

Real files of ECHOCAST_DATA are damaged where it is set, and the tiny samples of the tests; a child process reads them,
so that a crash, a hang or an exhausted memory is seen, named with its seed, and the next input goes on. The exit status
is 1 if anything was found.
"""

import argparse
import gzip
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from echocast import fields, plugins
from echocast.errors import DataError
from echocast.io import reading

REAL = {
    "fmi_pgm": ["fmi/20160928/201609281445*.gz"],
    "geotiff": [],  # 36 million cells: the tiny sample stands for it
    "grib": [],
    "knmi": ["knmi/20100826/*0150.h5"],
    "mch_gif": ["mch/20150515/*1825*.gif"],
    "meteonet": [],
    "netcdf": ["taasrad19/test/run_57.nc", "bom/20180616/*1248*.nc", "opensense/openM*.nc"],
    "nwcsaf": ["saf/*T070000Z.nc"],
    "odim": ["opera/20241126/*PAAH22*010000*"],
    "radolan": ["radolan/ry/*1510*", "radolan/products/*rx*", "radolan/products/*sf*"],
}
SLOW_S, SILENCE_S, MEMORY = 20.0, 60.0, 6 * 2**30


def seeds_of(reader: str) -> list[tuple[str, dict[str, bytes]]]:
    """What to damage: of each sample its files, unpacked, the one to read first."""
    from tests import example_files

    found = []
    with tempfile.TemporaryDirectory() as folder:
        path: Path = getattr(example_files, reader)(Path(folder))
        every = sorted(Path(folder).rglob("*"), key=lambda p: not p.is_relative_to(path))
        found.append((path.name, {str(p.relative_to(folder)): unpacked(p) for p in every if p.is_file()}))
    kit = Path(os.environ.get("ECHOCAST_DATA", "nowhere"))
    for pattern in REAL.get(reader, []):
        for real in sorted(kit.glob(pattern))[:1]:
            found.append((real.name, {real.name: unpacked(real)}))
    return found


def unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def damaged(content: bytes, drawn: np.random.Generator) -> bytes:
    """One to six wounds: bits, bytes, extreme numbers, cuts, repeats, swaps; most near the start, where headers are."""
    wounded = bytearray(content)
    for _ in range(int(drawn.integers(1, 7))):
        if not wounded:
            break
        reach = len(wounded) if drawn.random() < 0.4 else min(len(wounded), 4096)
        at, kind = int(drawn.integers(reach)), drawn.integers(8)
        if kind == 0:
            wounded[at] ^= 1 << int(drawn.integers(8))
        elif kind in (1, 2):
            wounded[at] = int(drawn.integers(256))
        elif kind == 3:
            extreme = drawn.choice([0, 1, 0x7F, 0x80, 0xFF])
            wounded[at : at + int(drawn.choice([2, 4, 8]))] = bytes([int(extreme)]) * int(drawn.choice([2, 4, 8]))
        elif kind == 4:
            wounded[at:] = b""
        elif kind == 5:
            wounded[at:at] = wounded[at : at + int(drawn.integers(1, 64))]
        elif kind == 6:
            del wounded[at : at + int(drawn.integers(1, 64))]
        else:
            digits = [n for n in range(min(len(wounded), 4096)) if 0x30 <= wounded[n] <= 0x39]
            if digits:
                wounded[int(drawn.choice(digits))] = 0x30 + int(drawn.integers(10))
    return bytes(wounded)


def read_one(reader: str, seed: int, sources: list[tuple[str, dict[str, bytes]]], folder: Path) -> str:
    """Damage, read, judge: "refused", "a field", or what went wrong."""
    drawn = np.random.default_rng(seed)
    name, contents = sources[int(drawn.integers(len(sources)))]
    victim = str(drawn.choice(list(contents)))
    shutil.rmtree(folder, ignore_errors=True)
    for other, content in contents.items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(damaged(content, drawn) if other == victim else content)
    begun = time.monotonic()
    try:
        field = fields.check(reading.read(folder / name, reader))
        values = field.values[np.isfinite(field.values)]
        if values.size and not (values.min() >= 0 and values.max() <= fields.MAX_RATE):
            return f"rates from {values.min()} to {values.max()}"
        outcome = "a field"
    except DataError as refusal:
        outcome = "refused"
        if not str(refusal).startswith(str(folder / name)):
            return f"a message that does not name the file: {refusal}"
    except Exception as bad:  # whatever it is, it is a finding
        return f"{type(bad).__name__}: {' '.join(str(bad).split())[:160]}"
    return outcome if time.monotonic() - begun < SLOW_S else f"took {time.monotonic() - begun:.0f} s"


def child(reader: str, first: int, last: int, place: str, told: Any) -> None:
    """Read inputs and tell of each; the number of the one in work lies in shared memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 (libraries write there of every damaged file)
    os.dup2(sys.stderr.fileno(), 2)
    sources = seeds_of(reader)
    for seed in range(first, last):
        told.put((seed, ""))
        told.put((seed, read_one(reader, seed, sources, Path(place) / reader)))


def run(reader: str, inputs: int, place: str, start: int = 0) -> tuple[Counter[str], list[str]]:
    """All inputs of one reader, in as many children as it takes; outcomes and findings."""
    context = multiprocessing.get_context("spawn")
    outcomes: Counter[str] = Counter()
    findings: list[str] = []
    at, last = start, start + inputs
    while at < last:
        told: Any = context.Queue()
        process = context.Process(target=child, args=(reader, at, last, place, told), daemon=True)
        process.start()
        working, heard = at, time.monotonic()
        while at < last:
            try:
                working, outcome = told.get(timeout=1.0)
                heard = time.monotonic()
            except Exception:  # nothing yet
                dead, hangs = not process.is_alive(), time.monotonic() - heard > SILENCE_S
                if not dead and not hangs:
                    continue
                findings.append(f"{reader} seed {working}: {'hangs' if hangs else f'crash {process.exitcode}'}")
                outcomes["killed"] += 1
                at = working + 1
                break
            if not outcome:
                continue
            at = working + 1
            outcomes[outcome if outcome in ("refused", "a field") else "wrong"] += 1
            if outcome not in ("refused", "a field"):
                findings.append(f"{reader} seed {working}: {outcome}")
        process.kill()
        process.join()
    return outcomes, findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="of all readers together")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--readers", default="", help="only these, separated by commas")
    given = parser.parse_args()
    readers = given.readers.split(",") if given.readers else plugins.names("echocast.readers")
    bad = 0
    shared = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=shared) as place:
        for reader in readers:
            begun = time.monotonic()
            outcomes, findings = run(reader, given.inputs // len(readers), place, given.start)
            print(f"{reader}: {dict(outcomes)} in {time.monotonic() - begun:.0f} s", flush=True)
            for finding in findings[:20]:
                print(f"  {finding}", flush=True)
            bad += len(findings)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
