"""Commands on runs: run, evaluate, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.data import BytesProgress
from orchestrator.cli.full_checks import FULL, check_fully, checks_option
from orchestrator.cli.options import PATH, Asked, check_one_source, choice_of, regions, settings_of, with_run_options
from orchestrator.cli.root import (
    PagePath,
    absolute,
    algorithm,
    algorithms,
    check_option,
    checked_runs,
    main,
    session,
    share_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.data.movies import Source
    from orchestrator.records.run import Run


@main.command()
@click.argument("name", metavar="ALGORITHM")
@with_run_options
@checks_option
@check_option
def run(name: str, *, depth: str, check: bool, **options: Any) -> None:  # noqa: ANN401 - click passes the options above
    """Train, predict, score and report one algorithm, beside the controls.

    \b
    Example:
        calm run n2v --data demo --preset quick
        calm run n2v --input movie.tif --param num_epochs=20
    """  # noqa: D301
    from orchestrator.runs.needs import check_prior

    asked = Asked(**options)
    opened = session(asked.engine_name, asked.memory_gib)
    source = _source(asked)
    for note in source.notes:
        opened.say(note)
    plans = opened.plans(algorithm(name), source, settings_of(asked), absolute(asked.prior))
    check_prior(plans[0])
    outcomes = opened.run_all(plans)
    for outcome in outcomes:
        outcome.run.check(content=check)
    click.echo(outcomes[0].sentence())
    if depth == FULL:
        check_fully(plans[0], outcomes[0].run, opened)
    _show([outcome.run for outcome in outcomes], None)


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
@check_option
def evaluate(runs: tuple[Path, ...], *, check: bool) -> None:
    """Score finished runs again where movies or metrics have changed, and print the scores beside the controls.

    \b
    Example:
        calm evaluate outputs/n2v-demo-quick/*
    """  # noqa: D301
    from evaluation.report.report import tables_of_runs

    click.echo(tables_of_runs(checked_runs(runs, content=check), algorithms()))


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
@click.option("--to", "target", type=PagePath(), help="HTML file.  [default: report.html of the first run]")
@regions
@share_option
@check_option
def report(runs: tuple[Path, ...], target: Path | None, regions: Path | None, *, share: bool, check: bool) -> None:
    """Write one page about finished runs, beside the controls and what was published for such settings.

    \b
    Example:
        calm report outputs/n2v-demo-quick/*
        calm report outputs/*/* --to all.html
        calm report outputs/n2v-movie-default/* --regions stat.npy
    """  # noqa: D301
    from orchestrator.cli.regions import look_at

    found = checked_runs(runs, content=check)
    look_at(found, regions)
    _show(found, target or (found[0].folder.shared_report if share else None), share=share)


def _show(runs: Sequence[Run], target: Path | None, *, share: bool = False) -> None:
    """Write the report, print its table and where it is."""
    from evaluation.checks.of_run import check_run
    from evaluation.checks.words import lights_text
    from evaluation.report.report import report_runs
    from orchestrator.cli.root import experiments
    from orchestrator.paths import layout

    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"\n{report_runs(runs, algorithms(), experiments, layout().containers, target, shared=share)}\n")
    click.echo(f"Report: {target or runs[0].folder.report}")
    click.echo(f"\n{lights_text(check_run(runs[0]))}")


def _source(asked: Asked) -> Source:
    from orchestrator.data.movies import dataset_source, input_source
    from orchestrator.paths import layout

    check_one_source(asked)
    if asked.inputs:
        return input_source(absolute(asked.inputs), choice_of(asked), layout())
    return dataset_source(asked.dataset or "demo", layout(), BytesProgress())
