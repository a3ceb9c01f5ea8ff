"""The command inspect: what can be seen of a movie before anything is trained."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.root import main


@main.command()
@click.argument("movie", metavar="MOVIE", type=click.Path(path_type=Path))
@click.option("--axes", help="Axes as stored, where the file does not say, for instance ZYX.")
def inspect(movie: Path, axes: str | None) -> None:
    """Look at a raw movie: its noise, damage and motion, and which algorithms it rules out.

    \b
    Example:
        calm inspect movie.tif
    """  # noqa: D301 - click reads \b as "do not wrap"
    from contract.detector import find_faults
    from contract.stacks import open_stack
    from evaluation.checks.advice import advice, facts
    from evaluation.checks.raw_movie import look_at
    from evaluation.scores.score import StackFrames
    from orchestrator.data.inspect import inspect as check
    from orchestrator.errors import BadInput

    frames = check(movie.absolute(), axes, lambda _path, _what, look: look()).shape[0]
    if frames < 2:  # noqa: PLR2004 - noise shows between frames
        message = f"{movie}: expected a movie of at least 2 frames, got a single image"
        raise BadInput(message, "Noise is told from one frame to the next; give a movie of the same detector.")
    with open_stack(movie.absolute(), axes) as stack:
        found = look_at(StackFrames(stack))
        faults = find_faults(stack, gaps=False)
    click.echo("\n".join(facts(found)))
    click.echo(f"Detector: {faults.sentence() or 'no faults found'}.")
    for sentence in advice(found):
        click.echo(f"- {sentence}")
