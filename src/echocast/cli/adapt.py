"""echocast adapt: the shipped weights and an archive of one's own in, better weights for that radar out."""

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echocast import atomic
from echocast.cli import arguments, output
from echocast.cli.progress import Bar
from echocast.errors import DataError, MissingDependency

if TYPE_CHECKING:
    from echocast.evaluation.improvement import Improvement
    from echocast.training.adapting import Adaptation, Learned

_STAGES = {"forecast": "training the forecast", "members": "training the members"}


def command(
    store: arguments.OwnArchive,
    out: arguments.NewWeights,
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME|PATH", help="The weights to begin with: lagrangian, or its checkpoint."),
    ] = "lagrangian",
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes",
            metavar="MINUTES",
            min=0.5,
            callback=arguments.finite,
            help="Time for training; reading the archive and the test come on top.",
        ),
    ] = 60,
    cases: Annotated[
        int, typer.Option("--cases", min=1, help="Forecasts of the test, evenly in its time, at most.")
    ] = 40,
    keep_run: Annotated[
        bool, typer.Option("--keep-run", help="Keep the folder FILE.run with training curves and all weights.")
    ] = False,
) -> None:
    """Fine-tune the weights that ship on the archive of your radar, and keep them only if they are better.

    The archive is cut in the order of time, with gaps between: the first three fifths to learn from, a fifth to choose
    the best weights by, and the last fifth for a test. On the test both weights forecast on the grid of the archive.
    FILE is written only if the mean CSI at 0.5, 1, 2 and 5 mm/h over all lead times is at least 0.5 % higher than
    before, and the CRPS of members at most 1 % higher; otherwise the exit status is 1.

    Beside FILE.safetensors lie FILE.md, with the times of each part and the scores, and FILE.archives.toml, from which
    `echocast verify` knows what the weights have seen. If the command is stopped, give it again and it goes on.

    Days of rain matter more than minutes: an archive of a few hours seldom gives a gain.

    Example: echocast adapt radar.zarr --out mine.safetensors --minutes 60
    """
    arguments.check_archive(store)
    arguments.check_output(out, "--out", [".safetensors"], [store, model])
    run = out.with_suffix(".run")
    try:
        from echocast.training.adapting import CELLS, PARTS, Adaptation
        from echocast.training.progress import TrainingBar
    except ModuleNotFoundError as missing:
        raise MissingDependency(str(missing.name), "train") from missing
    _refuse_foreign(out, run, CELLS)
    with Bar("reading the archive", "frames") as bar:
        job = Adaptation.of(store, model, run, on_frame=bar.to)
    for name in PARTS:
        first, last = (str(time)[:16].replace("T", " ") for time in job.spans[name])
        output.say(f"{name}: {first} to {last} UTC")
    learned = job.learn(minutes=minutes, callbacks=lambda stage: (TrainingBar(_STAGES[stage]),))
    output.say(
        f"validation: mean CSI {learned.csi_before:.4f} before, {learned.csi_after:.4f} after {learned.steps} steps"
    )
    if learned.gain <= 0:
        raise DataError(
            f"{store}: the weights gained nothing on the validation windows, so {out} is not written: keep {model}, or"
            " add more days of rain to the archive"
        )
    with Bar("test", "forecasts") as bar:
        found = _judged(job, learned.weights, cases, bar)
    lines = _scores(found)
    output.say("\n".join(line for line in lines if line))
    if not found.better:
        raise DataError(
            f"{store}: the weights are not better on the test (mean CSI {found.gain:+.1%}, CRPS of members"
            f" {found.crps_change:+.1%}), so {out} is not written: keep {model}, or add more days of rain to the"
            " archive"
        )
    _write(job, learned, out, model, lines)
    if not keep_run:
        shutil.rmtree(run)
    output.say(f"{out}: mean CSI {found.gain:+.1%} on the test; use it as --model")


def _refuse_foreign(out: Path, run: Path, mark: str) -> None:
    """Raise `DataError` for files of others where the run and what lies beside the weights would be written.

    A folder with the file `mark` is the run of an earlier call.
    """
    arguments.check_beside(out, out.with_suffix(".md"), out.with_suffix(".archives.toml"))
    if run.exists() and (not run.is_dir() or (any(run.iterdir()) and not (run / mark).is_file())):
        arguments.raise_foreign(out, run)


def _judged(job: "Adaptation", weights: Path, cases: int, bar: Bar) -> "Improvement":
    from echocast.evaluation import improvement
    from echocast.models import base
    from echocast.training.adapting import LEAD_MINUTES

    return improvement.judge(
        job.field,
        base.load(job.start),
        base.load(weights),
        job.parts["test"],
        past=job.data.past,
        lead_minutes=LEAD_MINUTES,
        cases=cases,
        on_case=bar.to,
    )


def _scores(found: "Improvement") -> list[str]:
    """The scores of the test as a table of Markdown, and what they are."""
    from echocast.evaluation.improvement import AFTER, BEFORE, MEMBERS, THRESHOLDS_MM_H

    forecast = found.forecast
    lines = [
        f"Test: {forecast.cases} forecasts of {len(forecast.days)} days (UTC), mean over lead times up to"
        f" {forecast.lead_minutes[-1]:g} min, counts pooled.",
        "",
        "| weights | " + " | ".join(f"CSI {limit:g} mm/h" for limit in THRESHOLDS_MM_H) + " | RMSE mm/h | CRPS mm/h |",
        "| --- |" + " ---: |" * (len(THRESHOLDS_MM_H) + 2),
    ]
    for which in (BEFORE, AFTER):
        values = [forecast.mean("csi", which, limit) for limit in THRESHOLDS_MM_H]
        values += [forecast.mean("rmse", which), found.crps(which)]
        lines.append(f"| {which} | " + " | ".join("-" if math.isnan(one) else f"{one:.3f}" for one in values) + " |")
    known = [limit for limit in THRESHOLDS_MM_H if not math.isnan(found.difference(limit).value)]
    changes = ", ".join(f"{found.difference(limit)} at {limit:g}" for limit in known)
    few = "" if forecast.event_days(THRESHOLDS_MM_H[0]).enough else "; too few days for an interval"
    lines += ["", f"Change of CSI: {changes} mm/h{few}. CRPS of {MEMBERS} members."]
    return lines


def _write(job: "Adaptation", learned: "Learned", out: Path, model: str, scores: list[str]) -> None:
    """The weights last: with them there, all is there."""
    from echocast.evaluation import used_archives
    from echocast.training.adapted_notes import card

    uses = [*used_archives.of_parts(job.field, job.store, job.spans), *used_archives.uses_of(model)]
    atomic.write_bytes(out.with_suffix(".md"), card(job, learned, out.name, model, scores).encode())
    atomic.write_bytes(out.with_suffix(".archives.toml"), used_archives.listed(uses, out.stem).encode())
    atomic.write_bytes(out, learned.weights.read_bytes())
