"""Tables in the terminal."""

from rich.console import Console
from rich.table import Table

from echocast.evaluation import VerificationResult
from echocast.report.tables import cell, lead_table

MINUTES = (5, 15, 30, 45, 60, 90)


def show(result: VerificationResult, console: Console) -> None:
    """CSI at the two lowest thresholds and, if it was computed, RMSE by lead time."""
    shown: list[tuple[str, float | None]] = [("csi", threshold) for threshold in result.thresholds[:2]]
    if "rmse" in result.scores:
        shown.append(("rmse", None))
    for score, threshold in shown:
        header, rows = lead_table(result, score, threshold, MINUTES)
        declared = result.scores[score]
        at = f" at {threshold:g} mm/h" if threshold else ""
        title = f"{declared.short_title}{at} (perfect: {declared.perfect:g})"
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for number, name in enumerate([*header, "mean over lead times"]):
            table.add_column(name, justify="right" if number else "left", no_wrap=not number)
        for row in rows:
            table.add_row(*row, cell(result.mean(score, row[0], threshold)))
        console.print(table)
        console.print()
