"""From run folders to the content of a page: which row is which, what is compared with what, what is pictured."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from evaluation.metrics import Summary, frames_interval, summarise
from evaluation.report.content import (
    NOISY,
    STUDY,
    SUPERVISED,
    MovieContent,
    Page,
    Part,
    Resources,
    Row,
    Score,
    TrainingCurve,
)
from evaluation.report.runs import CONTROL
from evaluation.scores.catalogue import METRICS
from evaluation.scores.tables import read_frames, summary_of
from evaluation.study.judge import judged, study_scores
from evaluation.study.verdict import over_seeds
from orchestrator.algorithms.experiments import ANCHOR
from orchestrator.documents import plain
from orchestrator.records.record import MovieName
from orchestrator.records.regions import kept_regions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from evaluation.report.runs import Entry
    from orchestrator.algorithms.experiments import Attempt, Experiment
    from orchestrator.records import record as records
    from orchestrator.records.regions import Regions
    from orchestrator.records.run import Run

_EQUAL_SCALES = 0.5, 2.0  # slopes of noisy on target that need no second scale to be seen in one picture
_Frames = dict[str, dict[str, list[float]]]  # SPLIT/NAME to metric to one value for each frame
_Summaries = dict[Part, dict[str, Summary]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """Entries on the same movies."""

    label: str
    entries: tuple[Entry, ...]

    @property
    def noisy(self) -> Run | None:
        """The run whose prediction is the noisy movie."""
        return next((one.runs[0] for one in self.entries if one.runs and one.algorithm.name == ANCHOR), None)

    @property
    def own(self) -> bool:
        """Whether the movies are files of the user."""
        return any(entry.own for entry in self.entries)  # they are on the same files

    def part(self, split: str, protocol: str = "") -> Part:
        """Return the part of a split."""
        return Part(movies=self.label, split=split, own=self.own, protocol=protocol)


def page_of(entries: Sequence[Entry], experiments: Mapping[str, Experiment]) -> Page:
    """Gather what a page shows from finished and scored runs.

    Parameters
    ----------
    entries : sequence of Entry
        What gets a row: runs, controls on the same movies, experiments of the study.
    experiments : mapping of str to Experiment
        All of the study: the published scores of the noisy movies are among them.
    """
    groups = _groups(entries)
    rows = [row for group in groups for entry in group.entries for row in _rows(entry, group, experiments)]
    runs = {entry.title: run for entry in entries for run in entry.runs[:1]}
    title, subtitle = _titles(entries, groups)
    attempts = [entry.attempt for entry in entries if entry.attempt is not None]
    first = next(iter(runs.values()), None)
    return Page(
        title=title,
        subtitle=subtitle,
        metrics=METRICS,
        rows=tuple(rows),
        movies=tuple(chain.from_iterable(map(_movies, groups))),
        warnings=tuple(f"{one.experiment.name}: {one.changes}" for one in attempts if one.changes),
        record=_plain(first) if first and not attempts and len(groups) == 1 and _alone(entries) else _records(runs),
    )


def _records(runs: Mapping[str, Run]) -> dict[str, object]:
    return {title: _plain(run) for title, run in runs.items()}


def _plain(run: Run) -> dict[str, object]:
    record: dict[str, object] = plain(run.record)
    return record


def _alone(entries: Sequence[Entry]) -> bool:
    return sum(entry.role == "algorithm" for entry in entries) <= 1


def _titles(entries: Sequence[Entry], groups: Sequence[_Group]) -> tuple[str, str]:
    if any(entry.attempt is not None for entry in entries):
        return "Published experiments, run again", "ours beside the study; docs/verdicts.md says how verdicts are made"
    where = groups[0].label if len(groups) == 1 else f"{len(groups)} sets of movies"
    if not _alone(entries) or len(groups) > 1:
        return f"{sum(entry.role == 'algorithm' for entry in entries)} runs on {where}", "controls are always shown"
    subject = next((entry for entry in entries if entry.role == "algorithm"), entries[0])
    record = subject.runs[0].record
    how = f"preset {record.preset}, seed {record.seed}, run {record.key}"
    return f"{subject.algorithm.title} on {where}", how


def _groups(entries: Sequence[Entry]) -> tuple[_Group, ...]:
    """Put together what ran on the same files: the noisy movie, controls, the rest as given, supervised ones last."""
    ranked = sorted(entries, key=lambda entry: (entry.role == SUPERVISED, entry.role != NOISY, entry.role != CONTROL))
    found: dict[object, list[Entry]] = {entry.movies: [] for entry in entries}
    for entry in ranked:
        found[entry.movies].append(entry)
    datasets = [members[0].dataset for members in found.values()]
    return tuple(
        _Group(label=dataset if datasets.count(dataset) == 1 else f"{dataset} ({index})", entries=tuple(members))
        for index, (dataset, members) in enumerate(zip(datasets, found.values(), strict=True), start=1)
    )


def _rows(entry: Entry, group: _Group, experiments: Mapping[str, Experiment]) -> Iterator[Row]:
    """Yield the controls that prediction of an entry wrote beside its result, and the entry itself."""
    noisy = read_frames(group.noisy.folder.frames) if group.noisy else {}
    for run in entry.runs[:1]:
        for control, document in sorted(run.scores.controls.items()):
            scores = _with_gains(
                _summaries(group, document.splits),
                _gains(group, read_frames(run.folder.control_frames(control)), noisy),
            )
            yield Row(name=entry.beside(control), title=entry.control_title(control), role=CONTROL, scores=scores)
    yield _row(entry, group, experiments, noisy)


def _row(entry: Entry, group: _Group, experiments: Mapping[str, Experiment], noisy: _Frames) -> Row:
    row = Row(
        name=entry.name,
        title=entry.title,
        role=entry.role,
        scores=_scores(entry, group, experiments, noisy),
        status=entry.attempt.status if entry.attempt else "ok",
        reason=entry.attempt.reason if entry.attempt else "",
    )
    if not entry.runs:
        return row
    first = entry.runs[0]
    return replace(
        row,
        environment=environment_of(first) if entry.attempt else "",
        doi=entry.algorithm.paper.doi if entry.algorithm.paper else "",
        resources=None if entry.role == NOISY else _resources(first.record),
        curve=_curve(first),
        warnings=_warnings(first),
        figures=_figures(first),
    )


def _scores(
    entry: Entry, group: _Group, experiments: Mapping[str, Experiment], noisy: _Frames
) -> dict[Part, dict[str, Score]]:
    """Score an entry by our protocol and, where it is of the study, by that of the study with verdicts."""
    scores: dict[Part, dict[str, Score]] = {}
    if entry.runs:
        seeds = [_summaries(group, run.scores.splits) for run in entry.runs]
        first = entry.runs[0]
        gains = {}
        if len(entry.runs) == 1 and entry.role != NOISY:
            gains = _gains(group, read_frames(first.folder.frames), noisy)
        scores |= _with_gains({part: _over_seeds(part, seeds) for part in seeds[0]}, gains)
        scores |= _copies_left_out(entry, group)
    if entry.attempt is not None:
        _add_verdicts(scores, entry.attempt, group, experiments)
    elif entry.studied:
        for part, metrics in _summaries(group, study_scores(entry.runs[0]), STUDY).items():
            scores[part] = {metric: Score(value=value) for metric, value in metrics.items()}
    return scores


def _add_verdicts(
    scores: dict[Part, dict[str, Score]], attempt: Attempt, group: _Group, experiments: Mapping[str, Experiment]
) -> None:
    """Put what the study says beside our values; where the movies have no target, it used the same protocol."""
    studied = any(run.study_scores is not None for run in attempt.runs)
    for split, comparisons in judged(attempt, experiments).items():
        part = group.part(split, STUDY if studied else "")
        known = scores.setdefault(part, {})
        known |= {
            metric: replace(known.get(metric, Score(value=one.ours)), value=one.ours, study=one)
            for metric, one in comparisons.items()
        }


def _copies_left_out(entry: Entry, group: _Group) -> dict[Part, dict[str, Score]]:
    """Return the scores without images that are copies of others, which the study counted each time."""
    documents = [one for run in entry.runs if (one := run.study_scores) is not None]
    if not documents or not documents[0].copies:
        return {}
    protocol = f"without {len(documents[0].copies)} copies"
    seeds = [_summaries(group, one.corrected, protocol) for one in documents]
    return _with_gains({part: _over_seeds(part, seeds) for part in seeds[0]}, {})


def _summaries(group: _Group, splits: Mapping[str, Mapping[str, records.Score]], protocol: str = "") -> _Summaries:
    return {
        group.part(split, protocol): {
            name: summary_of(value) for name, value in metrics.items() if value.mean is not None
        }
        for split, metrics in splits.items()
    }


def _over_seeds(part: Part, seeds: Sequence[_Summaries]) -> dict[str, Summary]:
    if len(seeds) == 1:
        return seeds[0][part]
    return {metric: over_seeds([one[part][metric] for one in seeds]) for metric in seeds[0][part]}


def _with_gains(values: _Summaries, gains: _Summaries) -> dict[Part, dict[str, Score]]:
    return {
        part: {metric: Score(value=value, gain=gains.get(part, {}).get(metric)) for metric, value in metrics.items()}
        for part, metrics in values.items()
    }


def _gains(group: _Group, frames: _Frames, noisy: _Frames) -> _Summaries:
    """Pair every frame with the same frame of the noisy movie: score of prediction minus score of noisy."""
    differences: dict[Part, dict[str, list[float]]] = {}
    movies = Counter(group.part(MovieName.of(movie).split) for movie in frames)
    for movie, metrics in frames.items():
        part = differences.setdefault(group.part(MovieName.of(movie).split), {})
        for metric, values in metrics.items():
            base = noisy.get(movie, {}).get(metric, [])
            part.setdefault(metric, []).extend(ours - theirs for ours, theirs in zip(values, base, strict=False))
    return {
        part: {metric: _gain(values, movies[part]) for metric, values in metrics.items() if values}
        for part, metrics in differences.items()
    }


def _gain(values: list[float], movies: int) -> Summary:
    one, bounds = summarise(values), frames_interval(values, movies)
    return Summary(mean=one.mean, sd=one.sd, n=one.n, low=bounds.low, high=bounds.high)


def environment_of(run: Run) -> str:
    """Say in which software a run was made: algorithm, upstream with version, environment."""
    one = run.record
    return f"{one.algorithm}, {one.upstream.name} {one.upstream.version}, environment {one.environment}"


def _resources(record: records.Record) -> Resources:
    jobs = record.jobs
    return Resources(
        train_s=record.training.seconds,
        predict_s=record.predicting_s,
        peak_memory_bytes=max(job.peak_memory_bytes for job in jobs.values()),
        peak_gpu_bytes=max(job.peak_gpu_bytes for job in jobs.values()) or None,
        device=f"{record.device.found}, {record.threads} thread{'' if record.threads == 1 else 's'}",
    )


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


def _warnings(run: Run) -> tuple[str, ...]:
    return tuple(
        f"{file}: {pixels} pixels were clipped to the range of the input's dtype"
        for job in run.record.jobs.values()
        for file, pixels in sorted(job.clipped_pixels.items())
    )


def _figures(run: Run) -> dict[str, Path]:
    """Find the plots that jobs of a run declare, by split; those of training come first, with the split ""."""
    splits = sorted(job.removeprefix("predict-") for job in run.record.jobs if job != "train")
    paths = {"": run.folder.figures("train")} | {split: run.folder.figures("predict", split) for split in splits}
    return {split: path for split, path in paths.items() if path.exists()}


def _movies(group: _Group) -> Iterator[MovieContent]:
    """Picture every movie of a group with all its rows: algorithms first, as the first one decides on regions."""
    drawn = sorted((entry for entry in group.entries if entry.runs), key=lambda entry: entry.role != "algorithm")
    regions = _regions(drawn)
    frames = {name: read_frames(path) for entry in drawn for name, path in _frame_tables(entry)}
    for name, (run, movie) in {
        name: (one.runs[0], movie) for one in drawn for name, movie in one.runs[0].movies
    }.items():
        paths = {row: path for entry in drawn for row, path in _pictures(entry, str(name)) if path.exists()}
        yield MovieContent(
            name=name.file,
            part=group.part(name.split),
            noisy=movie.noisy,
            predictions=paths,
            target=movie.target,
            frame_rate_hz=run.record.frame_rate_hz,
            fit_target=_has_own_scale(group.noisy, str(name)),
            frame_scores={row: scores[str(name)] for row, scores in frames.items() if str(name) in scores},
            regions=regions,
        )


def _regions(drawn: Sequence[Entry]) -> Regions | None:
    """Return the regions that the first algorithm was given; of controls alone, those of the first that has some."""
    asked = drawn[:1] if drawn and drawn[0].role == "algorithm" else drawn
    known = (kept_regions(one.runs[0].folder) for one in asked)
    return next((one for one in known if one is not None), None)


def _frame_tables(entry: Entry) -> Iterator[tuple[str, Path]]:
    run = entry.runs[0]
    yield NOISY if entry.role == NOISY else entry.name, run.folder.frames
    for control in sorted(run.scores.controls):
        yield entry.beside(control), run.folder.control_frames(control)


def _pictures(entry: Entry, movie: str) -> Iterator[tuple[str, Path]]:
    """Yield what an entry adds to the pictures of a movie; the unchanged movie is `noisy` already."""
    run = entry.runs[0]
    if entry.role != NOISY:
        yield entry.name, run.folder.prediction(movie)
    for control in sorted(run.scores.controls):
        yield entry.beside(control), run.folder.control(control, movie)


def _has_own_scale(noisy: Run | None, movie: str) -> bool:
    """Return whether a target is so much brighter or darker than its noisy movie that one picture cannot show both."""
    scored = None if noisy is None else noisy.scores.movies.get(movie)
    gain = None if scored is None else scored.movie.get("gain")
    low, high = _EQUAL_SCALES
    return gain is not None and not low <= gain <= high
