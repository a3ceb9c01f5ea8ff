"""Commands that make sweeps: sweep, and task, which is what runs on a node."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli import options
from orchestrator.cli.data import BytesProgress
from orchestrator.cli.options import PATH
from orchestrator.cli.root import absolute, algorithms, experiments, main, session
from orchestrator.cli.status import sweep_name
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.paths import SweepFolder
    from orchestrator.records.run import Run
    from orchestrator.runs.session import Session
    from orchestrator.sweep.conduct import Conductor
    from orchestrator.sweep.executors import Executor
    from orchestrator.sweep.plan import Planned, Planner
    from orchestrator.sweep.records import Place, Resources, SweepFile

_SNAKEMAKE = "Argument for Snakemake, such as --default-resources=slurm_partition=gpu; may be repeated."
_PROBE = "Look around on a node first.  [default: before 20 runs or more on a cluster]"
_SCRATCH = "Copy inputs to this folder on a disk of each node first; a variable in '...' has the node's value."
_LARGE = 20  # runs
_ENGINE = "[default: apptainer on Slurm, else auto]"


@main.command()
@click.argument("file", metavar="FILE", type=PATH)
@click.option("--executor", "executor_name", type=click.Choice(["local", "slurm"]), default="local", show_default=True)
@click.option("--plan", "plan_only", is_flag=True, help="Show runs, time, GPU hours, memory and disk; run nothing.")
@click.option("--engine", "engine_name", type=click.Choice(("auto", *options.ENGINES)), help=_ENGINE)
@click.option("--probe/--no-probe", default=None, help=_PROBE)
@click.option("--scratch", metavar="FOLDER", help=_SCRATCH)
@click.option("--snakemake", "extra", multiple=True, metavar="ARGUMENT", help=_SNAKEMAKE)
def sweep(  # noqa: PLR0913 - the options above
    file: Path,
    *,
    executor_name: Literal["local", "slurm"],
    plan_only: bool,
    engine_name: str | None,
    probe: bool | None,
    scratch: str | None,
    extra: tuple[str, ...],
) -> None:
    """Make every run that a file names, on this machine or on a cluster; what is finished is not repeated.

    \b
    Example:
        calm sweep sweep.yaml --plan
        calm sweep sweep.yaml --executor slurm
    """  # noqa: D301
    from orchestrator.sweep.expand import read_sweep_file, tasks_of
    from orchestrator.sweep.plan import Planner
    from orchestrator.sweep.records import Place

    (path,) = absolute((file,))
    asked = read_sweep_file(path)
    opened = session(engine_name or ("apptainer" if executor_name == "slurm" else "auto"))
    known = _known(asked)
    planner = Planner(opened, known, BytesProgress(), make=not plan_only)
    planned = planner.all_of(tasks_of(asked, path.parent, opened, known))
    if plan_only:
        _show_plan(planned, planner, opened)
        return
    folder = opened.layout.sweep(sweep_name(path.name))
    place = Place(engine=opened.engine_name, executor=executor_name, scratch=scratch)
    _bring(planned, folder, opened, place, extra, probe=probe)
    sys.exit(0 if _finish(folder, opened) else 1)


@main.command()
@click.argument("name", metavar="SWEEP")
@click.argument("task_name", metavar="TASK")
@click.argument("resources", metavar="RESOURCES")
def task(name: str, task_name: str, resources: str) -> None:
    """Make the run of one task of a sweep, where it is started; the workflow calls this.

    \b
    Example:
        calm task sweep n2v-demo-quick-42-93ac10de '{"cpus": 1, "gpus": 0, "memory_mb": 4096, "minutes": 60}'
    """  # noqa: D301
    from dataclasses import replace

    from orchestrator.documents import parse_json
    from orchestrator.paths import layout
    from orchestrator.sweep.plan import Planner
    from orchestrator.sweep.records import Resources
    from orchestrator.sweep.resources import BESIDE_MB
    from orchestrator.sweep.task import Work, read_sweep, run_task

    given = parse_json(resources, Resources, "RESOURCES")
    folder = layout().sweep(sweep_name(name))
    found = read_sweep(folder)
    limit_bytes = max(given.memory_mb - BESIDE_MB, given.memory_mb // 2) * 2**20
    opened = replace(session(found.place.engine), memory_bytes=limit_bytes, copies=found.place.copies)
    known = experiments() if any(entry.task.experiment for entry in found.entries) else {}
    planner = Planner(opened, known, BytesProgress(), make=True)
    chosen = next((entry.task.experiment for entry in found.entries if entry.task.name == task_name), None)
    work = Work(folder=folder, session=opened, planner=planner, score=_scorer(known.get(chosen or "")))
    sys.exit(0 if run_task(work, task_name, given) == "finished" else 1)


def _known(asked: SweepFile) -> Mapping[str, Experiment]:
    return experiments() if any(part.experiments for part in asked.parts) else {}


def _scorer(experiment: Experiment | None) -> Callable[[Run], object]:
    """Return what scores and checks a run, by the study's protocol too where it is of an experiment."""
    from evaluation.checks.of_run import check_run
    from evaluation.scores.score import score_run
    from evaluation.study.protocol import score_experiment

    def score(run: Run) -> None:
        score_run(run, algorithms())
        if experiment is not None:
            score_experiment(run, experiment, algorithms())
        check_run(run)

    return score


def _show_plan(planned: Sequence[Planned], planner: Planner, opened: Session) -> None:
    from orchestrator.cli.forecast import text_of
    from orchestrator.runs.past import Past
    from orchestrator.sweep.plan import forecast_of, gpu_hours_of

    past = Past(opened.layout.outputs)
    found = forecast_of(planned, planner, past)
    click.echo(text_of(found, opened.layout))
    hours, unknown = gpu_hours_of(planned, found)
    click.echo(f"GPU hours: at most {hours:.1f}" + (f", and those of {unknown} runs, not known" if unknown else ""))
    click.echo(f"{len(planned)} runs: {sum(one.run is not None for one in planned)} finished")


def _bring(  # noqa: PLR0913 - what the user chose
    planned: Sequence[Planned],
    folder: SweepFolder,
    opened: Session,
    place: Place,
    extra: tuple[str, ...],
    *,
    probe: bool | None,
) -> None:
    """Write down the sweep, prepare what its tasks need, and see the missing ones to their end."""
    from orchestrator.documents import write_record
    from orchestrator.engines.snakemake import snakemake
    from orchestrator.sweep.conduct import Conductor
    from orchestrator.sweep.plan import prepare
    from orchestrator.sweep.records import Sweep
    from orchestrator.sweep.status import Statuses

    missing = [one for one in planned if one.missing]
    folder.statuses.mkdir(parents=True, exist_ok=True)
    write_record(folder.record, Sweep(name=folder.path.name, place=place, entries=tuple(one.entry for one in planned)))
    if not missing:
        return
    executor = _executor(place, folder, opened, extra)
    executor.check()
    prepare(planned, opened, BytesProgress())
    resources = _resources(missing, executor, opened)
    after = {one.task.name: one.task.prior.task for one in missing if one.task.prior is not None}
    conductor = Conductor(
        folder=folder,
        layout=opened.layout,
        executor=executor,
        snakemake=snakemake(opened.layout, opened.say, opened.progress),
        statuses=Statuses(folder),
        tick=_Ticker(folder),
    )
    is_large = place.executor != "local" and len(missing) >= _LARGE
    if is_large if probe is None else probe:
        _probe(conductor, any(one.gpus for one in resources.values()))
    conductor.bring(resources, after)


def _probe(conductor: Conductor, gpu: bool) -> None:  # noqa: FBT001 - one of two kinds of node
    """Look around on a node before anything large is sent there.

    Raises
    ------
    BadInput
        With all that is missing there.
    """
    from orchestrator.sweep.records import PROBE, Resources
    from orchestrator.sweep.resources import BESIDE_MB

    click.echo("Probing a node.", err=True)
    conductor.bring({PROBE: Resources(cpus=1, gpus=int(gpu), memory_mb=BESIDE_MB, minutes=10)}, {})
    last = conductor.statuses.of(PROBE)[-1]
    if last.state != "finished":
        message = f"the probe on a node: expected all that the tasks need, got: {last.state}: {last.reason}"
        raise BadInput(message, "Mend that, or leave out the probe with --no-probe.")


def _resources(missing: Sequence[Planned], executor: Executor, opened: Session) -> dict[str, Resources]:
    from orchestrator.runs.past import Past
    from orchestrator.sweep.resources import first_resources

    past, node = Past(opened.layout.outputs), executor.node()
    return {one.task.name: first_resources(one.task, one.plan, past, node) for one in missing if one.plan is not None}


def _executor(place: Place, folder: SweepFolder, opened: Session, extra: tuple[str, ...]) -> Executor:
    from orchestrator.sweep.executors import LocalExecutor, SlurmExecutor

    profiles = opened.layout.workflow / "profiles"
    if place.executor == "local":
        return LocalExecutor(profiles=profiles, extra=extra)
    return SlurmExecutor(profiles=profiles, folder=folder.path, extra=extra)


class _Ticker:
    """Prints a line about the whole sweep whenever it changes."""

    def __init__(self, folder: SweepFolder) -> None:
        from orchestrator.sweep.status import Statuses
        from orchestrator.sweep.task import read_sweep

        self._statuses = Statuses(folder)
        self._sweep = read_sweep(folder)
        self._said = ""

    def __call__(self) -> None:
        """Say how it goes, where that is news."""
        from orchestrator.sweep.status import counts_of, lines_of

        said = counts_of(lines_of(self._sweep, self._statuses))
        if said.partition(";")[0] != self._said:
            self._said = said.partition(";")[0]
            click.echo(said, err=True)


def _finish(folder: SweepFolder, opened: Session) -> bool:
    """Write the page about all finished runs, say what did not finish, and whether everything did."""
    from orchestrator.sweep.status import Statuses, counts_of, lines_of
    from orchestrator.sweep.task import read_sweep

    found, statuses = read_sweep(folder), Statuses(folder)
    lines = lines_of(found, statuses)
    for line in lines:
        if line.state != "finished":
            click.echo(f"{line.task}: {line.state}: {line.reason}")
    click.echo(counts_of(lines))
    runs = [line.run for line in lines if line.state == "finished" and line.run is not None]
    if runs:
        _write_page(runs, folder, opened)
        click.echo(f"Report: {folder.report}")
    return all(line.state == "finished" for line in lines)


def _write_page(paths: Sequence[Path], folder: SweepFolder, opened: Session) -> None:
    """Write the one page of a sweep, unless it shows these runs already."""
    from contract.files import atomic
    from evaluation.report.report import report_runs
    from orchestrator.documents import digest_of
    from orchestrator.records.run import read_run

    key = digest_of(sorted(map(str, paths)))
    if _shows(folder.reported, key) and folder.report.exists():
        return
    runs = [read_run(path) for path in dict.fromkeys(paths)]
    click.echo(f"\n{report_runs(runs, algorithms(), experiments, opened.layout.containers, folder.report)}\n")
    with atomic(folder.reported) as part:
        part.write_text(f"{key}\n", encoding="utf-8")


def _shows(path: Path, key: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8").strip() == key
