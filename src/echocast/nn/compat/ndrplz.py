"""ndrplz's ConvLSTM_pytorch: one convolution over [x, h], gates i, f, o, g, no peepholes."""

from collections.abc import Mapping
from typing import Any

from echocast.errors import CheckpointMismatch
from echocast.nn.compat.base import CellWeights, Imported, Weights, in_order, split

MARKS = (
    r"(?P<prefix>.*?)cell_list\.0\.conv\.weight",
    r"(?P<prefix>(.*[./])?(?!cell_list\.)[^./]*([Cc]ell|[Ll][Ss][Tt][Mm])[^./]*\.(\d+\.)?)conv\.weight",
)
_ORDER = "ifog"


def convert(weights: Weights, *, order: str = _ORDER) -> Imported:
    """``cell_list.N.conv.weight`` (4 F, C + F, k, k) and ``.bias``; a cell's names have no ``cell_list.N.``.

    Args:
        weights: of some layers, or of one cell.
        order: of the gates in them; many cells that are named so have the input, forget, output and candidate gate in
            this order, but the file does not tell.

    Raises:
        CheckpointMismatch: an order that is none of the letters i, f, o and g.
    """
    if sorted(order) != sorted(_ORDER):
        raise CheckpointMismatch(f"order={order!r} must be the letters i, f, o and g (the candidate) in some order")
    stems = ["conv"]
    if not weights.has("conv.weight"):
        stems = [f"cell_list.{n}.conv" for n in weights.numbers(r"cell_list\.(\d+)\.conv\.weight")]
    cells = []
    for stem in stems:
        kernel = weights.take(f"{stem}.weight", (None, None, None, None))
        x, h = split(kernel, order=order, name=f"{stem}.weight")
        bias = weights.maybe(f"{stem}.bias", (len(kernel),))
        cells.append(CellWeights(x, h, None if bias is None else in_order(bias, order)))
    return Imported(cells)


def assumed(hints: Mapping[str, Any]) -> list[str]:
    """What a file does not tell: the order of the gates."""
    if "order" in hints:
        return []
    return ["assumed: gates in the order i, f, o, g, as ndrplz has them; another is given by --set order=ifgo"]
