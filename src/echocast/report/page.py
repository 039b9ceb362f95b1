"""The words and tables of a report, as Markdown and as one page of HTML that holds its figures.

>>> markdown(sections_of(evaluation, "echocast verify x"), {})  # doctest: +SKIP
"""

import base64
import html as escaping
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from echocast import fields
from echocast._version import __version__
from echocast.evaluation import Evaluation
from echocast.evaluation.result import FEWEST_EVENTS
from echocast.report import tables
from echocast.report.tables import Table

BLURS, KEEPS = 0.6, 0.8
"""Below this share of the observed standard deviation a forecast is smooth; from this on it is as rough as rain."""
_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905


@dataclass
class Section:
    """A heading and what stands under it: paragraphs and tables, each with a caption."""

    title: str
    words: list[str] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    warning: bool = False


def sections_of(evaluation: Evaluation, command: str) -> list[Section]:
    """The report's sections in their order."""
    found = [_head(evaluation, command)]
    warning = variance_warning(evaluation)
    if warning:
        found.append(Section("Mind what is compared", [warning], warning=True))
    there = next(iter(evaluation.values.values()))
    means = Section("Means over leads")
    means.tables = [
        (title, tables.threshold_table(evaluation, score)) for score, title in tables.WITH_THRESHOLD if score in there
    ]
    means.tables.append(("Scores without thresholds", tables.pointwise_table(evaluation)))
    found.append(means)
    if len(evaluation.forecasters) > 1:
        found.append(_differences(evaluation))
    found += _groups(evaluation)
    leads = Section("By lead")
    leads.tables = [
        (f"CSI at {threshold:g} mm/h", tables.lead_table(evaluation, "csi", threshold))
        for threshold in evaluation.thresholds
    ]
    leads.tables += [
        (title, tables.lead_table(evaluation, score))
        for score, title in (("rmse", "RMSE in mm/h"), ("crps", "CRPS in mm/h"))
        if score in there
    ]
    return [*found, leads]


def variance_warning(evaluation: Evaluation) -> str:
    """What to say where smooth forecasts stand beside rough ones; empty where all are alike."""
    kept = {name: evaluation.variance_kept(name) for name in evaluation.forecasters}
    smooth = [f"{name} ({value:.2f})" for name, value in kept.items() if value < BLURS]
    rough = [f"{name} ({value:.2f})" for name, value in kept.items() if value >= KEEPS]
    if not smooth or not rough:
        return ""
    return (
        f"Forecasts that minimise an error are compared with forecasts that keep the variance of rain. Of the observed"
        f" standard deviation {', '.join(smooth)} keep less than {BLURS:.0%}, {', '.join(rough)} keep {KEEPS:.0%} or"
        " more. A smooth forecast gains in RMSE, MAE and CRPS and loses heavy rain; a rough one pays twice for rain in"
        " the wrong place. Look at FSS, bias and the spectra before you call either better."
    )


def markdown(sections: list[Section], figures: Mapping[str, tuple[str, Figure]]) -> str:
    """The report as Markdown, with its figures beside it."""
    lines: list[str] = []
    for number, section in enumerate(sections):
        lines += [f"{'#' if number == 0 else '##'} {section.title}", ""]
        for paragraph in section.words:
            lines += [("> " if section.warning else "") + paragraph, ""]
        for caption, table in section.tables:
            lines += [f"{caption}:", "", *_rows(*table), ""]
    lines += ["## Figures", ""]
    for name, (caption, _) in figures.items():
        lines += [f"![{caption}]({name}.png)", "", caption, ""]
    return "\n".join(lines)


def html(sections: list[Section], figures: Mapping[str, tuple[str, Figure]], folder: Path) -> str:
    """The report as one page; `folder` holds the figures as PNG."""
    body: list[str] = []
    for number, section in enumerate(sections):
        if number == 1:
            body += _figures_html(figures, folder, first=True)
        level = 1 if number == 0 else 2
        body.append(f'<section class="{"warning" if section.warning else "plain"}">')
        body.append(f"<h{level}>{escaping.escape(section.title)}</h{level}>")
        body += [f"<p>{_marked(paragraph)}</p>" for paragraph in section.words]
        body += ['<div class="tables">', *(_table_html(*captioned) for captioned in section.tables), "</div></section>"]
    body += ["<section><h2>Figures</h2>", *_figures_html(figures, folder, first=False), "</section>"]
    title = escaping.escape(sections[0].title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><main>\n{chr(10).join(body)}\n</main></body></html>\n"
    )


_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f6f7f9; color: #1b1f24; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 1.5rem; }
section, figure { background: #fff; border: 1px solid #e1e4e8; border-radius: 8px; padding: 1rem 1.5rem; }
section, figure { margin: 0 0 1.2rem; }
section.warning { border-left: 6px solid #d55e00; }
h1 { font-size: 1.7rem; margin: .3rem 0; } h2 { font-size: 1.25rem; margin: .2rem 0 .6rem; }
section figure { border: 0; padding: 0; }
figure img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
figcaption { color: #57606a; font-size: .92rem; margin-top: .5rem; }
.tables { display: flex; flex-wrap: wrap; gap: 1.2rem 2.2rem; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; white-space: nowrap; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e1e4e8; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
tbody tr:hover td { background: #f0f5fa; }
code { background: #eff1f3; padding: .1rem .3rem; border-radius: 4px; overflow-wrap: anywhere; }
@media print { body { background: #fff; } section, figure { border: 0; break-inside: avoid; } }
""".strip()


def _head(evaluation: Evaluation, command: str) -> Section:
    count = len(evaluation.events)
    sure = (
        f"Intervals are 95 % of 1000 draws of these {count} events (days inside a run), the same for all forecasters."
        if count >= FEWEST_EVENTS
        else f"{count} event{'s' if count > 1 else ''} (days inside a run) are too few for intervals: no difference in"
        " this report can be called significant."
    )
    return Section(
        "Verification",
        [
            f"{evaluation.cases} cases from {fields.format_time(evaluation.first)} to"
            f" {fields.format_time(evaluation.last)} UTC;"
            f" {len(evaluation.lead_minutes)} leads to {evaluation.lead_minutes[-1]:g} min.",
            "Counts and sums are pooled over cases. All forecasters are scored on the same pixels: observed, and"
            " forecast by each of them. Coverage is the share of the observed pixels that a forecaster says something"
            f" about. Of an ensemble the scores of single forecasts take the mean. {sure}",
            f"Made by echocast {__version__}: `{command}`",
        ],
    )


def _differences(evaluation: Evaluation) -> Section:
    reference = evaluation.forecasters[0]
    there = next(iter(evaluation.values.values()))
    titles = dict(tables.WITH_THRESHOLD) | tables.WITHOUT
    section = Section(f"Against {reference}")
    section.words = [
        f"The mean over leads less that of {reference}, with its 95 % interval; where the interval holds 0 the"
        " difference is not significant."
    ]
    section.tables = [
        (titles[score], tables.difference_table(evaluation, score, reference))
        for score in tables.DIFFERING
        if score in there
    ]
    return section


def _groups(evaluation: Evaluation) -> list[Section]:
    found = []
    if len(evaluation.regions) > 1:
        found.append(Section("By region", tables=[("CSI", tables.group_table(evaluation, "csi", by="region"))]))
    if len(evaluation.months) > 1:
        header, rows = tables.group_table(evaluation, "csi", by="month")
        named = [header[0], *(f"{_MONTHS[int(h.partition(',')[0]) - 1]},{h.partition(',')[2]}" for h in header[1:])]
        found.append(Section("By month", tables=[("CSI", (named, rows))]))
    return found


def _rows(header: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _table_html(caption: str, table: Table) -> str:
    header, rows = table
    head = "".join(f"<th>{escaping.escape(cell)}</th>" for cell in header)
    lines = "".join(f"<tr>{''.join(f'<td>{escaping.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><caption>{escaping.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _figures_html(figures: Mapping[str, tuple[str, Figure]], folder: Path, *, first: bool) -> list[str]:
    """The curves stand at the top of the page, the others at its end."""
    found = []
    for name, (caption, _) in figures.items():
        if (name == "curves") == first:
            image = base64.b64encode((folder / f"{name}.png").read_bytes()).decode()
            text = escaping.escape(caption)
            shown = f'<img alt="{text}" src="data:image/png;base64,{image}">'
            found.append(f"<figure>{shown}<figcaption>{text}</figcaption></figure>")
    return found


def _marked(text: str) -> str:
    """Text with `code` marked."""
    parts = escaping.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
