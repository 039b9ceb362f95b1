"""echocast convert: weights of another ConvLSTM implementation as a layer of echocast."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def command(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="Weights file: .pt, .safetensors, .npz, .h5 or .keras.")
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="NAME", help="Implementation that the weights are from (see above).")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE.safetensors", help="The layer to write.")],
    prefix: Annotated[str, typer.Option("--prefix", help="Prefix of the layer's weight names in the file.")] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting that the file does not hold, as forget_bias=1. May be repeated.",
        ),
    ] = None,
) -> None:
    """Convert the weights of another ConvLSTM implementation to a layer of echocast.

    Implementations: ndrplz, torchgeo, automan000, openstl, basic_convlstm, carlthome, keras1, keras2, keras3, viorik,
    viorik_untied, sparnn (the paper's authors), torch_lstm. The result is for `echocast.nn.load`.

    Example: echocast convert model.pt --from ndrplz --prefix encoder. --to layer.safetensors
    """
    from echocast.errors import CheckpointMismatch
    from echocast.nn import compat, storage
    from echocast.nn.compat import files

    hints = {}
    for setting in settings or []:
        key, equals, value = setting.partition("=")
        if not equals:
            raise CheckpointMismatch(f"--set {setting}: write KEY=VALUE")
        hints[key] = value
    made = compat.convert(source, files.read(weights), prefix=prefix, **hints)
    layer = made.layer()
    storage.save(layer, to)
    table = Table(box=None, pad_edge=False)
    for title in ("weight", "shape"):
        table.add_column(title)
    for name, tensor in layer.state_dict().items():
        table.add_row(name, " x ".join(map(str, tensor.shape)))
    console = Console()
    console.print(table)
    count = sum(tensor.numel() for tensor in layer.state_dict().values())
    console.print(f"{to}: {count:,} weights of {source}", markup=False, highlight=False, soft_wrap=True)
