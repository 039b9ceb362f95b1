"""The layers against the plain loop and the convolutions alone, as `python -m benchmarks layers` measures them."""

from parts import Part

from benchmarks import layers, layers_gpu


def run(part: Part) -> None:
    """Tell what a GPU's user can choose, then the benchmark's report."""
    quick = part.given.tiny or part.left() < 60
    cases, rounds = (layers.QUICK if quick else layers.CASES), 1 if quick else 5
    part.tell("choices", "\n" + layers_gpu.table(cases, rounds, part.device))
    part.tell("report", "\n" + layers.run(quick=quick, rounds=rounds, device=str(part.device)))
