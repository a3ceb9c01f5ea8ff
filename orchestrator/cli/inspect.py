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
    from orchestrator.data.inspect import check_gaps
    from orchestrator.data.movies import input_source
    from orchestrator.data.stacks import make_stacks
    from orchestrator.paths import layout
    from orchestrator.records import Choice

    source = input_source([movie.absolute()], Choice(axes=axes and axes.upper()), layout())
    (recording,) = source.recordings.values()
    check_gaps(source.recordings.values())
    make_stacks(source.recordings.values(), lambda line: click.echo(line, err=True))
    with open_stack(recording.stack, recording.axes) as stack:
        found = look_at(StackFrames(stack))
        faults = find_faults(stack, gaps=False)
    click.echo("\n".join(facts(found)))
    click.echo(f"Detector: {faults.sentence() or 'no faults found'}.")
    for sentence in advice(found):
        click.echo(f"- {sentence}")
