"""Score a run as the published study did, faults included, and beside it by a corrected protocol."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from contract.stacks import open_stack
from evaluation.metrics import STUDY_PROTOCOL, score_movie, si_psnr
from evaluation.metrics.workers import over_files
from evaluation.scores.score import StackFrames, score_run
from evaluation.scores.tables import score_of
from orchestrator.documents import write_sealed
from orchestrator.errors import AlgorithmFailed
from orchestrator.records.record import MovieName, StudyBasis, StudyScores
from orchestrator.records.run import STUDY_SCORES_VERSION, read_study_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from contract.stacks import Stack
    from orchestrator.algorithms.experiments import Experiment, ScoreProtocolName
    from orchestrator.domain import Algorithm
    from orchestrator.records.record import MovieRecord, Score, Scores
    from orchestrator.records.run import Run

# Metrics of each protocol, in the order of the study's tables.
METRICS: Mapping[ScoreProtocolName, tuple[str, ...]] = {
    "movies": ("ssim", "microssim", "psnr", "si_psnr"),
    "images": ("si_psnr", "si_psnr_gain"),
}
_Table = dict[str, list[float]]


def score_study(run: Run, protocol: ScoreProtocolName, algorithms: Mapping[str, Algorithm]) -> StudyScores:
    """Score every prediction of a run by the study's protocol and write scores-study.json, where it is not there yet.

    Parameters
    ----------
    run : Run
        A finished run on a dataset with targets.
    protocol : {"movies", "images"}
        movies: both sides cast to uint16 as the study casts, data range 65535, MicroSSIM fitted to every 10th frame of
        each video (MOUSENEU_LP_EVALUATION.ipynb, cell 3). images: SI-PSNR of each image without a cast, and its gain
        over the noisy image (NIDDL_N2V_evaluation.ipynb, cell 1). Both at commit 50970a3 of the study.
    algorithms : mapping of str to Algorithm
        As in `score_run`, which gives the corrected scores.

    Returns
    -------
    StudyScores
        `study` and `corrected`: split to metric to mean, sd (ddof=1) and n; `copies`: names of images whose pixels,
        target included, are those of an image before them, and which the corrected protocol leaves out.

    Raises
    ------
    BadInput
        When a movie or target of the run is no longer where it was.
    AlgorithmFailed
        When a prediction holds values for which the study's cast is undefined.
    """
    corrected = score_run(run, algorithms)
    basis = StudyBasis(scores=corrected.basis, protocol=protocol, version=STUDY_SCORES_VERSION)
    known = read_study_scores(run.folder)
    if known is not None and known.basis == basis:
        return known
    movies = {str(name): movie for name, movie in run.movies if movie.target is not None}
    copies = tuple(_copies(movies)) if protocol == "images" else ()
    score = _SCORERS[protocol]
    tables = over_files(movies, lambda name, movie, cores: score(run.folder.prediction(name), movie, cores))
    kept = {name: table for name, table in tables.items() if name not in copies}
    scores = StudyScores(
        basis=basis,
        copies=copies,
        corrected=_corrected(protocol, corrected, kept),
        protocol=protocol,
        study=_splits(tables),
    )
    return write_sealed(run.folder.study_scores, scores)


def score_experiment(run: Run, experiment: Experiment, algorithms: Mapping[str, Algorithm]) -> None:
    """Score a run of an experiment: by the study's protocol where its movies have targets.

    Parameters
    ----------
    run : Run
        A finished run.
    experiment : Experiment
        Whose protocol.
    algorithms : mapping of str to Algorithm
        As in `score_run`.
    """
    if any(movie.target is not None for _, movie in run.movies):
        score_study(run, experiment.protocol, algorithms)
    else:
        score_run(run, algorithms)


def _score_movie(path: Path, movie: MovieRecord, threads: int) -> _Table:
    with open_stack(_target(movie)) as target, open_stack(path) as prediction:
        try:
            scores = score_movie(StackFrames(target), StackFrames(prediction), STUDY_PROTOCOL, threads=threads)
        except ValueError as error:
            message = f"{prediction.path}: cannot be scored as the study did: {error}"
            raise AlgorithmFailed(message, "The corrected protocol scores it: `calm evaluate`.") from error
    return {metric: getattr(scores.frames, metric).tolist() for metric in METRICS["movies"]}


def _score_image(path: Path, movie: MovieRecord, _threads: int) -> _Table:
    with (
        open_stack(_target(movie)) as target,
        open_stack(movie.noisy) as noisy,
        open_stack(path) as prediction,
    ):
        ours, base = _frame_scores(target, prediction), _frame_scores(target, noisy)
    return {"si_psnr": ours, "si_psnr_gain": [one - other for one, other in zip(ours, base, strict=True)]}


_SCORERS: Mapping[ScoreProtocolName, Callable[[Path, MovieRecord, int], _Table]] = {
    "movies": _score_movie,
    "images": _score_image,
}


def _target(movie: MovieRecord) -> Path:
    """Return the target of a movie that has one."""
    if movie.target is None:
        message = f"{movie.noisy}: expected a movie with a target"
        raise ValueError(message)
    return movie.target


def _frame_scores(target: Stack, prediction: Stack) -> list[float]:
    frames, others = StackFrames(target), StackFrames(prediction)
    return [si_psnr(frames[index], others[index]) for index in range(len(frames))]


def _corrected(protocol: ScoreProtocolName, scores: Scores, kept: Mapping[str, _Table]) -> dict[str, dict[str, Score]]:
    """Score without casts, by the range of the target, every image once."""
    if protocol == "images":
        return _splits(kept)
    return {split: {name: metrics[name] for name in METRICS["movies"]} for split, metrics in scores.splits.items()}


def _copies(movies: Mapping[str, MovieRecord]) -> list[str]:
    """Name images whose pixels, and those of their targets, are those of an image before them."""
    seen: set[str] = set()
    copies = []
    for name, movie in movies.items():
        pixels = _pixels(movie.noisy) + _pixels(_target(movie))
        if pixels in seen:
            copies.append(name)
        seen.add(pixels)
    return copies


def _pixels(path: Path) -> str:
    """Hash the pixels of a stack: copies may differ in their metadata."""
    with open_stack(path) as stack:
        digest = hashlib.sha256(f"{stack.shape} {stack.dtype}".encode())
        for block in stack.blocks(32):
            digest.update(block.tobytes())
    return digest.hexdigest()


def _splits(tables: Mapping[str, _Table]) -> dict[str, dict[str, Score]]:
    pooled: dict[str, _Table] = {}
    for name, table in tables.items():
        split = pooled.setdefault(MovieName.of(name).split, {})
        for metric, values in table.items():
            split.setdefault(metric, []).extend(values)
    return {
        split: {metric: score_of(values) for metric, values in metrics.items()} for split, metrics in pooled.items()
    }
