"""Tables in the terminal."""

from rich.console import Console
from rich.table import Table

from echocast.evaluation import Evaluation
from echocast.report import lead_table

MINUTES = (5, 15, 30, 45, 60, 90)


def show(evaluation: Evaluation, console: Console) -> None:
    """CSI at the two lowest thresholds and, if it was computed, RMSE by lead."""
    shown: list[tuple[str, float | None]] = [("csi", threshold) for threshold in evaluation.thresholds[:2]]
    if evaluation.has("pointwise"):
        shown.append(("rmse", None))
    for score, threshold in shown:
        header, rows = lead_table(evaluation, score, threshold, MINUTES)
        title = f"CSI at {threshold:g} mm/h (1 is perfect)" if threshold else "RMSE in mm/h (0 is perfect)"
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for number, name in enumerate([*header, "all leads"]):
            table.add_column(name, justify="right" if number else "left", no_wrap=not number)
        for row in rows:
            table.add_row(*row, f"{evaluation.mean(score, row[0], threshold):.3f}")
        console.print(table)
        console.print()
