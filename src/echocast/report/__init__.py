"""A report of a verification: a page, Markdown, tables, figures, files.

>>> write_report(result, Path("report"), command="echocast verify radar.zarr")  # doctest: +SKIP
"""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from echocast.evaluation import VerificationResult
from echocast.evaluation.comparisons import MARGIN
from echocast.report import files, page
from echocast.report.figures import figures_of
from echocast.report.panels import case_panels
from echocast.report.pictures import write_picture_report
from echocast.report.stations import write_station_report
from echocast.report.tables import lead_table, score_table, threshold_table

__all__ = [
    "case_panels",
    "lead_table",
    "score_table",
    "threshold_table",
    "write_picture_report",
    "write_report",
    "write_station_report",
]


def write_report(
    result: VerificationResult,
    folder: Path,
    *,
    command: str,
    panels: Mapping[str, tuple[str, Figure]] | None = None,
    margin: float = MARGIN,
) -> None:
    """Write the report into a folder; all of its files or none.

    ``report.html`` (one page that holds its figures), ``report.md`` with the figures beside it as PNG, ``scores.csv``,
    ``scores.json`` and ``scores.nc``, ``differences.csv``, and ``masks.csv`` with the CSI on other pixels.

    Args:
        result: of `evaluation.evaluate` or `evaluation.run`.
        folder: made if it does not exist; files of the same names are replaced.
        command: the command line that the report names.
        panels: more figures by file name, each with its caption, such as `case_panels`.
        margin: of the test whether a forecaster is not worse, as a part of the other's score.

    Raises:
        DataError: the folder is a file, or cannot be written.
    """
    figures = figures_of(result) | dict(panels or {})
    sections = page.sections_of(result, command, margin=margin)
    with files.written_folder(folder) as made:
        for name, (_, figure) in figures.items():
            figure.savefig(made / f"{name}.png", dpi=100, facecolor="white", bbox_inches="tight", pad_inches=0.15)
        (made / "report.md").write_text(page.markdown(sections, figures), encoding="utf-8")
        (made / "report.html").write_text(page.html(sections, figures, made), encoding="utf-8")
        files.write_csv(result, made / "scores.csv")
        files.write_differences(result, made / "differences.csv", margin=margin)
        files.write_masks(result, made / "masks.csv")
        files.write_json(result, made / "scores.json", command)
        files.write_netcdf(result, made / "scores.nc", command)
