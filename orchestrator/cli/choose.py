"""The command compare: every algorithm and control on one movie under one budget, and what to take of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.full_checks import FULL, check_fully, checks_option
from orchestrator.cli.options import PATH, Asked, Listed, choice_of, regions, seeds, with_own_options
from orchestrator.cli.root import PagePath, algorithm, algorithms, experiments, main, session
from orchestrator.cli.work import run_works, say_notes, show_costs, works_of
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evaluation.report.compared import Compared
    from orchestrator.cli.work import Done, Work
    from orchestrator.data.movies import Source
    from orchestrator.domain import Algorithm
    from orchestrator.records.regions import Regions
    from orchestrator.runs.session import Session


@main.command()
@click.argument("movie", metavar="MOVIE", type=PATH)
@click.option("--algorithm", "names", type=Listed(), help="Only these, with commas between them.  [default: all]")
@click.option("--to", "target", type=PagePath(), help="HTML file.  [default: among the outputs]")
@regions
@seeds
@checks_option
@with_own_options
def compare(  # noqa: PLR0913 - one for each option
    movie: Path,
    *,
    names: tuple[str, ...] | None,
    target: Path | None,
    regions: Path | None,
    seeds: tuple[int, ...],
    depth: str,
    **options: Any,  # noqa: ANN401 - click passes the options above
) -> None:
    """Run all algorithms and controls on one movie with one preset, and say what to take and why.

    Costs are printed first. A second call runs only what is missing. The recommendation comes from checks, traces and
    costs together, and nothing that learned from clean targets is recommended.

    \b
    Example:
        calm compare movie.tif --preset quick
        calm compare movie.tif --preset quick --algorithm n2v,deepcad --regions stat.npy
    """  # noqa: D301 - click reads \b as "do not wrap"
    from evaluation.report.compared import Compared
    from orchestrator.cli.regions import regions_for
    from orchestrator.data.movies import own_sources

    asked = Asked(**options)
    opened = session(asked.engine_name, asked.memory_gib)
    sources = own_sources((movie.absolute(),), choice_of(asked), opened.layout).sources
    source = _one(movie, sources)
    say_notes(sources, opened)
    found = regions_for(regions, sources)
    chosen = [algorithm(name) for name in names] if names else _all(asked)
    works, refused = works_of(opened, source, chosen, seeds, asked)
    click.echo(f"{len(chosen)} algorithms and the controls on {source.name}, preset {asked.preset}.")
    show_costs(works, opened)
    done = list(run_works(works, opened))
    _check_fully(done if depth == FULL else [], opened, found)
    page = target or opened.layout.compared(source.name, asked.preset)
    page.parent.mkdir(parents=True, exist_ok=True)
    failed = {_title(one.work): one.error for one in done if one.error is not None}
    given = Compared(
        runs=[one.run for one in done if one.run is not None],
        failures={title: error.message for title, error in (refused | failed).items()},
        seeds=len(seeds),
        budget=asked.preset,
        regions=found,
    )
    click.echo(_written(given, page, opened))
    for title, run in ((_title(one.work), one.run) for one in done if one.run is not None):
        for name, _ in run.movies:
            click.echo(f"Denoised by {title}: {run.folder.prediction(str(name))}")
    click.echo(f"Report: {page}")


def _one(movie: Path, sources: Sequence[Source]) -> Source:
    if len(sources) > 1:
        message = f"{movie}: expected one movie, got {len(sources)}"
        raise BadInput(message, "Compare on one of them; `calm denoise --algorithm A,B` runs several on many.")
    return sources[0]


def _all(asked: Asked) -> list[Algorithm]:
    """Return every algorithm that learns from noisy movies alone and knows the preset and the device."""
    known = (one for one in algorithms().values() if one.kind == "algorithm")
    return [one for one in known if asked.preset in one.presets and asked.device in one.devices]


def _written(given: Compared, page: Path, opened: Session) -> str:
    """Write the page and return its beginning as text."""
    from evaluation.report.compared import write_comparison

    if not given.runs:
        message = f"expected at least one run that ends well, got none: {next(iter(given.failures.values()))}"
        raise BadInput(message, "Try another preset, or `calm inspect` the movie.")
    return write_comparison(given, algorithms(), experiments(), opened.layout.containers, page)


def _check_fully(done: Sequence[Done], opened: Session, where: Regions | None) -> None:
    """Judge every run by further predictions and trainings, in the regions that the page will show."""
    from orchestrator.records.regions import keep_regions

    for one in done:
        if one.run is not None:
            keep_regions(one.run.folder, where)
            check_fully(one.work.plans[0], one.run, opened)


def _title(work: Work) -> str:
    plan = work.plans[0]
    seed = work.label.removeprefix(plan.algorithm.folder_name).strip("-")
    return f"{plan.algorithm.title}, {plan.settings.preset}" + (f", {seed}" if seed else "")
