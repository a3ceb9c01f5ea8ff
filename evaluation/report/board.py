"""From attempts to verdicts: our scores beside the published ones, for the terminal and the leaderboard page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evaluation.report.content import Entry, Leaderboard, MovieContent
from evaluation.report.gather import control_scores, control_title, resources_of
from evaluation.scores.catalogue import METRICS, Metric
from evaluation.scores.tables import read_frames, summary_of
from evaluation.study.judge import WITHOUT_TARGET, judged, study_scores
from evaluation.study.protocol import METRICS as SCORED
from evaluation.study.verdict import Comparison, over_seeds
from orchestrator.documents import plain
from orchestrator.experiments import ANCHOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.experiments import Attempt, Experiment
    from orchestrator.records import Score
    from orchestrator.run import Run


_DECIMALS = 3  # as the study prints its table 2
_GAIN = Metric(
    name="si_psnr_gain",
    title="SI-PSNR gain",
    unit="dB",
    better="higher",
    over="files",
    decimals=_DECIMALS,
    explanation="SI-PSNR of the prediction minus that of the noisy image, image by image.",
)
_COLUMNS = (*(replace(metric, decimals=_DECIMALS) for metric in METRICS), _GAIN)
CORRECTED = "corrected protocol"
_PER_FRAME = "si_psnr"


def board_of(attempts: Sequence[Attempt], experiments: Mapping[str, Experiment]) -> Leaderboard:
    """Gather what the verdict table and the leaderboard page show.

    Parameters
    ----------
    attempts : sequence of Attempt
        How each experiment ended.
    experiments : mapping of str to Experiment
        All of them.

    Returns
    -------
    Leaderboard
        Entries by the study's protocol, controls among them, and the same by the corrected protocol.
    """
    entries = [entry for attempt in attempts for entry in _entries(attempt, experiments)]
    entries += [entry for attempt, run in _other_controls(attempts) for entry in _control_entries(attempt, run)]
    return Leaderboard(
        title="Published experiments, run again",
        subtitle="ours beside the values of the study; the rule of the verdicts is in docs/verdicts.md",
        metrics=_COLUMNS,
        entries=tuple(entries),
        movies=tuple(_movies(attempts)),
        warnings=tuple(f"{one.experiment.name}: {one.changes}" for one in attempts if one.changes),
        record={one.experiment.name: [plain(run.record) for run in one.runs] for one in attempts},
    )


def reasons(board: Leaderboard) -> tuple[str, ...]:
    """Return in what each entry ran and why each verdict is as it is, a line each, in the order of the entries."""
    lines: dict[str, None] = {}
    for entry in board.entries:
        if entry.environment:
            lines[f"{entry.title}: ran as {entry.environment}"] = None
        for metric, one in entry.comparisons.items():
            if one.reason and CORRECTED not in entry.dataset and one.published is not None:
                lines[f"{entry.title} {entry.split} {metric}: {one.verdict}: {one.reason}"] = None
            elif one.reason and CORRECTED not in entry.dataset:
                lines[f"{entry.title}: {one.verdict}: {one.reason}"] = None
    return tuple(lines)


def _entries(attempt: Attempt, experiments: Mapping[str, Experiment]) -> Iterator[Entry]:
    for split, comparisons in judged(attempt, experiments).items():
        yield _entry(attempt, split, comparisons)
    yield from _written_controls(attempt)
    yield from _corrected_entries(attempt, attempt.experiment.name, attempt.runs)


def _entry(attempt: Attempt, split: str, comparisons: Mapping[str, Comparison]) -> Entry:
    experiment = attempt.experiment
    return Entry(
        run=experiment.name,
        title=experiment.name,
        role="control" if experiment.algorithm == ANCHOR else "algorithm",
        dataset=experiment.dataset,
        split=split,
        comparisons=comparisons,
        status=attempt.status,
        reason=attempt.reason,
        environment=environment_of(attempt.runs[0]) if attempt.runs else "",
        resources=resources_of(attempt.runs[0].record) if attempt.runs else None,
    )


def _corrected_entries(attempt: Attempt, title: str, runs: Sequence[Run]) -> Iterator[Entry]:
    found = [run.study_scores for run in runs if run.study_scores is not None]
    for split in found[0].corrected if found else ():
        scores = [one.corrected[split] for one in found]
        comparisons = {
            metric: Comparison(
                ours=over_seeds([summary_of(one[metric]) for one in scores]),
                published=None,
                verdict="not comparable",
                reason="another protocol than the study's",
            )
            for metric in scores[0]
        }
        entry = _entry(attempt, split, comparisons)
        copies = len(found[0].copies)
        without = f", without {copies} copies" if copies else ""
        yield replace(entry, run=title, title=title, dataset=f"{entry.dataset}, {CORRECTED}{without}")


def _written_controls(attempt: Attempt) -> Iterator[Entry]:
    """Yield the controls that prediction of the first run wrote beside its result, which only `score_run` scores."""
    for run in attempt.runs[:1]:
        for control, splits in control_scores(run).items():
            name = control_title(control, attempt.experiment.name)
            plain = replace(attempt, status="ok", reason="")
            for split, metrics in splits.items():
                entry = replace(_control_entry(plain, name, split, metrics), resources=None)
                corrected = f"{entry.dataset}, {CORRECTED}" if run.study_scores is not None else entry.dataset
                yield replace(entry, dataset=corrected)


def _other_controls(attempts: Sequence[Attempt]) -> Iterator[tuple[Attempt, Run]]:
    """Yield the runs of controls that are no experiment themselves, each once."""
    seen = {run.folder.path for attempt in attempts for run in attempt.runs}
    for attempt in attempts:
        for run in attempt.controls:
            if run.folder.path not in seen:
                seen.add(run.folder.path)
                yield attempt, run


def _control_entries(attempt: Attempt, run: Run) -> Iterator[Entry]:
    name = _control_title(attempt, run)
    plain = replace(attempt, runs=(run,), status="ok", reason="")
    for split, metrics in study_scores(run).items():
        yield _control_entry(plain, name, split, metrics)
    for entry in _corrected_entries(plain, name, (run,)):
        yield replace(entry, role="control")


def _control_entry(attempt: Attempt, name: str, split: str, metrics: Mapping[str, Score]) -> Entry:
    comparisons = {
        metric: Comparison(ours=summary_of(one), published=None, verdict="not published", reason="a control")
        for metric, one in metrics.items()
        if metric in (*SCORED[attempt.experiment.protocol], *WITHOUT_TARGET)
    }
    return replace(_entry(attempt, split, comparisons), run=name, title=name, role="control")


def _movies(attempts: Sequence[Attempt]) -> Iterator[MovieContent]:
    """Picture every movie once, with the first run of each experiment on it and the controls."""
    seen: set[Path] = set()
    for attempt in attempts:
        for run in attempt.runs[:1]:
            for name, movie in run.movies:
                if movie.noisy in seen:
                    continue
                seen.add(movie.noisy)
                drawn = dict(_drawn(attempts, attempt.experiment.dataset, str(name)))
                yield MovieContent(
                    name=name.file,
                    split=name.split,
                    noisy=movie.noisy,
                    predictions={title: other.folder.prediction(str(name)) for title, other in drawn.items()},
                    target=movie.target,
                    frame_rate_hz=run.record.frame_rate_hz,
                    fit_target=True,  # the target of MOUSENEU_LP comes from a ten times brighter path
                    frame_scores=dict(_frame_scores(drawn, str(name))),
                )


def _drawn(attempts: Sequence[Attempt], dataset: str, movie: str) -> Iterator[tuple[str, Run]]:
    """Yield the runs that predicted a movie, by title, but for the unchanged movie: that is `noisy`."""
    runs = [(one, one.experiment.name, one.runs[0]) for one in attempts if one.runs]
    controls = [(one, _control_title(one, run), run) for one, run in _other_controls(attempts)]
    for attempt, title, run in (*runs, *controls):
        on_it = attempt.experiment.dataset == dataset and run.folder.prediction(movie).exists()
        if on_it and run.record.algorithm != ANCHOR:
            yield title, run


def _frame_scores(runs: Mapping[str, Run], movie: str) -> Iterator[tuple[str, Mapping[str, list[float]]]]:
    """Yield SI-PSNR of every frame, the one score for which neither cast nor data range of the study matter."""
    for title, run in runs.items():
        scores = read_frames(run.folder.frames).get(movie, {}) if run.folder.frames.exists() else {}
        if _PER_FRAME in scores:
            yield title, {_PER_FRAME: scores[_PER_FRAME]}


def _control_title(attempt: Attempt, run: Run) -> str:
    return f"{run.record.algorithm} ({attempt.experiment.dataset})"


def environment_of(run: Run) -> str:
    """Say in which software a run was made: algorithm, upstream with version, environment."""
    record = run.record
    upstream = record.upstream
    return f"{record.algorithm}, {upstream.name} {upstream.version}, environment {record.environment}"
