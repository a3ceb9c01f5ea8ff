"""The command predict: a finished training on other movies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.denoise import finish, show_costs, sources_of, targets_of, work_of
from orchestrator.cli.options import PATH, choice_of, with_prediction_options
from orchestrator.cli.root import absolute, checked_runs, main, session

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.data.movies import Source
    from orchestrator.records import Choice, Record
    from orchestrator.runs.session import Session


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
        calm predict outputs/n2v-movie-default/* other.tif
        calm predict outputs/n2v-movie-default/* day1.tif day2.tif -o denoised
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.cli.deliver import check_targets

    (trained,) = checked_runs((run,))
    opened = session(options["engine_name"], options["memory_gib"])
    sources = _sources(absolute(movies), choice_of(options), trained.record, opened)
    targets = targets_of(sources, output)
    check_targets(list(targets.values()), opened.layout.delivered)
    works = [work_of(source, opened.plans_with_training(trained, source), targets) for source in sources]
    click.echo(f"Training of {trained.title}, applied to {len(sources)} movie{'' if len(sources) == 1 else 's'}.")
    show_costs(works, opened.layout)
    finish(works, opened)


def _sources(movies: tuple[Path, ...], choice: Choice, trained: Record, opened: Session) -> tuple[Source, ...]:
    """Describe movies at their frame rate, that of the training where none is known, and warn where they differ."""
    from msgspec.structs import replace

    from orchestrator.data.movies import input_source

    sources = sources_of(movies, choice, opened, "test")
    learned = trained.frame_rate_hz
    assumed = replace(choice, frame_rate_hz=learned)
    for source in sources:
        if None not in (learned, source.frame_rate_hz) and source.frame_rate_hz != learned:
            opened.say(f"Warning: trained at {learned:g} Hz, applied at {source.frame_rate_hz:g} Hz ({source.name}).")
    given = [[recording.given for recording in source.recordings.values()] for source in sources]
    return tuple(
        one if one.frame_rate_hz is not None else input_source(files, assumed, opened.layout, split="test")
        for one, files in zip(sources, given, strict=True)
    )
