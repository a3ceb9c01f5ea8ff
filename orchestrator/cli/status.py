"""Commands that look at sweeps and runs under way: status and logs."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import click

from orchestrator.cli.root import main
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.paths import Layout, SweepFolder
    from orchestrator.sweep.status import Line

_EVERY_S = 2.0
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@main.command()
@click.argument("name", metavar="[SWEEP]", required=False)
@click.option("--once", is_flag=True, help="Print the table once, also on a terminal.")
def status(name: str | None, *, once: bool) -> None:
    """Show the state of every task of a sweep with its reason, progress and time left; without a name, list sweeps.

    \b
    Example:
        calm status
        calm status sweep --once
    """  # noqa: D301
    from orchestrator.paths import layout

    where = layout()
    if name is None:
        _list_sweeps(where)
    else:
        _watch(where.sweep(sweep_name(name)), live=sys.stdout.isatty() and not once)


def _list_sweeps(where: Layout) -> None:
    from orchestrator.sweep.status import Statuses, counts_of, lines_of
    from orchestrator.sweep.task import read_sweep

    for path in sorted((where.outputs / ".sweeps").glob("*/sweep.json")):
        folder = where.sweep(path.parent.name)
        click.echo(f"{path.parent.name}: {counts_of(lines_of(read_sweep(folder), Statuses(folder)))}")


def _watch(folder: SweepFolder, *, live: bool) -> None:
    """Print the table of a sweep, and where it is live, again and again while a task runs."""
    from orchestrator.sweep.status import Statuses, counts_of, lines_of
    from orchestrator.sweep.task import read_sweep

    statuses = Statuses(folder)
    while True:
        lines = lines_of(read_sweep(folder), statuses)
        if live:
            click.clear()
        click.echo(f"{_table(lines)}\n\n{counts_of(lines)}")
        if not live or not any(line.state == "running" for line in lines):
            return
        time.sleep(_EVERY_S)


@main.command()
@click.argument("run", metavar="RUN|TASK")
def logs(run: str) -> None:
    """Print what the jobs of a run logged, or what a task of a sweep printed, with all its attempts.

    \b
    Example:
        calm logs outputs/n2v-demo-quick/*
        calm logs n2v-demo-quick-42-93ac10de
    """  # noqa: D301
    from pathlib import Path

    from orchestrator.paths import layout

    folder = Path(run).absolute()
    found = sorted(folder.glob("*/log.txt")) or sorted((layout().outputs / ".sweeps").glob(f"*/logs/{run}.log"))
    if not found:
        message = f"{run}: expected a run folder with jobs or a task of a sweep that has begun, got neither"
        raise BadInput(message, "`calm status SWEEP` names the tasks.")
    for path in found:
        click.echo(f"== {path}")
        click.echo(path.read_text(encoding="utf-8", errors="replace"))


def sweep_name(name: str) -> str:
    """Return the name of a sweep, which may be given as its file."""
    return _NO_NAME.sub("_", name.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml"))


def _table(lines: Sequence[Line]) -> str:
    from evaluation.report.text import aligned
    from orchestrator.sweep.status import time_text

    head = ["task", "state", "attempts", "progress", "left", "reason"]
    rows = [
        [
            line.task,
            line.state,
            str(line.attempts),
            line.progress,
            "" if line.left_s is None else time_text(line.left_s),
            line.reason,
        ]
        for line in lines
    ]
    return aligned([head, *rows], right_from=len(head))
