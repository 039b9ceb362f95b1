"""Measure speed and memory on this machine: ``python -m benchmarks layers --out docs/benchmarks/layers.md``."""

import argparse
import importlib
import sys
import time
from pathlib import Path

from benchmarks import timing
from echocast.errors import EchocastError

BENCHMARKS = (
    "archive",
    "everyday",
    "large",
    "layers",
    "layers_gpu",
    "nowcast",
    "page",
    "prednet",
    "scale",
    "segmentation",
    "serve",
    "verify",
    "watch",
)


def make_parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure speed and memory, candidates in turn, and print the table as Markdown. Nothing else"
        " should run meanwhile. Keras takes part where it is installed (extra bench).",
    )
    parser.add_argument("what", choices=BENCHMARKS, help="what to measure")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the table there too")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each candidate (default: 7)")
    parser.add_argument("--device", default="cpu", help="where to measure: cpu, cuda (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, to see that it runs; the times mean nothing")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="the processor's time in place of the clock's, for a machine that others use too (of all threads together:"
        " set OMP_NUM_THREADS=1)",
    )
    parser.add_argument(
        "--only",
        metavar="PARTS",
        help="of layers: inference, training, loss, memory, with commas between (default: all)",
    )
    parser.add_argument(
        "--rio-tiler", metavar="PYTHON", help="interpreter that has rio-tiler, which serve is then compared with"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for, print the table as Markdown, and give the exit status."""
    parser = make_parser()
    given = parser.parse_args(arguments)
    if given.device != "cpu":
        import torch

        if not given.device.startswith("cuda") or not torch.cuda.is_available():
            parser.error(f"--device {given.device}: PyTorch sees no such device here; take cpu")
    if given.cpu_time:
        timing.clock = time.process_time
    if given.rio_tiler:
        from benchmarks import drawing

        drawing.rio_python = given.rio_tiler
    if given.only:
        _choose(parser, given.what, given.only.split(","))
    module = importlib.import_module(f"benchmarks.{given.what}")
    try:
        report: str = module.run(quick=given.quick, rounds=given.rounds, device=given.device)
    except EchocastError as bad:
        print(f"benchmarks: {bad}", file=sys.stderr)
        return 1
    if given.out:
        given.out.write_text(report, encoding="utf-8")
    print(report)
    return 0


def _choose(parser: argparse.ArgumentParser, what: str, parts: list[str]) -> None:
    from benchmarks import layers

    unknown = [part for part in parts if part not in layers.GROUPS]
    if what != "layers" or unknown:
        parser.error(f"--only {','.join(unknown or parts)}: layers has the parts {', '.join(layers.GROUPS)}")
    layers.only = tuple(parts)


if __name__ == "__main__":
    sys.exit(main())
