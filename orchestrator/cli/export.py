"""The command export: predictions in other forms, and tables, traces and pictures of runs, for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from orchestrator.cli.options import PATH
from orchestrator.cli.root import algorithms, checked_runs, experiments, main
from orchestrator.domain import ExportForm
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from evaluation.report.content import Page
    from orchestrator.run import Run

_ENDS = ("table.csv", "traces.csv", ".png", ".gif")
_TO = f"Folder for --form  [default: exports of the run]; else a file whose name ends in {', '.join(_ENDS)}."


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
@click.option("--form", type=click.Choice(get_args(ExportForm)), help="Write the predictions in this form.")
@click.option("--to", "target", type=PATH, help=_TO)
def export(runs: tuple[Path, ...], form: ExportForm | None, target: Path | None) -> None:
    """Write predictions for ImageJ, as OME-Zarr 0.5 or for suite2p; or scores, traces or pictures of runs to a file.

    `...table.csv` holds every score; `...traces.csv` the mean of every frame (region 0) and of the most active
    regions; a PNG the brightest moment of every movie; a GIF the first movie, noisy beside its first prediction.
    Runs of controls on the same movies are beside them.

    \b
    Example:
        calm export outputs/n2v-movie-default/* --form ome-zarr
        calm export outputs/n2v-demo-quick/* --to table.csv
        calm export outputs/n2v-demo-quick/* --to preview.gif
    """  # noqa: D301 - click reads \b as "do not wrap"
    if form is not None:
        _write_form(checked_runs(runs), form, target)
    elif target is not None:
        _write_file(runs, target)
    else:
        message = "expected --form or --to, got neither"
        raise BadInput(message, "For instance --form imagej, or --to table.csv.")


def _write_form(runs: Sequence[Run], form: ExportForm, target: Path | None) -> None:
    """Write every prediction in another form, each split in a folder of its own."""
    from orchestrator.data.exports import export as write

    for run in runs:
        for name, _ in run.movies:
            folder = (target or run.folder.exports).absolute() / name.split
            click.echo(write(run.folder.prediction(str(name)), form, folder))


def _write_file(runs: Sequence[Path], target: Path) -> None:
    """Write the file that the end of its name asks for."""
    from orchestrator.cli.deliver import check_targets, delivering
    from orchestrator.paths import layout

    write = _writer(target)
    where, written = target.absolute(), layout().delivered
    check_targets([where], written)
    page = _page(checked_runs(runs))
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
