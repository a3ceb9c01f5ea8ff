"""The command predict: a finished training on other movies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.denoise import finish, show_costs, stacks, targets_of, work_of
from orchestrator.cli.options import PATH, with_prediction_options
from orchestrator.cli.root import absolute, main, read_runs, session

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.records import Record


@main.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.argument("movies", metavar="MOVIE...", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", type=PATH, help="TIFF file, or folder for several movies.  [default: denoised]")
@with_prediction_options
def predict(
    run: Path,
    movies: tuple[Path, ...],
    *,
    output: Path | None,
    **options: Any,  # noqa: ANN401 - click passes the options above
) -> None:
    """Denoise other movies with the training of a finished run; nothing is trained.

    Each movie gets a run of its own with the settings of RUN, which its run.json names. Movies should be recorded
    like those of RUN.

    \b
    Example:
        calm predict outputs/n2v-movie-default/1f6b... other.tif
        calm predict outputs/n2v-movie-default/1f6b... recordings -o denoised
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.cli.deliver import check_targets
    from orchestrator.data.movies import input_source

    (trained,) = read_runs((run,))
    files = stacks(absolute(movies))
    opened = session(options["engine_name"], options["memory_gib"])
    targets = dict(zip(files, targets_of(files, output), strict=True))
    check_targets(list(targets.values()), opened.layout.delivered)
    axes = options["axes"] and options["axes"].upper()
    rate_hz = _rate_hz(trained.record, options["frame_rate_hz"])
    sources = [input_source((file,), axes, rate_hz, "test") for file in files]
    works = [work_of(source, opened.plans_with_training(trained, source), targets) for source in sources]
    click.echo(f"Training of {trained.title}, applied to {len(files)} movie{'' if len(files) == 1 else 's'}.")
    show_costs(works, opened.layout)
    finish(works, opened)


def _rate_hz(record: Record, given: float | None) -> float | None:
    """Return the frame rate of the movies, that of the training where none is given, and warn where they differ."""
    if given is not None and record.frame_rate_hz is not None and given != record.frame_rate_hz:
        click.echo(f"Warning: trained at {record.frame_rate_hz:g} Hz, applied at {given:g} Hz.", err=True)
    return given or record.frame_rate_hz
