"""The command export: predictions in other forms, and tables, traces and pictures of runs, for other programs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, get_args

import click

from orchestrator.cli.options import PATH, FiniteRange, regions
from orchestrator.cli.root import algorithms, checked_runs, experiments, main
from orchestrator.domain import ExportForm
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from evaluation.report.content import MovieContent, Page
    from orchestrator.records.run import Run

_ENDS = ("table.csv", "traces.csv", ".png", ".gif", ".webp")
_TO = f"Folder for --form  [default: exports of the run]; else a file whose name ends in {', '.join(_ENDS)}."
_DFF = "Grey level without light, as `calm inspect` tells it: traces get a column dF/F."


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
@click.option("--form", type=click.Choice(get_args(ExportForm)), help="Write the predictions in this form.")
@click.option("--to", "target", type=PATH, help=_TO)
@regions
@click.option("--dff", "black", type=FiniteRange(), metavar="BLACK", help=_DFF)
def export(
    runs: tuple[Path, ...], *, form: ExportForm | None, target: Path | None, regions: Path | None, black: float | None
) -> None:
    """Write predictions for ImageJ, as OME-Zarr 0.5 or for suite2p; or scores, traces or pictures of runs to a file.

    `...table.csv` holds every score; `...traces.csv` the mean of every frame (region 0) and of every region, raw and
    denoised; a PNG the brightest moment of every movie; a GIF or WebP the first movie, noisy beside its first
    prediction. Runs of controls on the same movies are beside them.

    \b
    Example:
        calm export outputs/n2v-movie-default/* --form ome-zarr
        calm export outputs/n2v-demo-quick/* --to table.csv
        calm export outputs/n2v-movie-default/* --to traces.csv --regions stat.npy --dff 100
        calm export outputs/n2v-demo-quick/* --to preview.gif
    """  # noqa: D301 - click reads \b as "do not wrap"
    if form is not None:
        _write_form(checked_runs(runs), form, target)
    elif target is not None:
        _write_file(runs, target, regions, black)
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


def _write_file(runs: Sequence[Path], target: Path, regions: Path | None, black: float | None) -> None:
    """Write the file that the end of its name asks for."""
    from orchestrator.cli.deliver import check_targets, delivering
    from orchestrator.cli.regions import look_at
    from orchestrator.paths import layout

    write = _writer(target, black)
    where, written = target.absolute(), layout().delivered
    check_targets([where], written)
    given = checked_runs(runs)
    look_at(given, regions)
    page = _page(given)
    if target.name.lower().endswith("traces.csv"):
        for words in dict.fromkeys(_where(movie) for movie in page.movies):
            click.echo(f"Regions: {words}", err=True)
    with delivering(where, written) as part:
        write(page, part)
    click.echo(where)


def _writer(target: Path, black: float | None) -> Callable[[Page, Path], None]:
    """Return who writes a file of this name."""
    from evaluation.report import export as files

    writers: tuple[Callable[[Page, Path], None], ...] = (
        files.write_table,
        partial(files.write_traces, black=black),
        files.write_figure,
        partial(files.write_preview, form="GIF"),
        partial(files.write_preview, form="WEBP"),
    )
    found = [write for end, write in zip(_ENDS, writers, strict=True) if target.name.lower().endswith(end)]
    if not found:
        message = f"--to: expected a name that ends in {', '.join(_ENDS)}, got {target.name}"
        raise BadInput(message, "For instance --to table.csv; `calm report` writes HTML, `calm denoise` the movie.")
    return found[0]


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


def _where(movie: MovieContent) -> str:
    """Say where the regions of a movie come from."""
    if movie.regions is not None:
        return f"{movie.regions.origin}."
    return "the most active spots, away from broken rows; they need not be cells (--regions)."
