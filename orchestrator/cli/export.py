"""The command that writes predictions in other forms: export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.root import main, read_runs

if TYPE_CHECKING:
    from orchestrator.data.exports import Form

_PATH = click.Path(path_type=Path)


@main.command()
@click.argument("run", metavar="RUN", type=_PATH)
@click.option("--form", type=click.Choice(["imagej", "ome-zarr", "suite2p"]), required=True)
@click.option("--to", "target", type=_PATH, help="Folder to write to.  [default: exports of the run]")
def export(run: Path, form: Form, target: Path | None) -> None:
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
