"""From run folders to the content of a report: which row is which, what is compared with what."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.metrics import Summary, frames_interval, summarise
from evaluation.report.content import NOISY, MovieContent, Report, Resources, RunContent, TrainingCurve
from evaluation.scores.catalogue import METRICS
from evaluation.scores.tables import read_frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.domain import Algorithm
    from orchestrator.paths import RunFolder

_EQUAL_SCALES = (
    0.5,
    2.0,
)  # slopes of the noisy movie on its target that need no second scale to be seen in one picture
_IDENTITY = "identity"  # the control whose prediction is the noisy movie, and whose scores are its scores


def report_of(folders: Sequence[RunFolder], algorithms: Mapping[str, Algorithm]) -> Report:
    """Gather what a report shows from finished and scored runs."""
    runs = _named(_identity_first(folders))
    records = {name: json.loads(folder.record.read_text()) for name, folder in runs.items()}
    frames = {name: read_frames(path) for run, folder in runs.items() for name, path in _frame_tables(run, folder)}
    subject = json.loads(folders[0].record.read_text())
    gains = {name: _gains(scored, frames.get(NOISY, {})) for name, scored in frames.items()}
    rows = tuple(
        row
        for name, folder in runs.items()
        for row in (
            *_control_rows(name, folder, algorithms[records[name]["algorithm"]], records[name]["preset"], gains),
            _row(name, folder, records[name], algorithms, gains[name]),
        )
    )
    if NOISY not in runs:
        rows = (RunContent(name=NOISY, title="Noisy input", role="noisy"), *rows)
    title = algorithms[subject["algorithm"]].title
    return Report(
        title=f"{title} on {subject['dataset']}",
        subtitle=f"preset {subject['preset']}, seed {subject['seed']}, run {subject['key']}",
        metrics=METRICS,
        runs=rows,
        movies=tuple(_movie(name, movie, subject, runs, frames) for name, movie in sorted(subject["movies"].items())),
        record=subject,
    )


def _identity_first(folders: Sequence[RunFolder]) -> list[RunFolder]:
    """Order rows: noisy, other controls as given, the subject last."""
    subject, *others = folders
    return sorted([*others, subject], key=lambda folder: _algorithm_of(folder) != _IDENTITY)


def _algorithm_of(folder: RunFolder) -> str:
    return str(json.loads(folder.record.read_text())["algorithm"])


def _named(folders: Sequence[RunFolder]) -> dict[str, RunFolder]:
    """Name each row by its algorithm, and by key too where several runs of one algorithm stand side by side."""
    algorithms = [_algorithm_of(folder) for folder in folders]
    named = {}
    for index, (folder, algorithm) in enumerate(zip(folders, algorithms, strict=True)):
        if index == 0 and algorithm == _IDENTITY:
            named[NOISY] = folder
        else:
            alone = algorithms.count(algorithm) == 1
            named[algorithm if alone else f"{algorithm}-{folder.path.name[:6]}"] = folder
    return named


def control_scores(folder: RunFolder) -> dict[str, Mapping[str, Any]]:
    """Return the scores of each control that the prediction of a scored run wrote: split to metric to summary."""
    controls = json.loads(folder.scores.read_text())["controls"]
    return {name: one["splits"] for name, one in sorted(controls.items())}


def control_title(title: str, writer: str) -> str:
    """Name a control after its title and the run whose prediction wrote it."""
    return f"{title} (control of {writer})"


def _beside(name: str, control: str) -> str:
    return f"{name}-{control}"


def _frame_tables(name: str, folder: RunFolder) -> Iterator[tuple[str, Path]]:
    """Yield the rows that a run has, and where the scores of their frames are."""
    for control in control_scores(folder):
        yield _beside(name, control), folder.control_frames(control)
    yield name, folder.frames


def _control_rows(
    name: str,
    folder: RunFolder,
    algorithm: Algorithm,
    preset: str,
    gains: Mapping[str, Mapping[str, Mapping[str, Summary]]],
) -> Iterator[RunContent]:
    """Yield a row for each control that prediction wrote beside its result."""
    short = algorithm.title.partition(" (")[0]
    for control, scores in control_scores(folder).items():
        row = _beside(name, control)
        yield RunContent(
            name=row,
            title=control_title(algorithm.controls[control], f"{short}, {preset}"),
            role="control",
            scores=_summaries(scores),
            gains=gains[row],
        )


def _row(
    name: str,
    folder: RunFolder,
    record: Mapping[str, Any],
    algorithms: Mapping[str, Algorithm],
    gains: Mapping[str, Mapping[str, Summary]],
) -> RunContent:
    algorithm = algorithms[record["algorithm"]]
    scores = json.loads(folder.scores.read_text())["splits"]
    if name == NOISY:
        return RunContent(name=name, title="Noisy input (identity control)", role="noisy", scores=_summaries(scores))
    return RunContent(
        name=name,
        title=f"{algorithm.title}, {record['preset']}",
        role="control" if algorithm.kind == "control" else "algorithm",
        scores=_summaries(scores),
        gains=gains,
        resources=resources_of(record),
        curve=_curve(folder),
        warnings=_warnings(record),
        doi=algorithm.paper["doi"] if algorithm.paper else "",
        figures=_figures(folder, record),
    )


def _figures(folder: RunFolder, record: Mapping[str, Any]) -> dict[str, Path]:
    """Find the plots that jobs of a run declare, by split; those of training come first, with the split ""."""
    splits = sorted(job.removeprefix("predict-") for job in record["jobs"] if job != "train")
    paths = {"": folder.figures("train"), **{split: folder.figures("predict", split) for split in splits}}
    return {split: path for split, path in paths.items() if path.exists()}


def _summaries(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Summary]]:
    return {
        split: {name: _summary(value) for name, value in metrics.items() if value["mean"] is not None}
        for split, metrics in splits.items()
    }


def _summary(value: Mapping[str, Any]) -> Summary:
    sd, low, high = (math.nan if value.get(field) is None else value[field] for field in ("sd", "low", "high"))
    return Summary(mean=value["mean"], sd=sd, n=value["n"], low=low, high=high)


def _gains(
    frames: Mapping[str, Mapping[str, list[float]]], noisy: Mapping[str, Mapping[str, list[float]]]
) -> dict[str, dict[str, Summary]]:
    """Pair every frame with the same frame of the noisy movie: score of prediction minus score of noisy."""
    differences: dict[str, dict[str, list[float]]] = {}
    movies = Counter(movie.partition("/")[0] for movie in frames)
    for movie, metrics in frames.items():
        split = differences.setdefault(movie.partition("/")[0], {})
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


def resources_of(record: Mapping[str, Any]) -> Resources:
    """Return what a run needed, from its record."""
    jobs = record["jobs"]
    return Resources(
        train_s=jobs["train"]["seconds"],
        predict_s=sum(job["seconds"] for name, job in jobs.items() if name != "train"),
        peak_memory_bytes=max(job["peak_memory_bytes"] for job in jobs.values()),
        peak_gpu_bytes=max(job["peak_gpu_bytes"] for job in jobs.values()) or None,
        device=record["device"]["found"],
        hardware=f"{record['threads']} {'thread' if record['threads'] == 1 else 'threads'}",
    )


def has_own_scale(identity: RunFolder, movie: str) -> bool:
    """Return whether a target is so much brighter or darker than its noisy movie that one picture cannot show both."""
    gain = json.loads(identity.scores.read_text())["movies"][movie]["movie"].get("gain")
    low, high = _EQUAL_SCALES
    return gain is not None and not low <= gain <= high


def _curve(folder: RunFolder) -> TrainingCurve | None:
    if not folder.history.exists():
        return None
    history = json.loads(folder.history.read_text())
    return TrainingCurve(
        steps=range(1, len(history["loss"]) + 1),
        loss=history["loss"],
        val_steps=[step for step, _ in history["val_loss"]],
        val_loss=[loss for _, loss in history["val_loss"]],
    )


def _warnings(record: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{file}: {pixels} pixels were clipped to the range of the input's dtype"
        for job in record["jobs"].values()
        for file, pixels in sorted(job["clipped_pixels"].items())
    )


def _movie(
    name: str,
    movie: Mapping[str, Any],
    subject: Mapping[str, Any],
    runs: Mapping[str, RunFolder],
    frames: Mapping[str, Mapping[str, Mapping[str, list[float]]]],
) -> MovieContent:
    split, _, file = name.partition("/")
    # The subject is the last row of a table and the first picture; its controls follow it.
    paths: dict[str, Path] = {}
    for run, folder in reversed(list(runs.items())):
        controls = {_beside(run, control): folder.control(control, name) for control in control_scores(folder)}
        paths |= controls if run == NOISY else {run: folder.prediction(name), **controls}
    return MovieContent(
        name=file,
        split=split,
        noisy=Path(movie["noisy"]),
        predictions={run: path for run, path in paths.items() if path.exists()},
        target=None if movie["target"] is None else Path(movie["target"]),
        frame_rate_hz=subject["frame_rate_hz"],
        fit_target=NOISY in runs and has_own_scale(runs[NOISY], name),
        frame_scores={run: scores[name] for run, scores in frames.items() if name in scores},
    )
