"""Commands on datasets: list, fetch, verify, simulate."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.progress import TerminalProgress
from orchestrator.cli.root import main
from orchestrator.errors import BadInput


@main.group()
def data() -> None:
    """List, fetch, verify and simulate datasets.

    \b
    Example:
        calm data list
        calm data fetch demo
    """  # noqa: D301 - click reads \b as "do not wrap"


@data.command("list")
def list_() -> None:
    """List the datasets of data/manifest.yaml, how to get them, and whether they are here.

    \b
    Example:
        calm data list
    """  # noqa: D301
    from orchestrator.data.datasets import is_here
    from orchestrator.data.manifest import load_manifest
    from orchestrator.paths import layout

    where = layout()
    for one in load_manifest(where.manifest).datasets.values():
        here = "here" if is_here(one, where.data) else "not here"
        click.echo(f"{one.name:<16} {one.access:<11} {here:<9} {one.title}: {one.summary}")


@data.command()
@click.argument("name", metavar="DATASET")
def fetch(name: str) -> None:
    """Download or simulate a dataset, check every byte, and say where restricted files belong.

    \b
    Example:
        calm data fetch demo
    """  # noqa: D301
    from orchestrator.data.fetch import fetch
    from orchestrator.data.manifest import load_manifest
    from orchestrator.paths import layout

    where = layout()
    manifest = load_manifest(where.manifest)
    for path in fetch(manifest.named(name), where.data, lock=manifest.lock, progress=BytesProgress()):
        click.echo(path)


@data.command()
@click.argument("name", metavar="DATASET")
def verify(name: str) -> None:
    """Compare a dataset with the manifest: names, checksums, shapes, dtypes, targets.

    \b
    Example:
        calm data verify demo
    """  # noqa: D301
    from orchestrator.data.manifest import load_manifest
    from orchestrator.data.verify import verify
    from orchestrator.paths import layout

    where = layout()
    findings = verify(load_manifest(where.manifest).named(name), where.data, BytesProgress())
    for finding in findings:
        click.echo(f"{finding.problem}: {finding.path}: expected {finding.expected}, got {finding.got}")
    if findings:
        message = f"{name}: {len(findings)} of its files are not as the manifest says"
        raise BadInput(message, f"`calm data fetch {name}` gets what can be had; docs/data.md says where files belong.")
    click.echo(f"{name}: every file is as the manifest says")


@data.command()
@click.argument("name", metavar="DATASET", default="demo")
def simulate(name: str) -> None:
    """Simulate a dataset of the manifest, clean targets and truth included; the same bytes every time.

    \b
    Example:
        calm data simulate demo
    """  # noqa: D301
    from orchestrator.data.movies import simulated
    from orchestrator.paths import layout

    for path in simulated(name, layout(), BytesProgress()):
        click.echo(path)


class BytesProgress:
    """Shows bytes of files on the bars that jobs use."""

    def __init__(self) -> None:
        self._bars = TerminalProgress(sys.stderr)
        self._name = ""

    def __call__(self, name: str, done_bytes: int, all_bytes: int) -> None:
        """Draw how many bytes of a file are there."""
        import time

        from orchestrator.records.record import Event

        if name != self._name:
            self._bars.begin(name)
            self._name = name
        self._bars.event(Event(step=done_bytes, steps=all_bytes, time_s=time.time()))
        if done_bytes >= all_bytes:
            self._bars.end()
