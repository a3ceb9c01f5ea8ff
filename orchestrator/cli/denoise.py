"""The command denoise: from a user's movies to denoised files, with their costs before and their checks after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import PATH, Given, choice_of, settings_of, with_own_options
from orchestrator.cli.root import absolute, algorithm, algorithms, main, session
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.data.datasets import Split
    from orchestrator.data.movies import Source
    from orchestrator.domain import Algorithm
    from orchestrator.paths import Layout
    from orchestrator.records import Choice
    from orchestrator.runs.plan import Plan
    from orchestrator.runs.session import Session

STACKS = (".tif", ".tiff")
_ALGORITHM = "Denoiser. N2V needs one movie and looks at single frames only, so it cannot blur in time."


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One training with its controls, and where the denoised movies go, by the name of the movie in run.json."""

    source: Source
    plans: tuple[Plan, ...]
    targets: dict[str, Path]


@main.command()
@click.argument("movies", metavar="MOVIE...", nargs=-1, required=True, type=PATH)
@click.option("--algorithm", "name", type=Given(), default="n2v", show_default=True, help=_ALGORITHM)
@click.option("-o", "--output", type=PATH, help="TIFF file, or folder for several movies.  [default: denoised]")
@click.option("--together", is_flag=True, help="Train once on all movies, not once on each.")
@with_own_options
def denoise(
    movies: tuple[Path, ...],
    *,
    name: str,
    output: Path | None,
    together: bool,
    **options: Any,  # noqa: ANN401 - click passes the options above
) -> None:
    """Denoise your own movies: train on each, write the result as TIFF, and check it.

    A movie is a file, a folder with the files of one recording, or a quoted pattern of their names.
    Costs are printed first. A file that calm did not write is never overwritten.

    \b
    Example:
        calm denoise movie.tif
        calm denoise day1.tif day2.h5 --preset quick -o denoised
    """  # noqa: D301 - click reads \b as "do not wrap"
    from orchestrator.cli.deliver import check_targets
    from orchestrator.data.movies import input_source

    choice, given = choice_of(options), absolute(movies)
    opened = session(options["engine_name"], options["memory_gib"])
    sources = sources_of(given, choice, opened)
    targets = targets_of(sources, output)
    check_targets(list(targets.values()), opened.layout.delivered)
    click.echo(_how(len(sources), together=together))
    groups = (input_source(given, choice, opened.layout),) if together else sources
    works = [_work(opened, algorithm(name), source, targets, options) for source in groups]
    show_costs(works, opened.layout)
    finish(works, opened)


def sources_of(movies: Sequence[Path], choice: Choice, opened: Session, split: Split = "train") -> tuple[Source, ...]:
    """Describe movies, each by itself; files of one recording, named one by one, are one movie."""
    from orchestrator.data.movies import input_source

    found: dict[Path, Source] = {}
    for movie in movies:
        source = input_source((movie,), choice, opened.layout, split=split)
        found.setdefault(source.movies[0].noisy, source)
    for source in found.values():
        for note in source.notes:
            opened.say(note)
    return tuple(found.values())


def targets_of(sources: Sequence[Source], output: Path | None) -> dict[Path, Path]:
    """Return where each denoised movie goes, by its stack: a file for one movie, else TIFF files in a folder.

    Raises
    ------
    BadInput
        For a file that should take several movies, or a name that is neither a TIFF file nor a folder.
    """
    movies = [movie.noisy for source in sources for movie in source.movies]
    where = (output or Path("denoised")).absolute()
    if where.suffix.lower() in STACKS and not where.is_dir():
        if len(movies) > 1:
            message = f"-o: expected a folder for {len(movies)} movies, got the file {where}"
            raise BadInput(message, "Every denoised movie keeps its name in that folder.")
        return {movies[0]: where}
    if where.exists() and not where.is_dir():
        message = f"-o: expected a file named .tif or .tiff, or a folder, got {where}"
        raise BadInput(message, "For instance -o denoised.tif.")
    if where.suffix and not where.is_dir():
        message = f"-o: expected a name that ends in .tif or .tiff, or a folder, got {where.name}"
        raise BadInput(message, "A denoised movie is a TIFF stack; `calm export` writes tables and pictures.")
    return {movie: where / movie.name for movie in movies}


def _how(count: int, *, together: bool) -> str:
    if count == 1:
        return "One movie: it is trained on itself."
    if together:
        return f"{count} movies together: one training sees them all."
    return f"{count} movies, each trained on itself; --together trains once on all."


def _work(
    opened: Session, chosen: Algorithm, source: Source, targets: dict[Path, Path], options: dict[str, Any]
) -> Work:
    from orchestrator.runs.needs import check_prior

    plans = opened.plans(chosen, source, settings_of(options), absolute(options["prior"]))
    check_prior(plans[0])
    return work_of(source, plans, targets)


def work_of(source: Source, plans: tuple[Plan, ...], targets: dict[Path, Path]) -> Work:
    """Put plans beside where their denoised movies go."""
    from orchestrator.records import MovieName

    names = {str(MovieName(movie.split, movie.noisy.name)): targets[movie.noisy] for movie in source.movies}
    return Work(source=source, plans=plans, targets=names)


def show_costs(works: Sequence[Work], layout: Layout) -> None:
    """Print time, memory and disk of every run as far as they are known, and refuse a disk that is too small."""
    from orchestrator.cli.forecast import text_of
    from orchestrator.reproduce.forecast import FINISHED, TO_RUN, Forecast, estimate_of
    from orchestrator.runs.execute import finished
    from orchestrator.runs.needs import check_disk

    estimates = [
        estimate_of(work.source.name, plan, layout.outputs, FINISHED if finished(plan) else TO_RUN)
        for work in works
        for plan in work.plans
    ]
    click.echo(f"{text_of(Forecast(runs=tuple(estimates), outlines=(), warnings=()), layout)}\n")
    check_disk([plan for work in works for plan in work.plans], layout.outputs)


def finish(works: Sequence[Work], opened: Session) -> None:
    """Run everything, copy the denoised movies to their places, and say last where they lie and what to believe."""
    from evaluation.checks.of_run import check_run
    from evaluation.checks.words import lights_text
    from evaluation.report.text import aligned

    rows = [row for work in works for row in _finished(work, opened)]
    head = ["movie", "amplitude", "time", "invented structure", "denoised", "report"]
    if len(rows) > 1:
        click.echo(aligned([head, *rows], right_from=len(head)))
        return
    run = opened.run(works[0].plans[0]).run
    ((_, *_, path, report),) = rows
    click.echo(f"{lights_text(check_run(run))}\n\nReport: {report}\nDenoised: {path}")


def _finished(work: Work, opened: Session) -> Iterator[list[str]]:
    """Run one training with its controls, and yield a line for each of its movies."""
    from evaluation.checks.of_run import check_run
    from evaluation.checks.words import light_rows
    from evaluation.report.report import report_runs
    from orchestrator.cli.deliver import deliver
    from orchestrator.cli.root import experiments

    runs = [outcome.run for outcome in opened.run_all(work.plans)]
    report_runs(runs, algorithms(), experiments, opened.layout.containers)
    verdicts = check_run(runs[0])
    for name, target in work.targets.items():
        deliver(runs[0].folder.prediction(name), target, opened.layout.delivered)
        lights = [f"{row.shape} {row.light}" for row in light_rows(verdicts[name])] if name in verdicts else []
        yield [Path(name).name, *(lights or ["not tested"] * 3), str(target), str(runs[0].folder.report)]
