"""echocast detect: the abnormal frames of a video, a folder of sequences, or an archive."""

import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echocast.cli import arguments, output
from echocast.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

    from echocast.anomaly.detection import Result
    from echocast.anomaly.errors import Errors
    from echocast.anomaly.normal import Normal
    from echocast.anomaly.scores import Settings


class HeatMaps(enum.StrEnum):
    """The format of the heat maps."""

    mp4 = "mp4"
    gif = "gif"
    none = "none"


def command(
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="An archive; or one sequence: a video, pictures, an array."),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME|PATH",
            help="A forecaster, whose error of the next frame is the score (for rain: optical_flow, persistence, ...),"
            " or the checkpoint of a forecaster or an autoencoder.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder for the results.")],
    normal: Annotated[
        Path | None,
        typer.Option(
            "--normal",
            metavar="STORE|FILE.npz",
            help="An archive of normal sequences, or the normal.npz of an earlier run: gives the threshold, and the"
            " error that is normal at each place.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="JSON or CSV with 1 for each abnormal frame; used for ROC only."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option("--masks", metavar="FOLDER", help="Pictures, white where it is abnormal; used for ROC only."),
    ] = None,
    past: Annotated[
        int | None, typer.Option("--past", min=1, help="Frames given to each forecast. [3; rain 2]")
    ] = None,
    lead: Annotated[int, typer.Option("--lead", min=1, help="How many frames ahead the frame is forecast.")] = 1,
    block: Annotated[
        int | None,
        typer.Option(
            "--block", min=0, help="Side of the blocks whose worst is the score; 0: the mean of the frame. [8; rain 24]"
        ),
    ] = None,
    smooth: Annotated[
        int | None, typer.Option("--smooth", min=1, help="Frames that a score is averaged over. [9; rain 1]")
    ] = None,
    by_place: Annotated[
        bool, typer.Option("--by-place", help="With --normal: divide the error by what is normal at each place.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", callback=arguments.finite, help="The score above which a frame is abnormal."),
    ] = None,
    video: Annotated[HeatMaps, typer.Option("--video", help="The format of the heat maps.")] = HeatMaps.mp4,
) -> None:
    """Find abnormal frames: those that a model trained on normal ones does not expect.

    Writes scores.csv (a row a frame), scores.png (the score over time, abnormal stretches shaded), summary.json, and
    NAME.mp4, the frames with unexpected places in orange. With --normal a frame is abnormal above the score that 99 %
    of the normal frames are below, without it above the median of all scores by 6 robust standard deviations. On rain
    each frame is compared with those around it, and is abnormal where its error, the number of observed cells, of lone
    echoes or of cells of 200 mm/h and more is 6 robust standard deviations away; there a frame is forecast from both
    sides, so that one odd frame is not blamed on its neighbours. Labels and masks never change a threshold.

    Example: echocast detect clip.mp4 --model weights.safetensors --normal normal.zarr --out detected/
    """
    inputs = [str(source), *(str(path) for path in (normal, labels, masks) if path is not None)]
    arguments.check_inputs(inputs)
    arguments.check_output_folder(out, "--out", inputs)
    from echocast.anomaly import detection
    from echocast.anomaly.scores import Settings

    field = _field(source)
    rain = field.name == "rainfall_rate"
    chosen = (24 if rain else 8) if block is None else block
    settings = Settings(
        block=chosen or None,
        smooth=smooth if smooth is not None else (1 if rain else 9),
        by_place=by_place,
        threshold=threshold,
    )
    finder = detection.errors_of(model, past=past or (2 if rain else 3), lead=lead, both=rain)
    with output.console(stderr=True).status("reading and scoring"):
        known = _normal(normal, finder, settings)
        result = detection.detect(field, finder, settings, known)
    summary = _compared(result, labels, masks)
    _write(result, field, out, video.value, known, summary)
    _tell(result, summary, out)


def _field(source: Path) -> "xr.DataArray":
    """The field of an archive, or the only sequence of a path."""
    from echocast import archive, video

    if arguments.is_archive(source):
        return archive.open(str(source))
    return video.one(source).field()


def _normal(path: Path | None, finder: "Errors", settings: "Settings") -> "Normal | None":
    from echocast.anomaly import detection
    from echocast.anomaly import normal as normals

    if path is None:
        return None
    return normals.load(path) if path.suffix == ".npz" else detection.learn(_field(path), finder, settings)


def _compared(result: "Result", labels: Path | None, masks: Path | None) -> dict[str, Any]:
    """What the run found in numbers; with labels and masks also ROC area and equal error rate."""
    import numpy as np

    from echocast.anomaly import truth

    summary: dict[str, Any] = {
        "rule": result.rule,
        "threshold": result.threshold,
        "block": result.settings.block,
        "smooth": result.settings.smooth,
        "frames": sum(len(one.scores) for one in result.sequences),
        "frames_without_score": int(sum(np.isnan(one.scores).sum() for one in result.sequences)),
        "abnormal": {one.name: int(one.abnormal.sum()) for one in result.sequences},
    }
    if labels is not None:
        known = truth.read_labels(labels, {one.name: len(one.scores) for one in result.sequences})
        summary["labels"] = known
        for name, regular in (("frame", False), ("frame_by_regularity", True)):
            curve = truth.frame_curve(result, known, regular=regular)
            summary[name] = {"roc_area": curve.area, "equal_error_rate": curve.equal_error_rate}
    if masks is not None:
        curve = truth.pixel_curve(result, truth.read_masks(masks, result))
        summary["pixel"] = {"roc_area": curve.area, "equal_error_rate": curve.equal_error_rate}
    return summary


def _write(
    result: "Result", field: "xr.DataArray", out: Path, video: str, known: "Normal | None", summary: dict[str, Any]
) -> None:
    import numpy as np

    from echocast.anomaly import figures, files
    from echocast.atomic import atomic_write, write_bytes
    from echocast.fields import time_step

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as bad:
        raise DataError(f"--out {out}: cannot be made ({bad.strerror}); give another folder") from bad
    labels = summary.pop("labels", None)
    files.write_scores(result, out / "scores.csv", labels)
    with atomic_write(out / "scores.png") as partial:
        figures.score_figure(result, labels).savefig(partial, format="png", facecolor="white")
    write_bytes(out / "summary.json", json.dumps(summary, indent=2).encode())
    if known is not None:
        known.save(out / "normal.npz")
    if video == "none":
        return
    second = np.timedelta64(1, "s")
    rate = 5.0 if field.name == "rainfall_rate" else float(second / time_step(field.time.values))
    up = field.name != "rainfall_rate" or bool(field.y.values[0] > field.y.values[-1])
    for one in result.sequences:
        safe = one.name.replace("/", "_").replace(":", "").replace(" ", "_")
        figures.write_heat_video(one, out / f"{safe}.{video}", frame_rate=rate, up=up)


def _tell(result: "Result", summary: dict[str, Any], out: Path) -> None:
    from echocast.anomaly.scores import stretches

    output.say(f"a frame is abnormal above {result.threshold:.4g}: {result.rule}")
    for one in result.sequences:
        for first, last in stretches(one.abnormal):
            worst = first + int(one.scores[first : last + 1].argmax())
            where = f"frame {first}" if first == last else f"frames {first} to {last}"
            said = f"{one.name}: {where}, score {one.scores[worst]:.4g} at {str(one.times[worst])[:19]}"
            output.say(f"{said} {one.reason(worst)}".rstrip())
    for key, what in (("frame", "by score"), ("frame_by_regularity", "by regularity"), ("pixel", "at pixel level")):
        if key in summary:
            area, rate = summary[key]["roc_area"], summary[key]["equal_error_rate"]
            output.say(f"{what}: ROC area {area:.3f}, equal error rate {rate:.3f}")
    missing = summary["frames_without_score"]
    output.say(f"{summary['frames']} frames, {missing} of them without a score; results in {out}")
