"""echocast train: an experiment file becomes weights."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echocast.cli import arguments, output
from echocast.errors import ExperimentError, MissingDependency

if TYPE_CHECKING:
    from echocast.training.experiment import Experiment


def command(
    experiment: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT.toml", help="Model, data, loss, optimiser and length of training.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Put a value over the file's; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="RUN", help="The run's folder; runs/NAME of the file by default.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
) -> None:
    """Train a model on an archive, or on synthetic sequences.

    The run's folder receives the resolved experiment (experiment.toml), the best weights on the validation windows
    (weights.safetensors, for `echocast nowcast --model`), the last checkpoint (last.ckpt, for --resume), and the logs
    (metrics.csv, tensorboard/). Ctrl-C at any moment loses only the steps since the last validation; a resumed run ends
    with the same weights as an uninterrupted one.

    Example: echocast train experiments/taasrad19.toml --set training.max_steps=2000 --out runs/short
    """
    if not experiment.is_file():
        raise ExperimentError(f"{experiment}: cannot be read: no such file; give an experiment file")
    folder = out or Path("runs") / experiment.stem
    arguments.check_output_folder(folder, "--out")
    try:
        from echocast.training import experiment as experiments
        from echocast.training import fit
        from echocast.training.progress import TrainingBar
    except ModuleNotFoundError as missing:
        raise MissingDependency(str(missing.name), "train") from missing
    plan = experiments.load(experiment, settings or [])
    _refuse_inputs(folder, experiment, plan, resume=resume)
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started, one speaks
    finished = fit.fit(plan, folder, resume=resume, callbacks=(TrainingBar(),) if first else ())
    if not finished:
        output.say(f"stopped; {folder} holds the last checkpoint: go on with --resume")
        raise typer.Exit(130)
    if first:
        use = "" if plan.task == "algorithm" else "; use it as --model"
        output.say(f"{folder / 'weights.safetensors'}: the best weights{use}")


def _paths(values: Iterable[object]) -> Iterator[Path]:
    """The paths among some settings."""
    from echocast.samples.covariates import Covariates

    for value in values:
        if isinstance(value, Path):
            yield value
        elif isinstance(value, tuple):
            yield from _paths(value)
        elif isinstance(value, Covariates):
            for one in value.with_files.values():
                yield from (Path(path) for path in one.paths if "://" not in path)


def _refuse_inputs(folder: Path, experiment: Path, plan: "Experiment", *, resume: bool) -> None:
    """Raise if the run would write over what it reads."""
    archives = [str(path) for path in _paths(vars(plan.data).values())]
    arguments.check_output_folder(folder, "--out", archives)
    if not resume and experiment.resolve() == (folder / "experiment.toml").resolve():
        raise ExperimentError(f"--out {folder}: would write over {experiment}; give another folder")
