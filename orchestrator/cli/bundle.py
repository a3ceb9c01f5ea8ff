"""Commands on offline bundles: create, verify, load."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli import options
from orchestrator.cli.options import PATH
from orchestrator.cli.root import algorithm, algorithms, main

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.domain import Device


@main.group()
def bundle() -> None:
    """Carry calm to machines without internet: images, wheels, locks and data, every byte listed.

    \b
    Example:
        calm bundle create calm.tar n2v --data demo
        calm bundle verify calm.tar
        calm bundle load calm.tar
    """  # noqa: D301 - click reads \b as "do not wrap"


@bundle.command()
@click.argument("target", metavar="BUNDLE", type=PATH)
@click.argument("names", metavar="[ALGORITHM]...", nargs=-1)
@options.device
@click.option("--images", type=click.Choice(["archive", "sif", "none"]), default="archive", show_default=True)
@click.option("--data", "datasets", multiple=True, help="Dataset that is here (calm data list); may be repeated.")
@click.option("--calm", "with_calm", is_flag=True, help="Add the packages of calm itself.")
@click.option("--python", type=PATH, help="Add a Python 3.11 for the environments: folder or tar file of one.")
def create(  # noqa: PLR0913 - one argument for each option
    *,
    target: Path,
    names: tuple[str, ...],
    device: Device,
    images: Literal["archive", "sif", "none"],
    datasets: tuple[str, ...],
    with_calm: bool,
    python: Path | None,
) -> None:
    """Make a bundle of algorithms (of all that have the device, when none is named) and of the controls.

    Experiments of the study need its environments as well, such as n2v@study; `calm list ALGORITHM` names them.

    \b
    Example:
        calm bundle create calm.tar n2v n2v@study --images sif --data demo
    """  # noqa: D301
    from orchestrator.bundle.create import Contents, chosen
    from orchestrator.bundle.create import create as create_bundle
    from orchestrator.bundle.lists import root_sentence
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.paths import layout

    contents = Contents(
        algorithms=chosen(algorithms(), [algorithm(name) for name in names], device),
        variant=device,
        images=images,
        datasets=tuple(datasets),
        calm=with_calm,
        python=None if python is None else python.absolute(),
    )
    create_bundle(target.absolute(), contents, layout(), _say, TerminalProgress())
    click.echo(target)
    click.echo(root_sentence(target.absolute()))


@bundle.command()
@click.argument("target", metavar="BUNDLE", type=PATH)
def verify(target: Path) -> None:
    """Compare every byte of a bundle with its list, and its wheels and images with this checkout.

    Its list and its locks prove nothing by themselves. Wheels must be those of the locks of this checkout, images must
    hold its code; the rest of an image, data, and a Python are as their maker packed them where the root digest is the
    one that the maker read: compare it by telephone.

    \b
    Example:
        calm bundle verify calm.tar
    """  # noqa: D301
    from orchestrator.bundle.check import checked
    from orchestrator.bundle.lists import root_sentence
    from orchestrator.paths import layout

    with checked(target.absolute(), layout()) as found:
        for line in found.faults:
            click.echo(line)
    if found.faults:
        click.echo(f"{len(found.faults)} files differ.")
        sys.exit(1)
    click.echo("Every file is as it was packed.")
    click.echo(root_sentence(target.absolute()))


@bundle.command()
@click.argument("target", metavar="BUNDLE", type=PATH)
def load(target: Path) -> None:
    """Check a bundle and put its images, wheels and data where calm looks for them.

    \b
    Example:
        calm bundle load calm.tar
    """  # noqa: D301
    from orchestrator.bundle.lists import root_sentence
    from orchestrator.bundle.load import load as load_bundle
    from orchestrator.paths import layout

    load_bundle(target.absolute(), layout(), _say)
    _say(root_sentence(target.absolute()))


def _say(line: str) -> None:
    click.echo(line, err=True)
