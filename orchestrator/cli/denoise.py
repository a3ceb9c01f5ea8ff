"""The command denoise: from a user's movies to denoised files, with their costs before and their checks after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.full_checks import FULL, checks_option
from orchestrator.cli.options import PATH, Asked, Listed, choice_of, regions, seeds, with_own_options
from orchestrator.cli.root import absolute, algorithm, main, session
from orchestrator.cli.work import finish, planned_works, refusals, say_notes, show_costs, with_targets, works_of

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.data.movies import Source

_ALGORITHM = (
    "Denoiser, or several with commas between them. "
    "N2V needs one movie and looks at single frames only, so it cannot blur in time."
)


@main.command()
@click.argument("movies", metavar="MOVIE...", nargs=-1, required=True, type=PATH)
@click.option("--algorithm", "names", type=Listed(), default="n2v", show_default=True, help=_ALGORITHM)
@click.option("-o", "--output", type=PATH, help="TIFF file, or folder for several movies.  [default: denoised]")
@click.option("--together", is_flag=True, help="Train once on all movies, not once on each.")
@click.option("--join", is_flag=True, help="The files of a folder or a pattern are one movie, one after the other.")
@regions
@seeds
@checks_option
@with_own_options
def denoise(  # noqa: PLR0913 - one for each option
    movies: tuple[Path, ...],
    *,
    names: tuple[str, ...],
    seeds: tuple[int, ...],
    output: Path | None,
    together: bool,
    join: bool,
    regions: Path | None,
    depth: str,
    **options: Any,  # noqa: ANN401 - click passes the options above
) -> None:
    """Denoise your own movies: train on each, write the result as TIFF, and check it.

    A movie is a file; of a folder or a quoted pattern, every file is a movie, unless it holds a single image.
    Costs are printed first. A file that calm did not write is never overwritten.

    \b
    Example:
        calm denoise movie.tif
        calm denoise day1.tif day2.h5 --preset quick -o denoised
        calm denoise recordings --algorithm n2v,deepcad --seed 1,2,3
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.cli.regions import regions_for
    from orchestrator.data.movies import input_source, own_sources

    asked = Asked(**options)
    choice = choice_of(asked)
    opened = session(asked.engine_name, asked.memory_gib)
    chosen = [algorithm(name) for name in names]
    found = own_sources(absolute(movies), choice, opened.layout, joined=join)
    each, refused = found.sources, refusals(found)
    if together and refused:
        raise next(iter(refused.values()))
    say_notes(each, opened)
    where = regions_for(regions, each)
    given = [recording.given for source in each for recording in source.recordings.values()]
    sources = (input_source(given, choice, opened.layout),) if together else each
    planned = planned_works(sources, lambda source: works_of(opened, source, chosen, seeds, asked), refused)
    works = with_targets(planned, output, opened.layout.delivered)
    click.echo(_how(each, trainings=len(works), together=together))
    show_costs(works, opened)
    finish(works, opened, regions=where, refused=refused, full=depth == FULL)


def _how(each: tuple[Source, ...], *, trainings: int, together: bool) -> str:
    """Say what is trained on what."""
    count = len(each)
    runs = f"; {trainings} trainings in all" if trainings > (1 if together else count) else ""
    if count == 1:
        return f"One movie: it is trained on itself{runs}."
    if together:
        return f"{count} movies together: one training sees them all{runs}."
    return (
        f"{count} movies, each trained on itself{runs}; --together trains once on all, --join makes a folder one movie."
    )
