"""What `echocast adapt` gains by how much of one's own data: ``python -m experiments.adaptation STORE --out FOLDER``.

The archive is cut as by the command. The weights that ship are fine-tuned on the last hours of its first part alone,
each time for the same minutes, and every result is scored on the same test, with S-PROG and optical flow beside it.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from echocast.evaluation import VerificationConfig, VerificationResult, evaluate
from echocast.evaluation.improvement import THRESHOLDS_MM_H, stride_for
from echocast.models import base
from echocast.training.adapting import LEAD_MINUTES, Adaptation

log = logging.getLogger(__name__)
OTHERS = ("optical_flow", "sprog", "lagrangian")


def newest(parts: Sequence[slice], frames: int) -> list[slice]:
    """The newest so many frames of some segments."""
    kept: list[slice] = []
    for part in reversed(parts):
        if frames <= 0:
            break
        kept.append(slice(max(part.start, part.stop - frames), part.stop))
        frames -= kept[-1].stop - kept[-1].start
    return kept[::-1]


def learned(job: Adaptation, hours: float, minutes: float, folder: Path) -> Path:
    """The weights fine-tuned on the newest hours of the first part."""
    step_hours = float(np.median(np.diff(job.field.time.values)) / np.timedelta64(1, "h"))
    parts = {**job.parts, "train": newest(job.parts["train"], round(hours / step_hours))}
    return replace(job, parts=parts, run=folder).learn(minutes=minutes).weights


def scored(job: Adaptation, models: Mapping[str, str], cases: int) -> VerificationResult:
    """All on the same cases of the test."""
    leads = round(LEAD_MINUTES / (float(np.median(np.diff(job.field.time.values)) / np.timedelta64(1, "m"))))
    past, stride = job.data.past, stride_for(job.parts["test"], job.data.past, leads, cases)
    how = VerificationConfig(
        past=past, leads=leads, stride=stride, thresholds=THRESHOLDS_MM_H, scores=("contingency", "continuous")
    )
    return evaluate(job.field, {n: base.resolve(m) for n, m in models.items()}, how, segments=job.parts["test"])


def table(result: VerificationResult) -> str:
    """CSI and bias by threshold, RMSE, as Markdown."""
    heads = [f"CSI {limit:g}" for limit in THRESHOLDS_MM_H] + [f"bias {limit:g}" for limit in THRESHOLDS_MM_H]
    lines = ["| weights | " + " | ".join(heads) + " | RMSE mm/h |", "| --- |" + " ---: |" * (len(heads) + 1)]
    for name in result.forecasters:
        values = [result.mean(score, name, limit) for score in ("csi", "bias") for limit in THRESHOLDS_MM_H]
        lines.append(f"| {name} | " + " | ".join(f"{v:.3f}" for v in [*values, result.mean("rmse", name)]) + " |")
    return "\n".join(lines)


def drawn(result: VerificationResult, hours: Mapping[str, float], path: Path) -> None:
    """CSI by hours of own data, a panel for each threshold, with what needs none as lines."""
    figure, axes = plt.subplots(1, len(THRESHOLDS_MM_H), figsize=(10, 2.8), layout="constrained")
    for axis, limit in zip(axes, THRESHOLDS_MM_H, strict=True):
        for name, style in zip(OTHERS, (":", "-.", "--"), strict=True):
            axis.axhline(result.mean("csi", name, limit), color="0.4", linestyle=style, label=name)
        axis.plot(list(hours.values()), [result.mean("csi", n, limit) for n in hours], "o-", label="adapted")
        top = 1.12 * max(result.mean("csi", name, limit) for name in result.forecasters)
        axis.set(title=f"{limit:g} mm/h", xlabel="hours of own data", xscale="log", ylim=(0, top))
        axis.set_xticks(list(hours.values()), [f"{h:g}" for h in hours.values()], minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel("CSI, mean to 90 min")
    axes[0].legend(fontsize=7, loc="lower left")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train, score, write the table and the picture."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("store")
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--hours", default="12,36,108", help="of own data, separated by commas")
    words.add_argument("--minutes", type=float, default=5.0, help="of each training")
    words.add_argument("--cases", type=int, default=40)
    given = words.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    job = Adaptation.of(given.store, "lagrangian", given.out / "cells")
    hours = {f"adapted, {h} h": float(h) for h in given.hours.split(",")}
    models = {name: name for name in OTHERS}
    for name, count in hours.items():
        models[name] = str(learned(job, count, given.minutes, given.out / f"{count:g}h"))
    result = scored(job, models, given.cases)
    text = f"{result.cases} forecasts of {len(result.days)} days\n\n{table(result)}\n"
    (given.out / "adaptation.md").write_text(text, encoding="utf-8")
    drawn(result, hours, given.out / "adaptation.png")
    print(text)


if __name__ == "__main__":
    main()
