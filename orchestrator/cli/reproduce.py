"""Reproduce published experiments: run, score, compare, and say whether the numbers came out again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import options
from orchestrator.cli.data import BytesProgress
from orchestrator.cli.options import Asked, overrides_of, threads_of
from orchestrator.cli.root import PagePath, absolute, experiments, main, session
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.reproduce.attempts import Request
    from orchestrator.reproduce.reproduce import Reproduction
    from orchestrator.runs.session import Session


@main.command()
@click.argument("names", metavar="[EXPERIMENT]...", nargs=-1)
@click.option(
    "--from-csv", is_flag=True, help="Take CSVs of the study for EXPERIMENT, and recompute table 1 from them."
)
@click.option("--plan", "plan_only", is_flag=True, help="Show jobs, time, memory and disk; run nothing.")
@click.option("--seeds", type=click.IntRange(1, 100), default=1, show_default=True, help="Runs of each experiment.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 101), default=42, show_default=True, help="Of the first run.")
@click.option("--preset", help="Preset in place of the published settings; nothing is comparable then.")
@options.params
@options.threads
@options.device
@options.engine
@options.memory
@click.option("--to", "target", type=PagePath(), help="HTML page.  [default: reproduced.html among the outputs]")
def reproduce(  # noqa: PLR0913 - each is an option
    names: tuple[str, ...],
    *,
    from_csv: bool,
    plan_only: bool,
    seeds: int,
    preset: str | None,
    target: Path | None,
    **options: Any,  # noqa: ANN401 - click passes the options above
) -> None:
    """Run published experiments and compare every number; without names, list them.

    \b
    Example:
        calm reproduce MOUSENEU_LP_N2N_1 --plan
        calm reproduce NIDDL_N2V_1 NIDDL_N2V_2 --seeds 3
        calm reproduce --from-csv results/NIDDL_N2V_*.csv
    """  # noqa: D301
    if from_csv:
        _from_csv(absolute(tuple(map(Path, names))))
    elif not names:
        _list()
    else:
        asked = Asked(**options)
        opened = session(asked.engine_name, asked.memory_gib)
        _run(_request(names, seeds, preset, asked), opened, target, plan_only=plan_only)


def _list() -> None:

    for one in experiments().values():
        click.echo(f"{one.name:<24} {one.algorithm:<10} {one.dataset:<12} {one.outcome:<13} {one.title}")


def _from_csv(paths: Sequence[Path]) -> None:
    from evaluation.report.text import table_1_text
    from evaluation.study.table_1 import verdicts_of

    if not paths:
        message = "--from-csv: expected CSVs of the study, got none"
        raise BadInput(message, "They are results/NIDDL_N2V_*.csv of its repository.")
    verdicts = verdicts_of(paths, experiments())
    click.echo(table_1_text(verdicts))
    sys.exit(0 if all(one.judgement.verdict in ("reproduced", "not comparable") for one in verdicts) else 1)


def _run(request: Request, opened: Session, target: Path | None, *, plan_only: bool) -> None:
    from evaluation.study.judge import deviates
    from evaluation.study.protocol import score_experiment
    from orchestrator.cli.root import algorithms
    from orchestrator.reproduce.attempts import with_anchors
    from orchestrator.reproduce.reproduce import Reproduction

    known = experiments()
    work = Reproduction(
        session=opened,
        request=request,
        progress=BytesProgress(),
        score=lambda run, experiment: score_experiment(run, experiment, algorithms()),
        deviates=lambda attempt: deviates(attempt, known),
    )
    ordered = with_anchors(known, request.names)
    if plan_only:
        _show_plan(work, ordered)
    else:
        _show(work, ordered, known, target)


def _show_plan(work: Reproduction, ordered: Sequence[Experiment]) -> None:
    from orchestrator.cli.forecast import text_of
    from orchestrator.reproduce.forecast import forecast

    click.echo(text_of(forecast(work, ordered), work.session.layout))


def _show(
    work: Reproduction, ordered: Sequence[Experiment], known: Mapping[str, Experiment], target: Path | None
) -> None:
    """Run, print the verdicts with their reasons, and write the page."""
    from evaluation.report.gather import page_of
    from evaluation.report.page import write_page
    from evaluation.report.runs import entries_of_attempts
    from evaluation.report.text import reasons, text_of
    from evaluation.study.judge import passed
    from orchestrator.cli.root import algorithms

    attempts = work.attempts(ordered)
    page = page_of(entries_of_attempts(attempts, algorithms()), known)
    click.echo(text_of(page))
    click.echo()
    for line in reasons(page):
        click.echo(line)
    path = target or work.session.layout.reproduced
    path.parent.mkdir(parents=True, exist_ok=True)
    write_page(page, path)
    click.echo(f"\nReport: {path}")
    sys.exit(0 if passed(attempts, known) else 1)


def _request(names: tuple[str, ...], seeds: int, preset: str | None, asked: Asked) -> Request:
    from orchestrator.reproduce.attempts import Request

    return Request(
        names=names,
        seeds=seeds,
        first_seed=asked.seed,
        threads=threads_of(asked.threads),
        device=asked.device,
        preset=preset,
        overrides=overrides_of(asked.params),
    )
