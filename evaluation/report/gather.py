"""From run folders to the content of a report: which row is which, what is compared with what."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from evaluation.metrics import Summary, frames_interval, summarise
from evaluation.report.content import NOISY, MovieContent, Report, Resources, RunContent, TrainingCurve
from evaluation.scores.catalogue import METRICS
from evaluation.scores.tables import read_frames, summary_of
from orchestrator.documents import plain
from orchestrator.domain import CURRENT, SYSTEM
from orchestrator.records import MovieName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.domain import Algorithm
    from orchestrator.records import MovieRecord, Record, Score
    from orchestrator.run import Run

_EQUAL_SCALES = (
    0.5,
    2.0,
)  # slopes of the noisy movie on its target that need no second scale to be seen in one picture
_IDENTITY = "identity"  # the control whose prediction is the noisy movie, and whose scores are its scores


def report_of(given: Sequence[Run], algorithms: Mapping[str, Algorithm]) -> Report:
    """Gather what a report shows from finished and scored runs."""
    runs = _named(_identity_first(given))
    frames = {row: read_frames(path) for name, run in runs.items() for row, path in _frame_tables(name, run)}
    subject = given[0].record
    gains = {name: _gains(scored, frames.get(NOISY, {})) for name, scored in frames.items()}
    rows = tuple(
        row
        for name, run in runs.items()
        for row in (
            *_control_rows(name, run, algorithms[run.record.algorithm], gains),
            _row(name, run, algorithms, gains[name]),
        )
    )
    if NOISY not in runs:
        rows = (RunContent(name=NOISY, title="Noisy input", role="noisy"), *rows)
    title = algorithms[subject.algorithm].title
    return Report(
        title=f"{title} on {subject.dataset}",
        subtitle=f"preset {subject.preset}, seed {subject.seed}, run {subject.key}",
        metrics=METRICS,
        runs=rows,
        movies=tuple(_movie(name, movie, subject, runs, frames) for name, movie in given[0].movies),
        record=plain(subject),
    )


def _identity_first(runs: Sequence[Run]) -> list[Run]:
    """Order rows: noisy, other controls as given, the subject last."""
    subject, *others = runs
    return sorted([*others, subject], key=lambda run: run.record.algorithm != _IDENTITY)


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    """Name each row by its algorithm, and by key too where several runs of one algorithm stand side by side.

    What is not pinned is so in its name: n2v@system.
    """
    unpinned = [f"@{SYSTEM}" if run.record.environment == SYSTEM else "" for run in runs]
    algorithms = [f"{run.record.algorithm}{suffix}" for run, suffix in zip(runs, unpinned, strict=True)]
    named = {}
    for index, (run, algorithm) in enumerate(zip(runs, algorithms, strict=True)):
        if index == 0 and run.record.algorithm == _IDENTITY:
            named[NOISY] = run
        else:
            alone = algorithms.count(algorithm) == 1
            named[algorithm if alone else f"{algorithm}-{run.folder.path.name[:6]}"] = run
    return named


def control_scores(run: Run) -> dict[str, Mapping[str, Mapping[str, Score]]]:
    """Return the scores of each control that the prediction of a scored run wrote: split to metric to summary."""
    return {name: one.splits for name, one in sorted(run.scores.controls.items())}


def control_title(title: str, writer: str) -> str:
    """Name a control after its title and the run whose prediction wrote it."""
    return f"{title} (control of {writer})"


def _beside(name: str, control: str) -> str:
    return f"{name}-{control}"


def _frame_tables(name: str, run: Run) -> Iterator[tuple[str, Path]]:
    """Yield the rows that a run has, and where the scores of their frames are."""
    for control in control_scores(run):
        yield _beside(name, control), run.folder.control_frames(control)
    yield name, run.folder.frames


def _control_rows(
    name: str,
    run: Run,
    algorithm: Algorithm,
    gains: Mapping[str, Mapping[str, Mapping[str, Summary]]],
) -> Iterator[RunContent]:
    """Yield a row for each control that prediction wrote beside its result."""
    short = algorithm.title.partition(" (")[0]
    for control, scores in control_scores(run).items():
        row = _beside(name, control)
        yield RunContent(
            name=row,
            title=control_title(algorithm.controls[control], f"{short}, {run.record.preset}"),
            role="control",
            scores=_summaries(scores),
            gains=gains[row],
        )


def _row(
    name: str,
    run: Run,
    algorithms: Mapping[str, Algorithm],
    gains: Mapping[str, Mapping[str, Summary]],
) -> RunContent:
    algorithm = algorithms[run.record.algorithm]
    scores = run.scores.splits
    if name == NOISY:
        return RunContent(name=name, title="Noisy input (identity control)", role="noisy", scores=_summaries(scores))
    return RunContent(
        name=name,
        title=f"{algorithm.title}, {run.record.preset}{_software(run.record.environment)}",
        role="control" if algorithm.kind == "control" else "algorithm",
        scores=_summaries(scores),
        gains=gains,
        resources=resources_of(run.record),
        curve=_curve(run),
        warnings=_warnings(run.record),
        doi=algorithm.paper.doi if algorithm.paper else "",
        figures=_figures(run),
    )


def _software(environment: str) -> str:
    """Return what the title of a row says of any environment but the current one."""
    if environment == CURRENT:
        return ""
    return ", software of the machine, not pinned" if environment == SYSTEM else f", environment {environment}"


def _figures(run: Run) -> dict[str, Path]:
    """Find the plots that jobs of a run declare, by split; those of training come first, with the split ""."""
    splits = sorted(job.removeprefix("predict-") for job in run.record.jobs if job != "train")
    paths = {"": run.folder.figures("train"), **{split: run.folder.figures("predict", split) for split in splits}}
    return {split: path for split, path in paths.items() if path.exists()}


def _summaries(splits: Mapping[str, Mapping[str, Score]]) -> dict[str, dict[str, Summary]]:
    return {
        split: {name: summary_of(value) for name, value in metrics.items() if value.mean is not None}
        for split, metrics in splits.items()
    }


def _gains(
    frames: Mapping[str, Mapping[str, list[float]]], noisy: Mapping[str, Mapping[str, list[float]]]
) -> dict[str, dict[str, Summary]]:
    """Pair every frame with the same frame of the noisy movie: score of prediction minus score of noisy."""
    differences: dict[str, dict[str, list[float]]] = {}
    movies = Counter(MovieName.of(movie).split for movie in frames)
    for movie, metrics in frames.items():
        split = differences.setdefault(MovieName.of(movie).split, {})
        for metric, values in metrics.items():
            base = noisy.get(movie, {}).get(metric, [])
            split.setdefault(metric, []).extend(ours - theirs for ours, theirs in zip(values, base, strict=False))
    return {
        split: {metric: _gain(values, movies[split]) for metric, values in metrics.items() if values}
        for split, metrics in differences.items()
    }


def _gain(values: list[float], movies: int) -> Summary:
    one, bounds = summarise(values), frames_interval(values, movies)
    return Summary(mean=one.mean, sd=one.sd, n=one.n, low=bounds.low, high=bounds.high)


def resources_of(record: Record) -> Resources:
    """Return what a run needed, from its record."""
    jobs = record.jobs
    return Resources(
        train_s=jobs["train"].seconds,
        predict_s=sum(job.seconds for name, job in jobs.items() if name != "train"),
        peak_memory_bytes=max(job.peak_memory_bytes for job in jobs.values()),
        peak_gpu_bytes=max(job.peak_gpu_bytes for job in jobs.values()) or None,
        device=record.device.found,
        hardware=f"{record.threads} {'thread' if record.threads == 1 else 'threads'}",
    )


def has_own_scale(identity: Run, movie: str) -> bool:
    """Return whether a target is so much brighter or darker than its noisy movie that one picture cannot show both."""
    gain = identity.scores.movies[movie].movie.get("gain")
    low, high = _EQUAL_SCALES
    return gain is not None and not low <= gain <= high


def _curve(run: Run) -> TrainingCurve | None:
    history = run.history
    if history is None:
        return None
    return TrainingCurve(
        steps=range(1, len(history.loss) + 1),
        loss=history.loss,
        val_steps=[step for step, _ in history.val_loss],
        val_loss=[loss for _, loss in history.val_loss],
    )


def _warnings(record: Record) -> tuple[str, ...]:
    return tuple(
        f"{file}: {pixels} pixels were clipped to the range of the input's dtype"
        for job in record.jobs.values()
        for file, pixels in sorted(job.clipped_pixels.items())
    )


def _movie(
    name: MovieName,
    movie: MovieRecord,
    subject: Record,
    runs: Mapping[str, Run],
    frames: Mapping[str, Mapping[str, Mapping[str, list[float]]]],
) -> MovieContent:
    whole = str(name)
    # The subject is the last row of a table and the first picture; its controls follow it.
    paths: dict[str, Path] = {}
    for row, run in reversed(list(runs.items())):
        controls = {_beside(row, control): run.folder.control(control, whole) for control in control_scores(run)}
        paths |= controls if row == NOISY else {row: run.folder.prediction(whole), **controls}
    return MovieContent(
        name=name.file,
        split=name.split,
        noisy=movie.noisy,
        predictions={row: path for row, path in paths.items() if path.exists()},
        target=movie.target,
        frame_rate_hz=subject.frame_rate_hz,
        fit_target=NOISY in runs and has_own_scale(runs[NOISY], whole),
        frame_scores={row: scores[whole] for row, scores in frames.items() if whole in scores},
    )
