"""echocast bench: measure speed and memory on this machine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def command(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="What to measure: layers, archive, verify, nowcast.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.md", help="Write the table there too.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each contender.")] = 7,
    device: Annotated[str, typer.Option("--device", help="Where to measure: cpu, cuda.")] = "cpu",
    quick: Annotated[bool, typer.Option("--quick", help="Tiny shapes: shows that it runs, nothing of speed.")] = False,
) -> None:
    """Measure speed and memory, contenders by turns, and print the table as Markdown.

    For numbers that mean something let nothing else run. Keras takes part where it is installed (extra bench).

    Example: echocast bench layers --out docs/benchmarks/layers.md
    """
    from echocast import plugins
    from echocast.errors import ModelError

    known = plugins.names("echocast.bench", skip=("timing", "usual_loop", "keras_worker", "keras_times"))
    if what not in known:
        raise ModelError(f"{what!r} cannot be measured; there are: {', '.join(known)}")
    if device != "cpu":
        import torch

        if not device.startswith("cuda") or not torch.cuda.is_available():
            raise ModelError(f"--device {device}: PyTorch sees no such device here; take cpu")
    report = plugins.load("echocast.bench", what).run(quick=quick, rounds=rounds, device=device)
    if out:
        out.write_text(report, encoding="utf-8")
    Console().print(report, markup=False, highlight=False, soft_wrap=True)
