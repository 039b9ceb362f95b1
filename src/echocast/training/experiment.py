"""An experiment file becomes objects.

A TOML file has the tables ``[model]``, ``[data]``, ``[loss]``, ``[optimiser]`` and ``[training]``; each is the
keyword-only signature of what it makes, so an unknown key or a wrong value is refused by name. What is learned is said
by ``task = "forecast"`` above them, which is the default (see `echocast.training.tasks`).

    >>> experiment = parse({"model": {"name": "encoder_forecaster"}, "data": {"train": "train.zarr"}})
    >>> experiment.training.steps
    5000
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch import nn

from echocast.errors import ExperimentError
from echocast.plugins import construct
from echocast.training import tasks
from echocast.training.optimiser import Optimiser

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long, how much at a time, and how exactly.

    Args:
        max_steps: batches in all.
        max_sequences: windows in all, in whole batches, in place of `max_steps`.
        batch_size: windows a batch.
        validation_interval: steps between two validations, each of which saves the run; the last step has one too.
        validations: how many, evenly, in place of `validation_interval`.
        keep_best: which weights are kept: "csi", those with the highest mean CSI on the validation windows, or "loss",
            those with the lowest loss, for which no CSI is computed. If None, the CSI of the deterministic forecast;
            but the loss for a loss of members, and for pictures.
        precision: of the arithmetic; weights are always kept in 32 bits. "bf16-training" makes the products of
            training in 16 bits, each weight rounded once a step, and validates in 32; the "mixed" ones are Lightning's.
        accelerator: where; "auto" takes a GPU if there is one.
        init_from: a checkpoint whose weights are started from, instead of random ones.
        trainable: what is trained: the parts of the model whose names begin so; all if none is named.
        dropout: share of what a recurrent layer gives that training hides from what comes next (`lagrangian`: from the
            next layer and from the output), so that less is learned by heart; each of several processes hides its own.
        seed: of the first weights, the order of windows and their augmentation.
    """

    max_steps: int = 5000
    max_sequences: int | None = None
    batch_size: int = 16
    validation_interval: int = 200
    validations: int | None = None
    keep_best: Literal["csi", "loss"] | None = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "bf16-training"] = "32-true"
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    init_from: Path | None = None
    trainable: tuple[str, ...] = ()
    dropout: float = 0.0
    seed: int = 0

    @property
    def steps(self) -> int:
        """Batches in all, whichever way they are given."""
        return self.max_steps if self.max_sequences is None else max(1, self.max_sequences // self.batch_size)

    @property
    def interval(self) -> int:
        """Steps between two validations, whichever way they are given."""
        return self.validation_interval if self.validations is None else max(1, self.steps // self.validations)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What to train on what, and how; `model` and `loss` are checked when they are made.

    `data` is of the class that the task has for it, for forecasting `echocast.samples.data.Data`.
    """

    model: Mapping[str, Any]
    data: Any
    loss: Mapping[str, Any] = field(default_factory=dict)
    optimiser: Optimiser = field(default_factory=Optimiser)
    training: Training = field(default_factory=Training)
    task: str = tasks.DEFAULT

    def make_model(self, **learned_at: float) -> nn.Module:
        """The untrained network; `learned_at` is what the data tell (``grid_km``, ``time_step_minutes``)."""
        network: nn.Module = tasks.load(self.task).make_network(self, learned_at)
        return network

    def make_loss(self) -> nn.Module | None:
        """The loss; None if it is the network's own."""
        loss: nn.Module | None = tasks.load(self.task).make_loss(self)
        return loss

    def table(self) -> dict[str, Any]:
        """Every table with every default, in plain values, as TOML can hold them."""
        plain = asdict(self) | {"model": dict(self.model), "loss": dict(self.loss)}
        task = plain.pop("task")
        return {"task": task} | {name: _plain(table) for name, table in plain.items()}


def load(path: Path, sets: Sequence[str] = ()) -> Experiment:
    """The experiment of a TOML file, with ``section.key=value`` settings put over it.

    Raises:
        ExperimentError: no such file, no TOML, an unknown key, a wrong value.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as bad:
        raise ExperimentError(f"{path}: cannot be read ({bad}); give the path of an experiment's TOML file") from bad
    except tomllib.TOMLDecodeError as bad:
        raise ExperimentError(f"{path}: is no TOML ({bad}); see experiments/ for an example") from bad
    for setting in sets:
        _put(tables, setting)
    return parse(tables, where=f"{path}: ")


def parse(tables: Mapping[str, Any], *, where: str = "") -> Experiment:
    """The experiment of plain tables; raises `ExperimentError` for what does not belong there."""
    known = ("model", "data", "loss", "optimiser", "training")
    task = tasks.load(str(tables.get("task", tasks.DEFAULT)))
    for name, table in tables.items():
        if name == "task":
            continue
        if name not in known:
            raise ExperimentError(f"{where}there is no table [{name}]; an experiment has {', '.join(known)}")
        if not isinstance(table, Mapping):
            raise ExperimentError(f"{where}{name} = {table!r} is not a table; write [{name}] and its keys below it")
    for name in ("model", "data"):
        if name not in tables:
            raise ExperimentError(f"{where}the table [{name}] is missing")
    if not isinstance(tables["model"].get("name"), str):
        raise ExperimentError(f"{where}[model] needs a name, one of: {', '.join(task.REGISTRY.names())}")
    return Experiment(
        task=str(tables.get("task", tasks.DEFAULT)),
        model=tables["model"],
        data=_table(task.DATA, tables, "data", where),
        loss=tables.get("loss", {"name": task.DEFAULT_LOSS}),
        optimiser=_table(Optimiser, tables, "optimiser", where),
        training=_table(Training, tables, "training", where),
    )


def _table(kind: type[T], tables: Mapping[str, Any], name: str, where: str) -> T:
    return construct(kind, tables.get(name, {}), where=f"{where}[{name}]", error=ExperimentError)


def _put(tables: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and name):
        raise ExperimentError(f"--set {setting!r} is not of the form section.key=value, such as training.max_steps=100")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *inner, last = name.split(".")
    table = tables.setdefault(section, {})
    for part in inner:
        table = table.setdefault(part, {})
    table[last] = value


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _value(value) for key, value in table.items() if value is not None}


def _value(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return _plain(value)
    return [_value(item) for item in value] if isinstance(value, list | tuple) else value
