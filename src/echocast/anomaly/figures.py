"""Pictures of what was detected: the score over time with the abnormal stretches marked, and heat maps as a video.

>>> score_figure(result).savefig("scores.png")  # doctest: +SKIP
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from echocast.anomaly.detection import Detection, Result
from echocast.anomaly.scores import stretches
from echocast.plotting.colours import INK, rain_colours
from echocast.video import writing

ABNORMAL = "#e69f00"
"""What is detected, orange; the truth is black, the score blue: Okabe and Ito's palette, for any colour vision."""
_SCORE = "#0072b2"
_MOST_PANELS = 24
_STRONGEST = 0.85
"""The opacity of the hottest places."""


def score_figure(result: Result, labels: Mapping[str, Bool[np.ndarray, "frames"]] | None = None) -> Figure:
    """The score over time, a panel a sequence (the first 24): detected stretches shaded, labelled ones as a bar below.

    Args:
        result: what was detected.
        labels: what is really abnormal, where it is known.
    """
    shown = result.sequences[:_MOST_PANELS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    wide = 10.0 if columns == 1 else 4.6 * columns
    figure = Figure(figsize=(wide, (3.2 if rows == 1 else 2.0 * rows) + 0.9), dpi=90, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    finite = [one.scores[np.isfinite(one.scores)] for one in shown]
    top = 1.08 * max(result.threshold, max((float(one.max()) for one in finite if one.size), default=1.0))
    for axis, one in zip(axes.ravel(), shown, strict=False):
        _draw(axis, one, None if labels is None else labels[one.name], top)
    for axis in axes.ravel()[len(shown) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("anomaly score", color=INK)
    for axis in axes.ravel()[max(0, len(shown) - columns) : len(shown)]:
        axis.set_xlabel("frame of the sequence", color=INK)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _draw(axis: Axes, one: Detection, labels: np.ndarray | None, top: float) -> None:
    axis.plot([], [], color=_SCORE, label="score")
    axis.plot(np.arange(len(one.scores)), one.scores, color=_SCORE, linewidth=1.2)
    axis.axhline(one.threshold, color=INK, linestyle="--", linewidth=0.9, label="threshold")
    axis.fill_between([], [], [], color=ABNORMAL, alpha=0.4, label="detected as abnormal")
    for first, last in stretches(one.abnormal):
        axis.axvspan(first - 0.5, last + 0.5, color=ABNORMAL, alpha=0.4, linewidth=0)
    if labels is not None:
        axis.plot([], [], color="black", linewidth=5, label="labelled as abnormal", solid_capstyle="butt")
        for first, last in stretches(labels):
            axis.plot([first - 0.5, last + 0.5], [0, 0], color="black", linewidth=6, solid_capstyle="butt")
    axis.set_title(one.name, fontsize=10, loc="left", color=INK)
    axis.set_xlim(-0.5, len(one.scores) - 0.5)
    axis.set_ylim(min(0.0, float(np.nanmin(one.scores)) if np.isfinite(one.scores).any() else 0.0), top)
    axis.spines[["top", "right"]].set_visible(False)


def heat_pictures(one: Detection, *, up: bool = True) -> UInt8[np.ndarray, "frames y x 3"]:
    """The frames, rain in the colours of the maps, with what is less expected than the threshold in orange.

    Args:
        one: a sequence.
        up: whether the first row of the frames is the upper one.
    """
    frames = one.pictures if one.pictures.ndim == 4 else one.pictures[:, None]
    pictures = _pictures(frames, rain=bool(one.parts))
    heat = np.nan_to_num(one.maps.astype(np.float32)) / max(one.map_threshold, 1e-9)
    strength = np.clip((heat - 0.7) / 0.8, 0, _STRONGEST)[..., None]
    orange = np.array([230, 159, 0], np.float32)
    made = np.rint(pictures * (1 - strength) + orange * strength).astype(np.uint8)
    return np.asarray(made if up else made[:, ::-1])


def write_heat_video(one: Detection, path: Path, *, frame_rate: float, up: bool = True) -> None:
    """Write the heat maps of a sequence as an mp4 or a GIF, by the ending of `path`."""
    pictures = heat_pictures(one, up=up)
    enlarge = max(1, 360 // max(pictures.shape[1:3]))
    larger = pictures.repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    writing.write(path, np.ascontiguousarray(larger), frame_rate=frame_rate)


def _pictures(frames: Float[np.ndarray, "frames channel y x"], *, rain: bool) -> Float[np.ndarray, "frames y x 3"]:
    """Colours from 0 to 255: of rain in mm/h those of the maps, where white is dry and grey not observed."""
    if not rain:
        return writing.to_pictures(frames).astype(np.float32)
    norm, colours = rain_colours()
    return np.asarray(255 * colours(norm(np.ma.masked_invalid(frames[:, 0])))[..., :3], np.float32)
