"""Render a page into one file: styles, scripts and pictures inside, no request to any network."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from contract.files import atomic
from evaluation.checks.lights import Topic
from evaluation.checks.words import SHAPES, light_rows, reason
from evaluation.report.content import STUDY, SUPERVISED
from evaluation.report.declared import declared_plots
from evaluation.report.headline import headline
from evaluation.report.numbers import duration, gibibytes
from evaluation.report.plots import Plot, Series, wants_log
from evaluation.report.section import PICTURED_MOVIES, movie_sections
from evaluation.report.styles import run_styles
from evaluation.report.table import tables_of, verdict_counts
from orchestrator.records.sharing import for_others

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evaluation.report.content import Page, Row, TrainingCurve
    from evaluation.scores.catalogue import Metric

TEMPLATES = Path(__file__).parent / "templates"
_FEWEST_POINTS = 3  # a plot of fewer says no more than the table
_VERDICT_STYLES = {
    "reproduced": "algorithm5",
    "within seed spread": "algorithm0",
    "deviates": "algorithm1",
    "not comparable": "noisy",
}


def write_page(page: Page, path: Path, key: str = "") -> None:
    """Write one self-contained HTML file, which appears complete or not at all.

    Parameters
    ----------
    page : Page
        What to show; its movies are streamed.
    path : Path
        The file to write.
    key : str
        What the content depends on, written into the head of the file.

    Raises
    ------
    BadInput
        When a movie cannot be read or its predictions have another shape.
    """
    styles = run_styles({row.name: row.role for row in page.rows}, page.movies)
    sections = movie_sections(page.movies, page.metrics, styles)
    tables = tables_of(page)
    style, script = (
        "\n".join((TEMPLATES / name).read_text("utf-8") for name in names)
        for names in (("uplot.css", "page.css"), ("uplot.js", "page.js"))
    )
    text = (
        _environment()
        .get_template("page.html")
        .render(
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
            key=key,
            page=page,
            record=for_others(page.record) if page.shared else page.record,
            lights={title: (verdict, light_rows(verdict)) for title, verdict in page.verdicts.items()},
            headline=() if page.comparison else headline(page),
            comparison=page.comparison,
            denoised=for_others(list(_denoised(page))) if page.shared else list(_denoised(page)),
            counts=verdict_counts(page),
            tables=tables,
            definitions=list({column.metric.name: column.metric for one in tables for column in one.columns}.values()),
            movies=sections,
            not_pictured=[movie.name for movie in page.movies[PICTURED_MOVIES:]],
            curves=[_curve(row, row.curve) for row in page.rows if row.curve is not None],
            declared=declared_plots(page.rows, page.movies),
            agreement=[plot for metric in page.metrics if (plot := _agreement(page, metric)) is not None],
            warnings=[
                *page.warnings,
                *(f"{row.title}: {warning}" for row in page.rows for warning in row.warnings),
                *(warning for section in sections for warning in section.warnings),
            ],
        )
    )
    with atomic(path) as part:
        part.write_text(text, "utf-8", newline="\n")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"pretty_json": _pretty_json, "duration": duration, "gibibytes": gibibytes, "reason": reason}
    environment.globals |= {"STUDY": STUDY, "topics": tuple(Topic), "shapes": SHAPES}
    return environment


def _denoised(page: Page) -> Iterator[tuple[str, Path]]:
    """Yield what was denoised by what, and where it lies: the file, or the folder of several."""
    titles = {row.name: row.title for row in page.rows if row.role in ("algorithm", SUPERVISED)}
    titles = titles or {row.name: row.title for row in page.rows}
    folders: dict[tuple[str, Path], list[Path]] = {}
    for movie in page.movies:
        for name, path in movie.predictions.items():
            if name in titles:
                folders.setdefault((titles[name], path.parent), []).append(path)
    for (title, folder), paths in folders.items():
        yield (f"{paths[0].name}, {title}", paths[0]) if len(paths) == 1 else (f"{len(paths)} movies, {title}", folder)


def _curve(row: Row, curve: TrainingCurve) -> Plot:
    loss, val_loss = np.asarray(curve.loss, np.float64), np.asarray(curve.val_loss, np.float64)
    series = [Series(name="training", x=np.asarray(curve.steps, np.float64), y=loss, style="noisy")]
    if len(val_loss):
        steps = np.asarray(curve.val_steps, np.float64)
        series.append(Series(name="validation", x=steps, y=val_loss, style="algorithm0"))
    log = wants_log(np.concatenate([loss, val_loss]))
    return Plot(title=f"Loss of {row.title} while training", x="steps", y="loss", series=tuple(series), log=log)


def _agreement(page: Page, metric: Metric) -> Plot | None:
    """Plot our values of a metric against the published ones, with the line of equality."""
    compared = [
        (score.study.published.mean, score.value.mean, score.study.verdict)
        for row in page.rows
        for scores in row.scores.values()
        if (score := scores.get(metric.name)) and score.study and score.study.published and score.value
    ]
    compared = [one for one in compared if math.isfinite(one[0]) and math.isfinite(one[1])]
    if len(compared) < _FEWEST_POINTS:
        return None
    ends = np.array([min(min(one[:2]) for one in compared), max(max(one[:2]) for one in compared)])
    series = [Series(name="equal", x=ends, y=ends, style="target")]
    for verdict, style in _VERDICT_STYLES.items():
        points = np.array(sorted(one[:2] for one in compared if one[2] == verdict), np.float64)
        if len(points):
            series.append(Series(name=verdict, x=points[:, 0], y=points[:, 1], style=style, points=True))
    unit = f" ({metric.unit})" if metric.unit else ""
    return Plot(
        title=f"{metric.title}: ours against published", x=f"published{unit}", y=f"ours{unit}", series=tuple(series)
    )


def _pretty_json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
