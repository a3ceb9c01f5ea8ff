"""Render a page into one file: styles, script and pictures inside, no request to any network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evaluation.report.declared import declared_figures
from evaluation.report.headline import headline
from evaluation.report.plots import Labels, Series, line_plot, wants_log
from evaluation.report.resources import resource_rows
from evaluation.report.scores import direction, score_tables
from evaluation.report.section import PICTURED_MOVIES, Figure, movie_sections
from evaluation.report.styles import run_styles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evaluation.report.content import Report, RunContent, TrainingCurve

TEMPLATES = Path(__file__).parent / "templates"


def write_report(report: Report, path: Path) -> None:
    """Write one self-contained HTML file."""
    styles = run_styles({run.name: run.role for run in report.runs}, report.movies)
    sections = movie_sections(report.movies, report.metrics, styles)
    text = render(
        "report.html",
        {
            "report": report,
            "headline": headline(report),
            "tables": score_tables(report),
            "movies": sections,
            "not_pictured": [movie.name for movie in report.movies[PICTURED_MOVIES:]],
            "curves": [_curve(run, run.curve) for run in report.runs if run.curve is not None],
            "declared": declared_figures(report.runs, report.movies),
            "resources": resource_rows((run.title, run.resources) for run in report.runs),
            "warnings": [
                *report.warnings,
                *(f"{run.title}: {warning}" for run in report.runs for warning in run.warnings),
                *(warning for section in sections for warning in section.warnings),
            ],
            "record": report.record,
        },
    )
    write_text(text, path)


def render(template: str, values: Mapping[str, object]) -> str:
    """Fill a template of this package; the style sheet and the script go in with their hashes."""
    style, script = ((TEMPLATES / name).read_text("utf-8") for name in ("page.css", "page.js"))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["direction"] = direction
    environment.filters["pretty_json"] = _pretty_json
    shared = {"style": style, "script": script, "style_hash": _hash(style), "script_hash": _hash(script)}
    return environment.get_template(template).render({**shared, **values})


def write_text(text: str, path: Path) -> None:
    """Write a file that appears complete or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def _curve(run: RunContent, curve: TrainingCurve) -> Figure:
    steps, loss = np.asarray(curve.steps, np.float64), np.asarray(curve.loss, np.float64)
    val_steps, val_loss = np.asarray(curve.val_steps, np.float64), np.asarray(curve.val_loss, np.float64)
    series = [Series(name="training", x=steps, y=loss, style="noisy")]
    if len(val_steps):
        series.append(Series(name="validation", x=val_steps, y=val_loss, style="algorithm0", mark="circle"))
    log = wants_log(np.concatenate([loss, val_loss]))
    scale = ", logarithmic" if log else ""
    title = f"Loss of {run.title} while training"
    svg = line_plot(series, Labels(title=title, x=curve.step_unit, y=f"loss{scale}"), log_y=log)
    return Figure(title=title, svg=svg)


def _pretty_json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
