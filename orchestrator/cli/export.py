"""The command that writes predictions in other forms: export."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from orchestrator.cli.options import PATH
from orchestrator.cli.root import main, read_runs
from orchestrator.domain import ExportForm

if TYPE_CHECKING:
    from pathlib import Path


@main.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.option("--form", type=click.Choice(get_args(ExportForm)), required=True)
@click.option("--to", "target", type=PATH, help="Folder to write to.  [default: exports of the run]")
def export(run: Path, form: ExportForm, target: Path | None) -> None:
    """Write the predictions of a run for ImageJ, as OME-Zarr 0.5, or as binary movies of suite2p.

    \b
    Example:
        calm export outputs/n2v-movie-default/KEY --form ome-zarr
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.data.exports import export as write

    (read,) = read_runs((run,))
    for name, _ in read.movies:
        folder = (target or read.folder.exports).absolute() / name.split
        click.echo(write(read.folder.prediction(str(name)), form, folder))
