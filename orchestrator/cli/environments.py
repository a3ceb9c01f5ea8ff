"""Commands on algorithms and environments: list, build, sif, lock, doctor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli import options
from orchestrator.cli.options import PATH
from orchestrator.cli.root import algorithm, algorithms, main, session

if TYPE_CHECKING:
    from pathlib import Path

    from contract.params import Param
    from orchestrator.domain import Algorithm, Device


@main.command("list")
@click.argument("name", metavar="[ALGORITHM]", required=False)
def list_(name: str | None) -> None:
    """List the algorithms, or the parameters of one: default, values, what grows with each, and its presets.

    \b
    Example:
        calm list
        calm list n2v
    """  # noqa: D301
    if name is None:
        _list_all()
    else:
        _describe(algorithm(name))


def _list_all() -> None:
    from orchestrator.algorithms.folders import broken_algorithms
    from orchestrator.paths import layout

    for one in sorted(algorithms().values(), key=lambda one: one.supervised):
        click.echo(f"{one.name:<12} {one.kind:<10} {'/'.join(one.devices):<9} {one.title}: {one.summary}")
    for folder, error in broken_algorithms(layout().containers).items():
        click.echo(f"Warning: {folder} cannot be used: {error.message}. {error.hint}", err=True)


def _describe(found: Algorithm) -> None:
    click.echo(f"{found.title}: {found.summary}")
    click.echo(f"upstream {found.upstream.name} {found.upstream.version}, licence {found.licence}")
    for environment, upstream in found.environments.items():
        click.echo(f"environment {found.name}@{environment}: upstream {upstream.name} {upstream.version}")
    for param in found.params.values():
        click.echo(_described(param, of_prediction=param.name in found.prediction_params))
    if found.prediction_params:
        click.echo("  * read by prediction alone: another value takes the training that is there")
    for preset, values in found.presets.items():
        text = ", ".join(f"{key}={value}" for key, value in values.items()) or "defaults"
        click.echo(f"  preset {preset}: {text}")
    if found.prior is not None:
        click.echo(f"  --earlier ({found.prior.when()}): {found.prior.help}")


def _described(param: Param, *, of_prediction: bool) -> str:
    """Describe a parameter in a line: its default, what it does, its values, and what grows with it."""
    unit = f" {param.unit}" if param.unit else ""
    default = "null" if param.default is None else str(param.default).lower() if param.type == "bool" else param.default
    cost = f"; costs {param.cost}" if param.cost else ""
    return f"  {param.name}{'*' * of_prediction} = {default}{unit}: {param.help} [{param.values}{cost}]"


@main.command()
@click.argument("name", metavar="NAME")
def new(name: str) -> None:
    """Add an algorithm: copy the template to containers/NAME, for you to edit.

    \b
    Example:
        calm new median
    """  # noqa: D301
    from orchestrator.algorithms.folders import new_algorithm
    from orchestrator.paths import checkout

    folder = new_algorithm(checkout().containers, name)
    click.echo(f"{folder}")
    click.echo("Edit algorithm.yaml and run.py there; docs/adding-an-algorithm.md goes through a whole example.")
    click.echo(f"Then: calm run {name} --preset smoke")


@main.command()
@click.argument("names", metavar="[ALGORITHM]...", nargs=-1)
@options.engine
@options.device
def build(names: tuple[str, ...], engine_name: str, device: Device) -> None:
    """Build the environment of algorithms (of all, when none is named).

    Some have a second one, with the software of the published study; `calm list ALGORITHM` names it.

    \b
    Example:
        calm build n2v --engine docker
        calm build n2v@study
    """  # noqa: D301
    opened = session(engine_name)
    for name in names or tuple(algorithms()):
        found = algorithm(name)
        if device not in found.devices:
            click.echo(f"{name}: has no {device} variant")
            continue
        image = opened.image(found, device)
        engine = opened.build(found, image)
        click.echo(f"{name}: {engine.name} {engine.find(image)}")


@main.command()
@click.argument("name", metavar="ALGORITHM")
@click.option("--archive", type=PATH, help="What docker save wrote; no daemon is needed then.")
@options.device
def sif(name: str, archive: Path | None, device: Device) -> None:
    """Convert the image of an algorithm for Apptainer, and check that its content is that of the image.

    The images of the controls, which every run is scored beside, are converted too; with --archive that one alone,
    which is read and compared with this checkout also where a SIF is there.

    \b
    Example:
        calm sif n2v
        calm sif n2v --archive n2v.tar
    """  # noqa: D301
    from orchestrator.engines import apptainer_engine
    from orchestrator.engines.downloads import download_of
    from orchestrator.engines.image import prepare

    opened = session("apptainer")
    engine = apptainer_engine(opened.layout)
    controls = [] if archive else [one for one in algorithms().values() if one.kind == "control" and one.name != name]
    wanted = (algorithm(name), *controls)  # a run of the algorithm needs theirs as well
    opened.say(f"Making SIFs of {', '.join(one.full_name for one in wanted)} in {opened.layout.sifs}.")
    for found in wanted:
        image = opened.image(found, device if device in found.devices else "cpu")
        if archive is None and engine.find(image) is None:
            opened.say(f"{found.name}: gathering its wheels and code; {download_of([image], opened.layout)}")
            prepare(found, image, opened.layout, opened.progress)
        made = engine.convert(image, None if archive is None else archive.absolute(), opened.say, opened.progress)
        click.echo(f"{made.path}")
        click.echo(f"{made.entries} paths as in the image {made.identifier}; sha256 of the file {made.sha256}")


@main.command()
@click.argument("names", metavar="ALGORITHM...", nargs=-1, required=True)
@click.option("--elsewhere", is_flag=True, help="Locks for the other platforms, with the versions of the one for here.")
@click.option("--sizes", is_flag=True, help="No lock, only the sizes of the files that are in those of the folder.")
def lock(names: tuple[str, ...], *, elsewhere: bool, sizes: bool) -> None:
    """Resolve requirements.in of algorithms into locks (for developers of an algorithm).

    \b
    Example:
        calm lock n2v
        calm lock n2v@study
        calm lock n2v --elsewhere
    """  # noqa: D301
    from orchestrator.engines.locks import make_lock
    from orchestrator.engines.platforms import OTHERS, make_lock_elsewhere
    from orchestrator.engines.sizes import record_sizes
    from orchestrator.paths import checkout

    checkout()
    for name in names:
        found = algorithm(name)
        if elsewhere:
            for target in OTHERS:
                click.echo(make_lock_elsewhere(found, target))
        elif not sizes:
            for variant in found.devices:
                click.echo(make_lock(found, variant))
        click.echo(record_sizes(found.folder))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(*, as_json: bool) -> None:
    """Check this machine: engines, Python, memory, disk, GPU.

    \b
    Example:
        calm doctor
    """  # noqa: D301
    import json

    from orchestrator.doctor.checks import examine
    from orchestrator.paths import layout

    findings = examine(layout())
    if as_json:
        click.echo(json.dumps([finding.document() for finding in findings], indent=2, sort_keys=True))
    else:
        for finding in findings:
            click.echo(f"{finding.severity:<8} {finding.check}: {finding.message}")
            if finding.remedy:
                click.echo(f"{'':<8} -> {finding.remedy}")
    sys.exit(1 if any(finding.severity == "error" for finding in findings) else 0)
