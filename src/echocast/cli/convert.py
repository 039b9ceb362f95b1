"""echocast convert: weights of another ConvLSTM implementation as a layer of echocast."""

from pathlib import Path
from typing import Annotated

import typer

from echocast import plugins
from echocast.cli import arguments, output
from echocast.errors import CheckpointMismatch, UnreadableFile

_CONVERTERS, _OTHERS = "echocast.nn.compat", ("base", "files")


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
    if not weights.is_file():
        raise UnreadableFile(f"{weights}: no such file; give a file of weights")
    known = plugins.names(_CONVERTERS, skip=_OTHERS)
    arguments.check_name(source, known, "implementation", error=CheckpointMismatch)
    arguments.check_output(to, "--to", (".safetensors",), [str(weights)])
    hints = dict(_setting(text) for text in settings or [])
    from echocast.nn import compat, storage
    from echocast.nn.compat import files

    made = compat.convert(source, files.read(weights), prefix=prefix, **hints)
    layer = made.layer()
    storage.save(layer, to)
    shapes = layer.state_dict()
    output.say_table(("weight", "shape"), [(name, " x ".join(map(str, one.shape))) for name, one in shapes.items()])
    count = sum(one.numel() for one in shapes.values())
    output.say(f"{to}: {count:,} weights of {source}")


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise CheckpointMismatch(f"--set {text}: write KEY=VALUE")
    return key, value
