"""echocast convert: weights of other ConvLSTM implementations as layers of echocast."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echocast import plugins
from echocast.cli import arguments, output
from echocast.errors import CheckpointMismatch, UnreadableFile

if TYPE_CHECKING:
    from torch import Tensor

    from echocast.nn.compat import Found, Search
    from echocast.nn.compat.files import WeightsFile

_CONVERTERS, _OTHERS = "echocast.nn.compat", ("base", "files")
_PREDNET = "prednet"
"""The one implementation whose weights are a whole forecaster and not a layer."""
_FEW = 12
"""Tensors that are named one by one; of more, the others are counted."""


def command(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="Weights file: .pt, .pth, .safetensors, .npz, .h5 or .keras.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE.safetensors", help="The layer to write.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="Implementation that the weights are from (see above); found if left out."
        ),
    ] = None,
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

    Every ConvLSTM in the file is found by the names and shapes of its weights; where there are several, each is written
    to a file of its own, beside --to. What is none is named and left out. Settings are taken from Keras' description of
    the model where the file has one.

    Implementations: ndrplz, torchgeo, automan000, openstl, basic_convlstm, carlthome, keras1, keras2, keras3, viorik,
    viorik_untied, sparnn (the paper's authors), torch_lstm; the result is for `echocast.nn.load`. And prednet, its
    authors' Keras code, whose result is a forecaster for `--model`.

    Example: echocast convert model.pt --from ndrplz --prefix encoder. --to layer.safetensors
    """
    if not weights.is_file():
        raise UnreadableFile(f"{weights}: no such file; give a file of weights")
    if source is not None:
        known = plugins.names(_CONVERTERS, skip=_OTHERS)
        arguments.check_name(source, [*known, _PREDNET], "implementation", error=CheckpointMismatch)
    arguments.check_output(to, "--to", (".safetensors",), [str(weights)])
    hints = dict(_setting(text) for text in settings or [])
    if source == _PREDNET:
        made = _prednet(weights, to, [*hints, *filter(None, [prefix])])
        _say_weights(made)
        output.say(f"{to}: {sum(one.numel() for one in made.values()):,} weights of prednet")
        return
    from echocast.nn import compat
    from echocast.nn.compat import files

    file = files.read_file(weights)
    search = compat.find(file, source=source, prefix=prefix, **hints)
    if not search.found and source is not None:
        search = compat.Search([_named(file, source, prefix, hints)], [])
    if not search.found:
        raise CheckpointMismatch(f"{weights}: {_nothing(file, search)}")
    for target, layer in zip(_targets(to, search.found), search.found, strict=True):
        _write(layer, target)
    _say_others(file, search.others)
    for text in search.refused:
        output.say(f"not converted: {text}")


def _named(file: "WeightsFile", source: str, prefix: str, hints: Mapping[str, Any]) -> "Found":
    """The layer whose implementation the user names, of names that no search knows; raises what is wrong with it."""
    from echocast.nn import compat
    from echocast.nn.compat import Found

    made = compat.convert(source, file.tensors, prefix=prefix, **hints)
    return Found(source, prefix, list(file.tensors), made)


def _write(found: "Found", target: Path) -> None:
    """Save one layer, and say what it is."""
    from echocast.nn import storage

    layer = found.imported.layer()
    storage.save(layer, target)
    shapes = layer.state_dict()
    _say_weights(shapes)
    count = sum(one.numel() for one in shapes.values())
    origin = f", from {found.prefix}*" if found.prefix else ""
    called = f" ({found.name})" if found.name else ""
    output.say(f"{target}: {count:,} weights of {found.source}{origin}{called}")
    for note in found.notes:
        output.say(f"  {note}")


def _say_weights(weights: Mapping[str, "Tensor"]) -> None:
    output.say_table(("weight", "shape"), [(name, _shape(one)) for name, one in weights.items()])


def _targets(to: Path, found: Sequence["Found"]) -> list[Path]:
    """A file for each layer: the one that was asked for, or several beside it, named after the layers."""
    if len(found) == 1:
        return [to]
    titles = [re.sub(r"\W+", "_", layer.name or layer.prefix).strip("_") or str(n) for n, layer in enumerate(found)]
    if len(set(titles)) < len(titles):
        titles = [f"{title}_{n}" for n, title in enumerate(titles)]
    return [to.with_name(f"{to.stem}_{title}{to.suffix}") for title in titles]


def _say_others(file: "WeightsFile", names: Sequence[str]) -> None:
    """Name what is no ConvLSTM."""
    if names:
        output.say(f"not converted, for it is no ConvLSTM: {_listed(file, names)}")
    for part, count in file.left_out.items():
        output.say(f"left out: {count} tensors of {part}")


def _nothing(file: "WeightsFile", search: "Search") -> str:
    """Why there is nothing to convert."""
    holds = _listed(file, list(file.tensors)) or "no tensors"
    if search.refused:
        return f"no ConvLSTM in it can be converted: {'; '.join(search.refused)}; it holds {holds}"
    return (
        f"holds no ConvLSTM whose names are known; it holds {holds}; if one of these is a ConvLSTM, say which by --from"
        " and --prefix"
    )


def _listed(file: "WeightsFile", names: Sequence[str]) -> str:
    shown = [f"{name} ({_shape(file.tensors[name])})" for name in names[:_FEW] if name in file.tensors]
    return ", ".join(shown) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")


def _shape(tensor: Any) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


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
