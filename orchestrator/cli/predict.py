"""The command predict: a finished training on other movies."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.full_checks import FULL, checks_option
from orchestrator.cli.options import PATH, Asked, choice_of, regions, with_prediction_options
from orchestrator.cli.root import absolute, checked_runs, main, session
from orchestrator.cli.work import Work, finish, planned_works, refusals, say_notes, show_costs, with_targets

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.data.movies import Source
    from orchestrator.errors import CalmError
    from orchestrator.records.record import Choice, Record
    from orchestrator.records.run import Run
    from orchestrator.runs.session import Session


@main.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.argument("movies", metavar="MOVIE...", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", type=PATH, help="TIFF file, or folder for several movies.  [default: denoised]")
@regions
@checks_option
@with_prediction_options
def predict(
    run: Path,
    movies: tuple[Path, ...],
    *,
    output: Path | None,
    regions: Path | None,
    depth: str,
    **options: Any,  # noqa: ANN401 - click passes the options above
) -> None:
    """Denoise other movies with the training of a finished run; nothing is trained.

    Each movie gets a run of its own with the settings of RUN, which its run.json names. Where noise, frame rate or
    size of a pixel are not those that RUN was trained on, a warning says so.

    \b
    Example:
        calm predict outputs/n2v-movie-default/* other.tif
        calm predict outputs/n2v-movie-default/* day1.tif day2.tif -o denoised
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.cli.regions import regions_for

    (trained,) = checked_runs((run,))
    asked = Asked(**options)
    opened = session(asked.engine_name, asked.memory_gib)
    sources, refused = _sources(absolute(movies), choice_of(asked), trained.record, opened)
    where = regions_for(regions, sources)
    planned = planned_works(sources, partial(_works, opened, trained), refused)
    works = with_targets(planned, output, opened.layout.delivered)
    click.echo(f"Training of {trained.title}, applied to {len(sources)} movie{'' if len(sources) == 1 else 's'}.")
    show_costs(works, opened)
    finish(works, opened, regions=where, refused=refused, full=depth == FULL)


def _works(opened: Session, trained: Run, source: Source) -> tuple[tuple[Work, ...], dict[str, CalmError]]:
    plans = opened.plans_with_training(trained, source)
    return (Work(source=source, plans=plans, label="", targets={}),), {}


def _sources(
    movies: tuple[Path, ...], choice: Choice, trained: Record, opened: Session
) -> tuple[tuple[Source, ...], dict[str, CalmError]]:
    """Describe movies at their frame rate, that of the training where none is known, and warn where they differ.

    Returns also why others cannot be used.
    """
    from msgspec.structs import replace

    from orchestrator.data.movies import input_source, own_sources

    found = own_sources(movies, choice, opened.layout, split="test")
    sources = found.sources
    say_notes(sources, opened)
    for source in sources:
        _warn(source, trained, opened)
    assumed = replace(choice, frame_rate_hz=trained.frame_rate_hz)
    given = [[recording.given for recording in source.recordings.values()] for source in sources]
    described = tuple(
        one if one.frame_rate_hz is not None else input_source(files, assumed, opened.layout, split="test")
        for one, files in zip(sources, given, strict=True)
    )
    return described, refusals(found)


def _warn(source: Source, trained: Record, opened: Session) -> None:
    """Say where a movie differs from those of a training in noise, frame rate or size of a pixel."""
    from evaluation.checks.likeness import Likeness, differences
    from orchestrator.data.stacks import make_stacks

    make_stacks(source.recordings.values(), opened.say)
    learned = [movie for name, movie in sorted(trained.movies.items()) if name.startswith("train/")]
    known = learned[0].recording if learned else None
    size = known.pixel_um if known else None
    theirs = Likeness(
        noise_sd=_noise(learned[0].noisy) if learned else None,
        rate_hz=trained.frame_rate_hz,
        pixel_um=size.value[0] if size else None,
    )
    for stack, recording in source.recordings.items():
        pixel = recording.pixel_um
        ours = Likeness(
            noise_sd=_noise(stack), rate_hz=source.frame_rate_hz, pixel_um=pixel.value[0] if pixel else None
        )
        for sentence in differences(theirs, ours):
            opened.say(f"Warning: {recording.given.name}: {sentence}; look at what was removed before you trust it.")


def _noise(path: Path) -> float | None:
    """Return the noise of a stack; None where it is no longer there."""
    from contract.stacks import open_stack
    from evaluation.checks.likeness import noise_sd
    from evaluation.scores.score import StackFrames

    if not path.is_file():
        return None
    with open_stack(path) as stack:
        return noise_sd(StackFrames(stack))
