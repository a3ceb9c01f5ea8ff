"""The command inspect: what can be seen of a movie before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import PATH, Asked, choice_of, with_choice
from orchestrator.cli.root import main
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path


@main.command()
@click.argument("movie", metavar="MOVIE", type=PATH)
@with_choice
def inspect(movie: Path, **choice: Any) -> None:  # noqa: ANN401 - click passes the options above
    """Look at a raw movie: its noise, damage and motion, and which algorithms it rules out.

    \b
    Example:
        calm inspect movie.tif
    """  # noqa: D301 - click reads \b as "do not wrap"
    from contract.detector import find_faults
    from contract.stacks import open_stack
    from evaluation.checks.advice import raw_movie_text
    from evaluation.checks.raw_movie import look_at
    from evaluation.scores.score import StackFrames
    from orchestrator.data.movies import input_source
    from orchestrator.data.stacks import make_stacks
    from orchestrator.paths import layout

    source = input_source((movie,), choice_of(Asked(**choice)), layout())
    (recording,) = source.recordings.values()
    for note in source.notes:
        click.echo(note, err=True)
    if recording.shape[0] < 2:  # noqa: PLR2004 - noise shows between frames
        message = f"{movie}: expected a movie of at least 2 frames, got a single image"
        raise BadInput(message, "Noise is told from one frame to the next; give a movie of the same detector.")
    make_stacks((recording,), lambda line: click.echo(line, err=True))
    with open_stack(recording.stack, recording.axes) as stack:
        lines = raw_movie_text(look_at(StackFrames(stack)), find_faults(stack, gaps=False))
    click.echo("\n".join(lines))
