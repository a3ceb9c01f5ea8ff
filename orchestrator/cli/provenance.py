"""Commands on where results come from: crate, cite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import PATH
from orchestrator.cli.root import algorithm, algorithms, checked_runs, experiments, main, share_option

if TYPE_CHECKING:
    from pathlib import Path


@main.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
@share_option
def crate(runs: tuple[Path, ...], *, share: bool) -> None:
    """Write the record of runs as RO-Crate metadata (Process Run Crate) into their folders.

    \b
    Example:
        calm crate outputs/n2v-demo-quick/*
        calm crate outputs/n2v-demo-quick/* --share
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.runs.crate import write_crate

    for one in checked_runs(runs):
        click.echo(write_crate(one, algorithm(one.record.full_name), shared=share))


@main.command()
@click.argument("name", metavar="EXPERIMENT|ALGORITHM")
@click.option("--bibtex", is_flag=True, help="Print BibTeX entries, for a list of references.")
def cite(name: str, *, bibtex: bool) -> None:
    """Print what to cite for a published experiment, or for an algorithm.

    \b
    Example:
        calm cite MOUSENEU_LP_N2N_1
        calm cite n2v --bibtex
    """  # noqa: D301
    from orchestrator.algorithms.experiments import named
    from orchestrator.algorithms.folders import broken_algorithms
    from orchestrator.data.manifest import load_manifest
    from orchestrator.paths import layout
    from orchestrator.reproduce.cite import citations

    where = layout()
    if name in {*algorithms(), *broken_algorithms(where.containers)}:
        found = citations(algorithm(name), None, None)
    else:
        known = experiments()
        experiment = named(known, name)
        dataset = load_manifest(where.manifest).named(experiment.dataset)
        first = experiment.prior
        prior = None if first is None else algorithm(known[first.experiment].image_name)
        found = citations(algorithm(experiment.image_name), experiment, dataset, prior)
    for one in found:
        click.echo(one.bibtex if bibtex else one.line)
