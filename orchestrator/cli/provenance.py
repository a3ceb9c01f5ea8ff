"""Commands on where results come from: crate, cite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import PATH
from orchestrator.cli.root import algorithm, algorithms, checked_runs, experiments, main

if TYPE_CHECKING:
    from pathlib import Path


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
def crate(runs: tuple[Path, ...]) -> None:
    """Write the record of runs as RO-Crate metadata (Process Run Crate) into their folders.

    \b
    Example:
        calm crate outputs/n2v-demo-quick/*
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.runs.crate import write_crate

    for one in checked_runs(runs):
        click.echo(write_crate(one, algorithm(one.record.full_name)))


@main.command()
@click.argument("name", metavar="EXPERIMENT|ALGORITHM")
def cite(name: str) -> None:
    """Print what to cite for a published experiment, or for an algorithm.

    \b
    Example:
        calm cite MOUSENEU_LP_N2N_1
        calm cite n2v
    """  # noqa: D301
    from orchestrator.algorithms import broken_algorithms
    from orchestrator.data.manifest import load_manifest
    from orchestrator.experiments import named
    from orchestrator.paths import layout
    from orchestrator.reproduce.cite import citations

    where = layout()
    if name in {*algorithms(), *broken_algorithms(where.containers)}:
        lines = citations(algorithm(name), None, None)
    else:
        known = experiments()
        experiment = named(known, name)
        dataset = load_manifest(where.manifest).named(experiment.dataset)
        first = experiment.prior
        prior = None if first is None else algorithm(known[first.experiment].image_name)
        lines = citations(algorithm(experiment.image_name), experiment, dataset, prior)
    for line in lines:
        click.echo(line)
