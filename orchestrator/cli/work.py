"""Many runs of one command: what they will cost, how they go one after the other, and a line for each at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.full_checks import check_fully
from orchestrator.cli.options import settings_of
from orchestrator.cli.root import absolute, algorithms
from orchestrator.errors import BadInput, CalmError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchestrator.cli.options import Asked
    from orchestrator.data.movies import OwnMovies, Source
    from orchestrator.domain import Algorithm
    from orchestrator.records.regions import Regions
    from orchestrator.records.run import Run
    from orchestrator.runs.plan import Plan
    from orchestrator.runs.session import Session
    from orchestrator.runs.settings import Settings

STACKS = (".tif", ".tiff")
_TOPICS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One training and, in the first work on its movies, the controls; and where its denoised movies go.

    Parameters
    ----------
    source : Source
        The movies.
    plans : tuple of Plan
        The training first.
    label : str
        Tells it from the others on the same movies; empty where there are none.
    targets : mapping of str to Path
        Where a denoised movie is copied to, by its name in run.json.
    """

    source: Source
    plans: tuple[Plan, ...]
    label: str
    targets: Mapping[str, Path]

    @property
    def title(self) -> str:
        """Its movies and what tells it from others on them."""
        files = ", ".join(movie.noisy.name for movie in self.source.movies)
        return f"{files}, {self.label or self.plans[0].algorithm.full_name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What came of a work: its run, or why there is none."""

    work: Work
    run: Run | None
    error: CalmError | None = None


def works_of(
    opened: Session,
    source: Source,
    chosen: Sequence[Algorithm],
    seeds: Sequence[int],
    asked: Asked,
) -> tuple[tuple[Work, ...], dict[str, CalmError]]:
    """Plan every algorithm with every seed on a source, and the controls once; nothing is written.

    Returns also why algorithms cannot be used, by their titles; the others go on.

    Raises
    ------
    BadInput, DeviceMissing
        Where no algorithm can be used, with the first reason, or not the device.
    """
    works: list[Work] = []
    refused: dict[str, CalmError] = {}
    for algorithm in chosen:
        for seed in seeds:
            words = [algorithm.folder_name] * (len(chosen) > 1) + [f"seed{seed}"] * (len(seeds) > 1)
            try:
                plans = _plans(opened, algorithm, source, replace(settings_of(asked), seed=seed), asked)
            except BadInput as error:
                refused[algorithm.title] = error
                break  # as another seed would be
            works.append(
                Work(source=source, plans=plans[: None if not works else 1], label="-".join(words), targets={})
            )
    if not works:
        raise next(iter(refused.values()))
    return tuple(works), refused


def _plans(opened: Session, algorithm: Algorithm, source: Source, settings: Settings, asked: Asked) -> tuple[Plan, ...]:
    from orchestrator.runs.needs import check_prior

    plans = opened.plans(algorithm, source, settings, absolute(asked.prior))
    check_prior(plans[0])
    return plans


def refusals(found: OwnMovies) -> dict[str, CalmError]:
    """Return why movies cannot be used, by the names of their files."""
    return {path.name: error for path, error in found.refused.items()}


def planned_works(
    sources: Sequence[Source],
    plan: Callable[[Source], tuple[tuple[Work, ...], Mapping[str, CalmError]]],
    refused: dict[str, CalmError],
) -> tuple[Work, ...]:
    """Plan each source by itself; what of several cannot be used joins the refused, and it is said at once.

    Raises
    ------
    CalmError
        Where none can be used, with the first reason.
    """
    works: list[Work] = []
    for source in sources:
        name = source.movies[0].noisy.name
        try:
            planned, others = plan(source)
        except BadInput as error:
            if len(sources) == 1:
                raise
            refused[name] = error
        else:
            works += planned
            refused |= {f"{name}, {title}": error for title, error in others.items()}
    if not works:
        raise next(iter(refused.values()))
    for title, reason in refused.items():
        click.echo(f"Warning: {title} is left out: {reason.message}", err=True)
    return tuple(works)


def with_targets(works: Sequence[Work], output: Path | None, written: Path) -> tuple[Work, ...]:
    """Say where each denoised movie goes: a file for one movie, else TIFF files in a folder.

    Raises
    ------
    BadInput
        For a file that should take several movies, a name that is neither a TIFF file nor a folder, or a place where
        something lies that calm did not write.
    """
    from orchestrator.cli.deliver import check_targets
    from orchestrator.records.record import MovieName

    where = (output or Path("denoised")).absolute()
    is_file = where.suffix.lower() in STACKS and not where.is_dir()
    _check_output(where, sum(len(work.source.movies) for work in works), is_file=is_file)

    def target(work: Work, noisy: Path) -> Path:
        name = f"{noisy.stem}-{work.label}{noisy.suffix}" if work.label else noisy.name
        return where if is_file else where / name

    aimed = tuple(
        replace(
            work,
            targets={
                str(MovieName(movie.split, movie.noisy.name)): target(work, movie.noisy) for movie in work.source.movies
            },
        )
        for work in works
    )
    check_targets([place for work in aimed for place in work.targets.values()], written)
    return aimed


def _check_output(where: Path, count: int, *, is_file: bool) -> None:
    if is_file and count > 1:
        message = f"-o: expected a folder for {count} movies, got the file {where}"
        raise BadInput(message, "Every denoised movie keeps its name in that folder.")
    if is_file or where.is_dir():
        return
    if where.exists():
        message = f"-o: expected a file named .tif or .tiff, or a folder, got {where}"
        raise BadInput(message, "For instance -o denoised.tif.")
    if where.suffix:
        message = f"-o: expected a name that ends in .tif or .tiff, or a folder, got {where.name}"
        raise BadInput(message, "A denoised movie is a TIFF stack; `calm export` writes tables and pictures.")


def say_notes(sources: Sequence[Source], opened: Session) -> None:
    """Say how the movies are read, where there is something to say."""
    for source in sources:
        for note in source.notes:
            opened.say(note)


def show_costs(works: Sequence[Work], opened: Session) -> None:
    """Print time, memory and disk of every run, and refuse a disk that is too small.

    What nobody knows the time of is begun and timed.
    """
    from orchestrator.cli.forecast import text_of
    from orchestrator.reproduce.forecast import FINISHED, TO_RUN, Forecast, estimate_of
    from orchestrator.runs.execute import finished
    from orchestrator.runs.needs import check_disk
    from orchestrator.runs.past import Past

    layout = opened.layout
    check_disk([plan for work in works for plan in work.plans], layout.outputs)
    past = Past(layout.outputs)
    estimates = [
        estimate_of(work.source.name, plan, past, FINISHED if finished(plan) else TO_RUN, opened.training_seconds)
        for work in works
        for plan in work.plans
    ]
    click.echo(f"{text_of(Forecast(runs=tuple(estimates), outlines=(), warnings=()), layout)}\n")


def run_works(works: Sequence[Work], opened: Session) -> Iterator[Done]:
    """Run one work after the other; where there are several, one that fails does not stop the others."""
    for work in works:
        try:
            run = [opened.run(plan).run for plan in reversed(work.plans)][-1]  # controls first: they cannot fail late
        except Interrupted:
            raise
        except CalmError as error:
            if len(works) == 1:
                raise
            click.echo(f"{work.title}: {error.message}", err=True)
            yield Done(work=work, run=None, error=error)
        else:
            yield Done(work=work, run=run)


def finish(
    works: Sequence[Work],
    opened: Session,
    *,
    regions: Regions | None,
    refused: Mapping[str, CalmError],
    full: bool = False,
) -> None:
    """Run everything, copy the denoised movies to their places, and say last where they lie and what to believe.

    With `full`, further predictions and trainings judge each run.
    """
    from evaluation.checks.of_run import check_run
    from evaluation.checks.words import lights_text
    from evaluation.report.text import aligned

    done = [(one, list(_delivered(one, opened, regions, full=full))) for one in run_works(works, opened)]
    rows = [row for _, rows in done for row in rows]
    if len(rows) == 1 and done[0][0].run is not None and not refused:
        ((_, *_, path, report),) = rows
        click.echo(f"{lights_text(check_run(done[0][0].run))}\n\nReport: {report}\nDenoised: {path}")
        return
    head = ["movie", "run", "amplitude", "time", "invented structure", "denoised", "report"]
    rows += [[*title.partition(", ")[::2], "left out", "", "", "", ""] for title in refused]
    click.echo(aligned([head, *rows], right_from=len(head)))
    errors = dict(refused) | {one.work.title: one.error for one, _ in done if one.error is not None}
    for title, error in errors.items():
        click.echo(f"{title}: {error.message}", err=True)
    if errors:
        first = next(iter(errors.values()))
        message = f"{len(errors)} of {len(done) + len(refused)} runs did not end well; the reasons are above"
        raise type(first)(message, first.hint)


def _delivered(done: Done, opened: Session, regions: Regions | None, *, full: bool) -> Iterator[list[str]]:
    """Report one run, and yield a line for each of its movies, which lie at their places then."""
    from evaluation.checks.of_run import check_run
    from evaluation.checks.words import light_rows
    from evaluation.report.report import report_runs
    from orchestrator.cli.deliver import deliver
    from orchestrator.cli.root import experiments
    from orchestrator.records.regions import keep_regions

    label = done.work.label or done.work.plans[0].algorithm.full_name
    if done.run is None:
        yield from ([Path(name).name, label, "failed", "", "", "", ""] for name in done.work.targets)
        return
    keep_regions(done.run.folder, regions)
    if full:
        check_fully(done.work.plans[0], done.run, opened)
    report_runs([done.run], algorithms(), experiments, opened.layout.containers)
    verdicts = check_run(done.run)
    for name, target in done.work.targets.items():
        deliver(done.run.folder.prediction(name), target, opened.layout.delivered)
        lights = [f"{row.shape} {row.light}" for row in light_rows(verdicts[name])] if name in verdicts else []
        yield [Path(name).name, label, *(lights or ["not tested"] * _TOPICS), str(target), str(done.run.folder.report)]
