"""PyTorch's own nn.LSTM: gates i, f, g, o, two biases that add up, no peepholes."""

from echocast.nn.compat.base import CellWeights, Imported, Weights

MARKS = (r"(?P<prefix>.*?)weight_ih_l0",)


def convert(weights: Weights) -> Imported:
    """``weight_ih_lN`` (4 F, C), ``weight_hh_lN`` (4 F, F), ``bias_ih_lN``, ``bias_hh_lN``, each also ``_reverse``."""
    layers = weights.numbers(r"weight_ih_l(\d+)")
    both = weights.has("weight_ih_l0_reverse")
    cells = []
    for n in layers:
        for way in ("", "_reverse") if both else ("",):
            x = weights.take(f"weight_ih_l{n}{way}", (None, None))
            h = weights.take(f"weight_hh_l{n}{way}", (len(x), len(x) // 4))
            biases = [weights.maybe(f"bias_{of}_l{n}{way}", (len(x),)) for of in ("ih", "hh")]
            known = [bias for bias in biases if bias is not None]
            cells.append(CellWeights(x, h, sum(known[1:], known[0]) if known else None))
    return Imported(cells, {"bidirectional": both})
