"""Any finished runs as one leaderboard: those with the settings of a published experiment stand beside its values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evaluation.report.board import CORRECTED, board_of, environment_of
from evaluation.report.content import Entry, MovieContent
from evaluation.report.gather import control_scores, control_title, has_own_scale, resources_of
from evaluation.scores.catalogue import METRICS
from evaluation.scores.score import score_run
from evaluation.scores.tables import read_frames, summary_of
from evaluation.study.protocol import score_study
from evaluation.study.verdict import Comparison
from orchestrator.algorithms import in_environment, resolve_params
from orchestrator.documents import plain
from orchestrator.errors import BadInput
from orchestrator.experiments import ANCHOR, PRESET, Attempt
from orchestrator.run import Run, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from evaluation.report.content import Leaderboard
    from orchestrator.domain import Algorithm
    from orchestrator.experiments import Experiment
    from orchestrator.records import Record, Score


def collect(
    runs: Sequence[Run], experiments: Mapping[str, Experiment], algorithms: Mapping[str, Algorithm]
) -> Leaderboard:
    """Score runs where they are not scored, and put them and the controls on the same movies on one board.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs, of any datasets.
    experiments : mapping of str to Experiment
        All published experiments.
    algorithms : mapping of str to Algorithm
        All algorithms; controls that ran on the same movies are added.

    Returns
    -------
    Leaderboard
        Runs of one experiment make one entry, one run for each seed; others stand alone, without published value.
    """
    everything = {run.folder.path: run for run in (*runs, *_controls(runs, algorithms))}.values()
    of_experiments, others = by_experiment(tuple(everything), experiments, algorithms)
    for run in everything:
        score_run(run, algorithms)
    attempts = tuple(
        Attempt(experiment=experiments[name], runs=found, controls=_controls_of(found, others, algorithms))
        for name, found in of_experiments.items()
    )
    beside = {run.folder.path for attempt in attempts for run in attempt.controls}
    others = tuple(run for run in others if run.folder.path not in beside)
    for attempt in attempts:
        for run in (*attempt.runs, *attempt.controls):
            score_study(run, attempt.experiment.protocol, algorithms)
    board = board_of(attempts, experiments)
    studied = {one.experiment.dataset for one in attempts}
    entries = [entry for run in others for entry in _entries(run, algorithms, studied)]
    return replace(
        board,
        title="Runs side by side",
        subtitle="our value beside the published one where a run has the settings of a published experiment",
        metrics=(*board.metrics, *(one for one in METRICS if one.name not in {known.name for known in board.metrics})),
        entries=(*board.entries, *entries),
        movies=_merged((*board.movies, *_movies(others))),
        record={**board.record, **{run.title: plain(run.record) for run in others}},
    )


def by_experiment(
    runs: Sequence[Run], experiments: Mapping[str, Experiment], algorithms: Mapping[str, Algorithm]
) -> tuple[dict[str, tuple[Run, ...]], tuple[Run, ...]]:
    """Sort runs into experiments, by the settings they were made with."""
    found: dict[str, dict[int, Run]] = {}
    others = []
    for run in runs:
        seed = run.record.seed
        match = published_experiment(run.record, experiments, algorithms)
        if match is None or seed in found.setdefault(match.name, {}):
            others.append(run)
        else:
            found[match.name][seed] = run
    return {name: tuple(seeds.values()) for name, seeds in found.items()}, tuple(others)


def published_experiment(
    record: Record, experiments: Mapping[str, Experiment], algorithms: Mapping[str, Algorithm]
) -> Experiment | None:
    """Return the experiment of the study whose data, software and settings a run has; None where there is none."""
    for one in experiments.values():
        theirs = one.algorithm, one.environment, one.dataset
        if theirs != (record.algorithm, record.environment, record.dataset):
            continue
        algorithm = in_environment(algorithms[one.algorithm], one.environment)
        if one.algorithm == ANCHOR or record.params == resolve_params(algorithm, PRESET, one.overrides):
            return one
    return None


def _controls(runs: Sequence[Run], algorithms: Mapping[str, Algorithm]) -> Iterator[Run]:
    """Find finished runs of controls on the same movies, among the outputs that the runs lie in."""
    names = [name for name, one in algorithms.items() if one.kind == "control"]
    for run in runs:
        inputs = run.record.inputs
        given = {one.record.algorithm for one in runs if one.record.inputs == inputs}
        for name in (one for one in names if one not in given):
            for path in sorted(run.folder.path.parents[1].glob(f"{name}-{run.record.dataset}-default/*/run.json")):
                control = read_run(path.parent)
                if control.record.inputs == inputs:
                    yield control
                    break


def _controls_of(found: Sequence[Run], others: Sequence[Run], algorithms: Mapping[str, Algorithm]) -> tuple[Run, ...]:
    """Return the first run of each control, with its default settings, on the movies of an experiment."""
    inputs = found[0].record.inputs
    controls: dict[str, Run] = {}
    for run in others:
        record = run.record
        algorithm = algorithms.get(record.algorithm)
        if algorithm is None or algorithm.kind != "control" or record.inputs != inputs:
            continue
        if record.params == resolve_params(algorithm, "default", {}):
            controls.setdefault(algorithm.name, run)
    return tuple(controls.values())


def _entries(run: Run, algorithms: Mapping[str, Algorithm], studied: set[str]) -> Iterator[Entry]:
    record = run.record
    if record.algorithm not in algorithms:
        message = f"{run.folder.path}: expected a run of {', '.join(algorithms)}, got one of {record.algorithm}"
        raise BadInput(message, "Its folder in containers/ is not there any more.")
    dataset = f"{record.dataset}, {CORRECTED}" if record.dataset in studied else record.dataset
    entry = Entry(
        run=run.title,
        title=run.title,
        role="control" if algorithms[record.algorithm].kind == "control" else "algorithm",
        dataset=dataset,
        split="",
        comparisons={},
        environment=environment_of(run),
    )
    for control, splits in control_scores(run).items():
        title = control_title(control, run.title)
        yield from _on_splits(replace(entry, run=title, title=title, role="control"), splits)
    yield from _on_splits(replace(entry, resources=resources_of(record)), run.scores.splits)


def _on_splits(entry: Entry, splits: Mapping[str, Mapping[str, Score]]) -> Iterator[Entry]:
    known = {metric.name for metric in METRICS}
    for split, scores in splits.items():
        comparisons = {
            metric: Comparison(ours=summary_of(one), published=None, verdict="not published")
            for metric, one in scores.items()
            if metric in known
        }
        yield replace(entry, split=split, comparisons=comparisons)


def _movies(runs: Sequence[Run]) -> Iterator[MovieContent]:
    """Picture the movies of every run, but for those of the unchanged movie."""
    unchanged = [run for run in runs if run.record.algorithm == ANCHOR]
    for run in (one for one in runs if one not in unchanged):
        for name, movie in run.movies:
            whole = str(name)
            same = [one for one in unchanged if one.record.movies.get(whole) == movie]
            yield MovieContent(
                name=name.file,
                split=name.split,
                noisy=movie.noisy,
                predictions={run.title: run.folder.prediction(whole)},
                target=movie.target,
                frame_rate_hz=run.record.frame_rate_hz,
                fit_target=any(has_own_scale(one, whole) for one in same),
                frame_scores={run.title: read_frames(run.folder.frames).get(whole, {})},
            )


def _merged(movies: Sequence[MovieContent]) -> tuple[MovieContent, ...]:
    """Put pictures of the same movie into one."""
    found: dict[Path, MovieContent] = {}
    for movie in movies:
        one = found.setdefault(movie.noisy, movie)
        found[movie.noisy] = replace(
            one,
            predictions={**one.predictions, **movie.predictions},
            frame_scores={**one.frame_scores, **movie.frame_scores},
        )
    return tuple(found.values())
