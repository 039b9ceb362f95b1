"""The words and tables of a report, as Markdown and as one page of HTML that holds its figures.

>>> markdown(sections_of(result, "echocast verify x"), {})  # doctest: +SKIP
"""

import base64
import html as escaping
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from echocast import fields
from echocast._version import __version__
from echocast.evaluation import VerificationResult, used_archives
from echocast.evaluation.by_mask import COMMON, OWN
from echocast.evaluation.climate import MONTHS
from echocast.evaluation.comparisons import LEVEL, MARGIN, compare
from echocast.evaluation.intervals import BOOTSTRAP_SAMPLES, MIN_DAYS, MIN_EFFECTIVE
from echocast.report import tables
from echocast.report.tables import Table

SMOOTH_BELOW, DETAILED_FROM = 0.6, 0.8
"""The ratio of forecast to observed standard deviation below which a forecast is smooth, and from which it is not."""


@dataclass
class Section:
    """A heading with paragraphs and tables, each table with a caption."""

    title: str
    words: list[str] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    warning: bool = False


def sections_of(result: VerificationResult, command: str, *, margin: float = MARGIN) -> list[Section]:
    """The report's sections in their order; `margin` is that of the test whether a forecaster is not worse."""
    found = [_head(result, command)]
    if scored_on_its_own := used_archives.warnings(result.uses):
        lines = [f"{line}." for line in scored_on_its_own]
        found.append(Section("A forecaster is scored on what it was made with", lines, warning=True))
    warning = smoothness_warning(result)
    if warning:
        found.append(Section("Smooth and detailed forecasts are compared", [warning], warning=True))
    means = Section("Means over lead times")
    means.tables = [
        (tables.caption(result, score), tables.threshold_table(result, score))
        for score in tables.threshold_scores(result)
    ]
    means.tables.append(("Scores without thresholds", tables.score_table(result)))
    means.words = _notes(result)
    found.append(means)
    if len(result.forecasters) > 1:
        found += [_differences(result), *_tests(result, margin)]
    found += [*_climate(result), *_masks(result), *_lost(result), *_groups(result)]
    leads = Section("By lead time")
    leads.tables = [
        (result.scores[score].short_title + _at(threshold), tables.lead_table(result, score, threshold))
        for score in tables.main_scores(result)
        for threshold in tables.thresholds_of(result, score)
    ]
    return [*found, leads, *_made_with(result)]


def smoothness_warning(result: VerificationResult) -> str:
    """A paragraph where smooth forecasts are compared with detailed ones; empty where all are alike."""
    ratios = {name: result.standard_deviation_ratio(name) for name in result.forecasters}
    smooth = [f"{name} ({value:.2f})" for name, value in ratios.items() if value < SMOOTH_BELOW]
    detailed = [f"{name} ({value:.2f})" for name, value in ratios.items() if value >= DETAILED_FROM]
    if not smooth or not detailed:
        return ""
    return (
        "The ratio of forecast to observed standard deviation differs between the forecasters. Smooth (below"
        f" {SMOOTH_BELOW:g}): {', '.join(smooth)}. Detailed ({DETAILED_FROM:g} or more): {', '.join(detailed)}."
        " A smooth forecast has a lower RMSE, MAE and CRPS, but too little heavy rain. A detailed forecast counts a"
        " displaced shower as two errors: a miss and a false alarm. Compare FSS, bias and spectra too."
    )


def markdown(sections: list[Section], figures: Mapping[str, tuple[str, Figure]]) -> str:
    """The report as Markdown; its figures are PNG files beside it."""
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
table.wide { font-size: .78rem; }
table.wide th, table.wide td { padding: .2rem .3rem; white-space: normal; }
table.wide td:first-child, table.wide th:first-child { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
tbody tr:hover td { background: #f0f5fa; }
code { background: #eff1f3; padding: .1rem .3rem; border-radius: 4px; overflow-wrap: anywhere; }
@media print { body { background: #fff; } section, figure { border: 0; break-inside: avoid; } }
""".strip()


def intervals(result: VerificationResult) -> str:
    """Where the confidence intervals come from, or why there are none."""
    count = len(result.days)
    found = {t: result.event_days(t) for t in result.thresholds}
    days = (
        f"Forecasts were issued on {count} UTC day{'s' if count > 1 else ''}. Days with more events weigh more, so they"
        f" are as good as {', '.join(f'{n.effective:.3g} at {t:g} mm/h' for t, n in found.items())} (effective days)."
    )
    without = [f"{t:g} mm/h" for t, n in found.items() if not n.enough]
    if len(without) == len(found):
        return (
            f"{days} There are no confidence intervals: too few days, {MIN_DAYS} with events and {MIN_EFFECTIVE:g}"
            " effective ones are needed. No difference in this report can be called significant."
        )
    return (
        f"{days} Confidence intervals (95 %) are from a block bootstrap with {BOOTSTRAP_SAMPLES} samples of days and"
        " Student's t for the effective days; all forecasters have the same samples."
        + (f" Too few days, so without an interval: {', '.join(without)}." if without else "")
    )


def cases(result: VerificationResult) -> str:
    """How many forecasts there are, of when, and for which lead times."""
    return (
        f"{result.cases} cases from {fields.format_time(result.first)} to {fields.format_time(result.last)} UTC;"
        f" {len(result.lead_minutes)} lead times to {result.lead_minutes[-1]:g} min."
    )


_SCORED = {
    COMMON: "All forecasters are scored on the same pixels: observed, and forecast by each of them (scores of members:"
    " by each member).",
    OWN: "All forecasters are scored on all observed pixels; where a forecaster has no value it counts as dry.",
}


def _head(result: VerificationResult, command: str) -> Section:
    return Section(
        "Verification",
        [
            cases(result),
            *([result.observations] if result.observations else []),
            f"Counts and sums are pooled over all cases. {_SCORED[result.mask]} Coverage is the fraction of the"
            " observed pixels that a forecaster forecasts. Scores for deterministic forecasts are computed from the"
            f" mean of an ensemble's members, of those that have a value there. {intervals(result)}",
            f"Made by echocast {__version__}: `{command}`",
        ],
    )


def _differences(result: VerificationResult) -> Section:
    reference = result.forecasters[0]
    section = Section(f"Differences from {reference}")
    section.words = [
        f"The mean over lead times minus that of {reference}, with its 95 % confidence interval. A difference is"
        " significant if the interval does not contain 0, of one comparison by itself."
        if _has_intervals(result)
        else f"The mean over lead times minus that of {reference}; how certain it is is not known from so few days."
    ]
    section.tables = [
        (result.scores[score].full_title, tables.difference_table(result, score, reference))
        for score in tables.main_scores(result)
    ]
    return section


def _has_intervals(result: VerificationResult) -> bool:
    return any(result.event_days(threshold).enough for threshold in result.thresholds)


def _tests(result: VerificationResult, margin: float) -> list[Section]:
    """What the tests say in words; no section where there are too few days for any."""
    if not _has_intervals(result):
        return []
    reference = result.forecasters[0]
    made = compare(result, reference, margin=margin)
    count = sum(1 for one in made if not math.isnan(one.p_equal))
    words = (
        f"Better and worse: the difference from {reference} is not chance (two-sided test by days). Not worse: it is"
        f" shown that the score is not worse by more than {100 * margin:g} % of that of {reference} (one-sided test);"
        " that no difference was found does not show it. Undecided: neither was shown. The p-values are corrected for"
        f" the {count} comparisons by Holm's method; below {LEVEL:g} decides."
    )
    section = Section(f"Tests against {reference}", [words])
    section.tables = [
        (result.scores[score].full_title, tables.test_table(result, made, score))
        for score in tables.main_scores(result)
    ]
    return [section]


def _masks(result: VerificationResult) -> list[Section]:
    """The CSI on other pixels, pooled and by case; no section for one forecaster or without these sums."""
    if len(result.forecasters) < 2 or not result.masks:
        return []
    first = result.forecasters[0]
    words = (
        "The common pixels are those that all forecasters have: fair, but one with large gaps decides for all. On its"
        " own pixels a forecaster is scored on everything that was observed, and what it does not know is dry. Pooled"
        " counts weigh each pixel with rain alike; the mean over cases weighs a case with one shower as much as a"
        " front."
    )
    made = Section("CSI by pixels that are scored", [words])
    made.tables = [
        ("CSI of pooled counts", tables.mask_table(result, by_case=False)),
        ("Mean over cases of the CSI", tables.mask_table(result, by_case=True)),
        (f"CSI of the forecaster / of {first}, on the pixels that both have", tables.pair_table(result)),
        ("Difference in CSI on the pixels that both have", tables.pair_difference_table(result)),
    ]
    return [made]


def _climate(result: VerificationResult) -> list[Section]:
    """The Brier skill scores against the sample and against the climate side by side; no section without a climate."""
    if result.climate is None:
        return []
    words = (
        "The Brier skill score against the sample has one reference for all: the frequency of the event in what is"
        " scored. It counts as skill that one place or month is wetter than another. The climate is the frequency at"
        f" each pixel in the calendar month of the valid time, from {result.climate.words}. Each cell is the score"
        " against the sample / against the climate."
    )
    section = Section("Brier skill against the sample and against the climate", [words])
    section.tables = [
        ("Brier skill score; 1 is perfect, 0 as the reference", tables.climate_table(result)),
        ("Squares in pixels whose events make a frequency of the climate", tables.pooled_table(result.climate)),
    ]
    return [section]


def _notes(result: VerificationResult) -> list[str]:
    """How large scales in pixels are on the ground, and why the fair CRPS is missing."""
    said = []
    scales = sorted({int(name.removeprefix("fss_")) for name in result.scores if re.fullmatch(r"fss_\d+", name)})
    if result.grid_km and (scales or "fss_skilful_scale" in result.scores):
        sides = [f", {scale} pixels are {scale * result.grid_km:.3g} km" for scale in scales]
        said.append(f"A pixel is {result.grid_km:.3g} km wide{''.join(sides)}.")
    if result.dependent and any(score.of_independent for score in result.scores.values()):
        said.append(
            f"The members of {', '.join(result.dependent)} are not drawn independently of each other, so the fair CRPS"
            " does not apply to them: compare the CRPS of as many members."
        )
    return said


def _lost(result: VerificationResult) -> list[Section]:
    """Up to when each forecaster is better than persistence; no section without persistence."""
    if "persistence" not in result.forecasters or len(result.forecasters) < 2 or len(result.lead_minutes) < 2:
        return []
    words = (
        "The lead time at which a forecaster is first no better than persistence, interpolated between two lead times;"
        f" > {result.lead_minutes[-1]:g} where it is better at all of them."
    )
    section = Section("Lead time at which skill over persistence is lost", [words])
    section.tables = [
        (f"{result.scores[score].full_title}: minutes", tables.lost_table(result, score))
        for score in tables.main_scores(result)
    ]
    return [section]


def _made_with(result: VerificationResult) -> list[Section]:
    """What the forecasters were trained and tuned on; no section where nothing is written down."""
    if not result.uses:
        return []
    without = [name for name in result.forecasters if name not in {use.forecaster for use in result.uses}]
    words = [f"Nothing is written down of: {', '.join(without)}."] if without else []
    header = ["forecaster", "archive", "from", "to", "used for", "days scored here"]
    rows = [
        [use.forecaster, use.archive, fields.format_time(use.first), fields.format_time(use.last),
         ", ".join(use.purposes), str(use.scored or "-")]
        for use in result.uses
    ]  # fmt: skip
    return [Section("What the forecasters were made with", words, [("Archives that were used", (header, rows))])]


def _groups(result: VerificationResult) -> list[Section]:
    found = []
    if len(result.regions) > 1:
        found.append(Section("By region", tables=[("CSI", tables.group_table(result, "csi", by="region"))]))
    if len(result.months) > 1:
        header, rows = tables.group_table(result, "csi", by="month")
        named = [header[0], *(f"{MONTHS[int(h.partition(',')[0]) - 1]},{h.partition(',')[2]}" for h in header[1:])]
        found.append(Section("By month", tables=[("CSI", (named, rows))]))
    return found


def _at(threshold: float | None) -> str:
    return "" if threshold is None else f" at {threshold:g} mm/h"


def _rows(header: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(header) - 1)]
    escaped = ([cell.replace("|", "\\|") for cell in cells] for cells in (header, rule, *rows))
    return [f"| {' | '.join(cells)} |" for cells in escaped]


def _table_html(caption: str, table: Table) -> str:
    header, rows = table
    head = "".join(f"<th>{escaping.escape(cell)}</th>" for cell in header)
    lines = "".join(f"<tr>{''.join(f'<td>{escaping.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    kind = "wide" if _is_wide(table) else "usual"
    return (
        f'<div class="scroll"><table class="{kind}"><caption>{escaping.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


_WIDE = 110
"""Characters side by side from which a table is set smaller, with lines that wrap: a laptop shows some 150."""


def _is_wide(table: Table) -> bool:
    header, rows = table
    return sum(max(len(row[column]) for row in (header, *rows)) + 2 for column in range(len(header))) > _WIDE


def _figures_html(figures: Mapping[str, tuple[str, Figure]], folder: Path, *, first: bool) -> list[str]:
    """The curves, which are at the top of the page, or the other figures, which are at its end."""
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
