"""Any finished runs as one leaderboard: those with the settings of a published experiment stand beside its values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.report.board import CORRECTED, board_of, environment_of
from evaluation.report.content import Entry, MovieContent
from evaluation.report.gather import control_scores, control_title, has_own_scale, resources_of
from evaluation.scores.catalogue import METRICS
from evaluation.scores.score import score_run
from evaluation.scores.tables import read_frames
from evaluation.study.judge import score_of
from evaluation.study.protocol import score_study
from evaluation.study.verdict import Comparison
from orchestrator.algorithms import in_environment, resolve_params
from orchestrator.errors import BadInput
from orchestrator.experiments import ANCHOR, PRESET, Attempt
from orchestrator.paths import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evaluation.report.content import Leaderboard
    from orchestrator.domain import Algorithm
    from orchestrator.experiments import Experiment


def collect(
    runs: Sequence[RunFolder], experiments: Mapping[str, Experiment], algorithms: Mapping[str, Algorithm]
) -> Leaderboard:
    """Score runs where they are not scored, and put them and the controls on the same movies on one board.

    Parameters
    ----------
    runs : sequence of RunFolder
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
    everything = {run.path: run for run in (*runs, *_controls(runs, algorithms))}.values()
    of_experiments, others = by_experiment(tuple(everything), experiments, algorithms)
    for run in everything:
        score_run(run, algorithms)
    attempts = tuple(
        Attempt(experiment=experiments[name], runs=found, controls=_controls_of(found, others, algorithms))
        for name, found in of_experiments.items()
    )
    beside = {run.path for attempt in attempts for run in attempt.controls}
    others = tuple(run for run in others if run.path not in beside)
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
        record={**board.record, **{_title(run): _record(run) for run in others}},
    )


def by_experiment(
    runs: Sequence[RunFolder], experiments: Mapping[str, Experiment], algorithms: Mapping[str, Algorithm]
) -> tuple[dict[str, tuple[RunFolder, ...]], tuple[RunFolder, ...]]:
    """Sort runs into experiments, by the settings they were made with."""
    found: dict[str, dict[int, RunFolder]] = {}
    others = []
    for run in runs:
        record = _record(run)
        match = published_experiment(record, experiments, algorithms)
        if match is None or record["seed"] in found.setdefault(match.name, {}):
            others.append(run)
        else:
            found[match.name][record["seed"]] = run
    return {name: tuple(seeds.values()) for name, seeds in found.items()}, tuple(others)


def published_experiment(
    record: Mapping[str, Any], experiments: Mapping[str, Experiment], algorithms: Mapping[str, Algorithm]
) -> Experiment | None:
    """Return the experiment of the study whose data, software and settings a run has; None where there is none."""
    for one in experiments.values():
        theirs = one.algorithm, one.environment, one.dataset
        if theirs != (record["algorithm"], record.get("environment"), record["dataset"]):
            continue
        algorithm = in_environment(algorithms[one.algorithm], one.environment)
        if one.algorithm == ANCHOR or record["params"] == resolve_params(algorithm, PRESET, one.overrides):
            return one
    return None


def _controls(runs: Sequence[RunFolder], algorithms: Mapping[str, Algorithm]) -> Iterator[RunFolder]:
    """Find finished runs of controls on the same movies, among the outputs that the runs lie in."""
    names = [name for name, one in algorithms.items() if one.kind == "control"]
    for run in runs:
        inputs = _record(run)["inputs"]
        given = {_record(one)["algorithm"] for one in runs if _record(one)["inputs"] == inputs}
        for name in (one for one in names if one not in given):
            for path in sorted(run.path.parents[1].glob(f"{name}-{_record(run)['dataset']}-default/*/run.json")):
                control = RunFolder(path=path.parent)
                if _record(control)["inputs"] == inputs:
                    yield control
                    break


def _controls_of(
    found: Sequence[RunFolder], others: Sequence[RunFolder], algorithms: Mapping[str, Algorithm]
) -> tuple[RunFolder, ...]:
    """Return the first run of each control, with its default settings, on the movies of an experiment."""
    inputs = _record(found[0])["inputs"]
    controls: dict[str, RunFolder] = {}
    for run in others:
        record = _record(run)
        algorithm = algorithms.get(record["algorithm"])
        if algorithm is None or algorithm.kind != "control" or record["inputs"] != inputs:
            continue
        if record["params"] == resolve_params(algorithm, "default", {}):
            controls.setdefault(algorithm.name, run)
    return tuple(controls.values())


def _entries(run: RunFolder, algorithms: Mapping[str, Algorithm], studied: set[str]) -> Iterator[Entry]:
    record = _record(run)
    if record["algorithm"] not in algorithms:
        message = f"{run.path}: expected a run of {', '.join(algorithms)}, got one of {record['algorithm']}"
        raise BadInput(message, "Its folder in containers/ is not there any more.")
    dataset = f"{record['dataset']}, {CORRECTED}" if record["dataset"] in studied else record["dataset"]
    entry = Entry(
        run=_title(run),
        title=_title(run),
        role="control" if algorithms[record["algorithm"]].kind == "control" else "algorithm",
        dataset=dataset,
        split="",
        comparisons={},
        environment=environment_of(run),
    )
    for control, splits in control_scores(run).items():
        title = control_title(control, _title(run))
        yield from _on_splits(replace(entry, run=title, title=title, role="control"), splits)
    splits = json.loads(run.scores.read_text())["splits"]
    yield from _on_splits(replace(entry, resources=resources_of(record)), splits)


def _on_splits(entry: Entry, splits: Mapping[str, Mapping[str, Any]]) -> Iterator[Entry]:
    known = {metric.name for metric in METRICS}
    for split, scores in splits.items():
        comparisons = {
            metric: Comparison(ours=score_of(one), published=None, verdict="not published")
            for metric, one in scores.items()
            if metric in known
        }
        yield replace(entry, split=split, comparisons=comparisons)


def _movies(runs: Sequence[RunFolder]) -> Iterator[MovieContent]:
    """Picture the movies of every run, but for those of the unchanged movie."""
    unchanged = [run for run in runs if _record(run)["algorithm"] == ANCHOR]
    for run in (one for one in runs if one not in unchanged):
        record = _record(run)
        for name, movie in sorted(record["movies"].items()):
            split, _, file = name.partition("/")
            same = [one for one in unchanged if _record(one)["movies"].get(name, {}).get("noisy") == movie["noisy"]]
            yield MovieContent(
                name=file,
                split=split,
                noisy=Path(movie["noisy"]),
                predictions={_title(run): run.predictions(split) / file},
                target=None if movie["target"] is None else Path(movie["target"]),
                frame_rate_hz=record["frame_rate_hz"],
                fit_target=any(has_own_scale(one, name) for one in same),
                frame_scores={_title(run): read_frames(run.frames).get(name, {})},
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


def _title(run: RunFolder) -> str:
    return f"{run.path.parent.name} {run.path.name[:6]}"


def _record(run: RunFolder) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(run.record.read_text())
    return record
