"""The parts one after the other, each within its share of the time, and the table of what came."""

import argparse
import importlib
import json
import platform
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import torch

SHARES = {"checks": 0.08, "layers": 0.2, "nowcast": 0.45, "digits": 0.27}
"""Of the time; what a part leaves goes to the next ones."""


@dataclass
class Part:
    """What a part is told.

    Args:
        device: where to compute.
        out: where to write.
        deadline: the end of its time, by `time.monotonic`.
        given: the command line.
        rows: what it has to tell, name and value.
    """

    device: torch.device
    out: Path
    deadline: float
    given: argparse.Namespace
    rows: list[tuple[str, str]] = field(default_factory=list)

    def left(self) -> float:
        """Seconds until the end of its time."""
        return self.deadline - time.monotonic()

    def tell(self, name: str, value: object) -> None:
        """A row of the table, also printed at once."""
        self.rows.append((name, str(value)))
        print(f"  {name}: {value}", flush=True)


def run(given: argparse.Namespace, *, began: float) -> int:
    """Run the parts; 1 if one of them failed."""
    names = given.parts.split(",")
    unknown = sorted(set(names) - set(SHARES))
    if unknown:
        print(f"--parts {','.join(unknown)}: there are {', '.join(SHARES)}")
        return 2
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(f"--device {given.device}: PyTorch sees no such device here; take cpu")
        return 2
    if given.data is None and not given.tiny:
        print("give the file that `pack` wrote, or --tiny for a dry run")
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    end = began + 60 * given.minutes
    done: dict[str, Part] = {}
    failed = False
    for number, name in enumerate(names):
        rest = sum(SHARES[later] for later in names[number:])
        share = SHARES[name] / rest * (end - time.monotonic())
        done[name] = part = Part(device, given.out, time.monotonic() + share, given)
        print(f"{name}: {share:.0f} s", flush=True)
        failed |= not _run(name, part)
        _write(done, given, began)
    return int(failed)


def _run(name: str, part: Part) -> bool:
    began = time.monotonic()
    try:
        importlib.import_module(name).run(part)
    except Exception as bad:  # the next part is not to suffer
        part.tell("failed", f"{type(bad).__name__}: {bad}")
        (part.out / "failures.txt").open("a").write(traceback.format_exc())
        return False
    finally:
        part.tell("seconds", f"{time.monotonic() - began:.0f}")
    return True


def _write(done: dict[str, Part], given: argparse.Namespace, began: float) -> None:
    device = torch.device(given.device)
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    lines = [f"{machine}, PyTorch {torch.__version__}, {time.monotonic() - began:.0f} s so far", ""]
    for name, part in done.items():
        lines += [f"## {name}", "", "| what | value |", "|---|---|"]
        lines += [f"| {what} | {value} |" for what, value in part.rows if "\n" not in value] + [""]
        lines += [value + "\n" for _, value in part.rows if "\n" in value]
    (given.out / "table.md").write_text("\n".join(lines))
    (given.out / "table.json").write_text(json.dumps({name: part.rows for name, part in done.items()}, indent=1))
