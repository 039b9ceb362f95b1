"""echocast convert: weights of another ConvLSTM implementation as a layer of echocast."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echocast import plugins
from echocast.cli import arguments, output
from echocast.errors import CheckpointMismatch, UnreadableFile

if TYPE_CHECKING:
    from torch import Tensor

_CONVERTERS, _OTHERS = "echocast.nn.compat", ("base", "files")
_PREDNET = "prednet"
"""The one implementation whose weights are a whole forecaster and not a layer."""


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
    viorik_untied, sparnn (the paper's authors), torch_lstm; the result is for `echocast.nn.load`. And prednet, its
    authors' Keras code, whose result is a forecaster for `--model`.

    Example: echocast convert model.pt --from ndrplz --prefix encoder. --to layer.safetensors
    """
    if not weights.is_file():
        raise UnreadableFile(f"{weights}: no such file; give a file of weights")
    known = plugins.names(_CONVERTERS, skip=_OTHERS)
    arguments.check_name(source, [*known, _PREDNET], "implementation", error=CheckpointMismatch)
    arguments.check_output(to, "--to", (".safetensors",), [str(weights)])
    hints = dict(_setting(text) for text in settings or [])
    shapes = _prednet(weights, to, [*hints, *filter(None, [prefix])]) if source == _PREDNET else None
    if shapes is None:
        from echocast.nn import compat, storage
        from echocast.nn.compat import files

        layer = compat.convert(source, files.read(weights), prefix=prefix, **hints).layer()
        storage.save(layer, to)
        shapes = layer.state_dict()
    output.say_table(("weight", "shape"), [(name, " x ".join(map(str, one.shape))) for name, one in shapes.items()])
    count = sum(one.numel() for one in shapes.values())
    output.say(f"{to}: {count:,} weights of {source}")


def _prednet(weights: Path, to: Path, given: list[str]) -> dict[str, "Tensor"]:
    """Convert the weights of PredNet's authors, and give them by name."""
    if given:
        raise CheckpointMismatch(f"--from prednet: the file holds all that is needed; leave out {given[0]!r}")
    from echocast.models import base
    from echocast.models.prednet import PredNet

    model = PredNet.from_keras(weights)
    base.save(model, to)
    return model.state_dict()


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise CheckpointMismatch(f"--set {text}: write KEY=VALUE")
    return key, value
