"""The command export: tables, traces, a figure or a preview of runs, for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import PATH
from orchestrator.cli.root import algorithms, experiments, main, read_runs
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evaluation.report.content import Page
    from orchestrator.run import Run

_ENDS = ("table.csv", "traces.csv", ".png", ".gif")


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
@click.option("--to", "target", required=True, type=PATH, help=f"File; its name ends in {', '.join(_ENDS)}.")
def export(runs: tuple[Path, ...], target: Path) -> None:
    """Write scores, traces, a figure or a preview of finished runs, beside the controls, to a file.

    `...table.csv` holds every score; `...traces.csv` the mean of every frame (region 0) and of the most active
    regions; a PNG the brightest moment of every movie; a GIF the first movie, noisy beside its first prediction.

    \b
    Example:
        calm export outputs/n2v-demo-quick/* --to table.csv
        calm export outputs/n2v-demo-quick/* --to preview.gif
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.cli.deliver import check_targets, delivering
    from orchestrator.paths import layout

    write = _writer(target)
    where, written = target.absolute(), layout().delivered
    check_targets([where], written)
    page = _page(read_runs(runs))
    with delivering(where, written) as part:
        write(page, part)
    click.echo(where)


def _writer(target: Path) -> Callable[[Page, Path], None]:
    """Return who writes a file of this name."""
    from evaluation.report import export as files

    known = dict(
        zip(_ENDS, (files.write_table, files.write_traces, files.write_figure, files.write_preview), strict=True)
    )
    end = next((one for one in known if target.name.lower().endswith(one)), None)
    if end is None:
        message = f"--to: expected a name that ends in {', '.join(_ENDS)}, got {target.name}"
        raise BadInput(message, "For instance --to table.csv; `calm report` writes HTML, `calm denoise` the movie.")
    return known[end]


def _page(given: list[Run]) -> Page:
    """Score what is not scored, and gather what a report of these runs would show."""
    from evaluation.report.gather import page_of
    from evaluation.report.runs import entries_of, with_controls
    from evaluation.scores.score import score_run

    known, published = algorithms(), experiments()
    runs = with_controls(given, known)
    for run in runs:
        score_run(run, known)
    return page_of(entries_of(runs, published, known), published)
