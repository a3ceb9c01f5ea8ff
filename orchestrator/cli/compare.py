"""Commands that compare runs: diff and verify."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import ENGINES, PATH
from orchestrator.cli.root import main, read_runs, session

if TYPE_CHECKING:
    from pathlib import Path


@main.command()
@click.argument("one", metavar="RUN_A", type=PATH)
@click.argument("other", metavar="RUN_B", type=PATH)
def diff(one: Path, other: Path) -> None:
    """Explain why two runs differ, layer by layer, the likeliest cause first.

    \b
    Example:
        calm diff outputs/n2v-demo-quick/* outputs/n2v-demo-default/*
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.runs.compare import explain, first_difference

    first, second = read_runs((one, other))
    difference = first_difference(first.folder, second.folder)
    causes = explain(first.record, second.record)
    click.echo("The predictions are the same, byte for byte." if difference is None else difference.sentence())
    for rank, cause in enumerate(causes, start=1):
        click.echo(f"{rank}. {cause.layer}")
        for line in cause.details:
            click.echo(f"   {line}")
    if not causes:
        click.echo("The records agree in every layer.")
    sys.exit(0 if difference is None else 1)


@main.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.option("--engines", default="all", show_default=True, help=f"all, or some of {', '.join(ENGINES)}.")
def verify(run: Path, engines: str) -> None:
    """Check a run's files against its record, then make it again on other engines and compare every byte.

    \b
    Example:
        calm verify outputs/n2v-demo-quick/* --engines venv,docker
    """  # noqa: D301
    from orchestrator.runs.repeat import repeat

    (found,) = read_runs((run,))
    names = ENGINES if engines == "all" else tuple(engines.split(","))
    agrees = True
    for outcome in repeat(found, names, session("auto"), skip_missing=engines == "all"):
        click.echo(f"{outcome.engine}: {outcome.sentence}")
        agrees = agrees and outcome.agrees
    sys.exit(0 if agrees else 1)
