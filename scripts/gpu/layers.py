"""The layers against the plain loop and the convolutions alone, as `python -m benchmarks layers` measures them."""

from parts import Part

from benchmarks import layers


def run(part: Part) -> None:
    """Tell the benchmark's report."""
    quick = part.given.tiny or part.left() < 60
    part.tell("report", "\n" + layers.run(quick=quick, rounds=1 if part.given.tiny else 5, device=str(part.device)))
