"""Score the predictions of a finished run, and beside them the controls that its prediction wrote."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from contract.files import sha256
from contract.stacks import open_stack
from evaluation.scores.activity import activity_of
from evaluation.scores.tables import MovieTable, check_frames, finite, summaries_of, write_frames
from orchestrator.documents import write_sealed
from orchestrator.errors import AlgorithmFailed, BadInput
from orchestrator.records.record import ScoreBasis, Scores, ScoreTable, input_names
from orchestrator.records.run import SCORES_VERSION, read_scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from contract.stacks import Stack
    from evaluation.metrics import MovieScores
    from orchestrator.domain import Algorithm
    from orchestrator.records.record import FileState, MovieRecord, Record
    from orchestrator.records.run import Run

FIT_EVERY = 10  # MicroSSIM is fitted to every 10th frame, as in the study
_BLOCK_FRAMES = 32
_OF_RESIDUAL = (
    *("sd", "noise_gain", "autocorrelation_t", "autocorrelation_y", "autocorrelation_x"),
    *("correlation", "temporal_correlation"),
)


class StackFrames:
    """A stack as the metrics read it: frame by frame, a few in memory, NaN in place of infinity.

    Parameters
    ----------
    stack : Stack
        Open stack of shape (T, Y, X).
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._start = 0
        self._block = np.empty((0, *stack.shape[1:]), stack.dtype)

    def __len__(self) -> int:
        return self._stack.shape[0]

    def __getitem__(self, index: int, /) -> np.ndarray:
        if not self._start <= index < self._start + len(self._block):
            self._start = index
            self._block = _without_infinity(self._stack.frames(index, min(index + _BLOCK_FRAMES, len(self))))
        frame: np.ndarray = self._block[index - self._start]
        return frame


def score_run(run: Run, algorithms: Mapping[str, Algorithm]) -> Scores:
    """Score every prediction of a run and write scores.json and frames.csv; a run scored before is left alone.

    Parameters
    ----------
    run : Run
        A finished run.
    algorithms : mapping of str to Algorithm
        All algorithms; that of the run says which controls its prediction may have written.

    Returns
    -------
    Scores
        What scores.json holds; `controls` holds the scores of each control, as `movies` and `splits` hold those
        of the predictions.

    Raises
    ------
    BadInput
        When the run is not as it was made, a movie is no longer where it was, or scores.json is damaged.
    AlgorithmFailed
        When a prediction holds pixels that are not finite numbers.
    """
    run.check()
    folder, record = run.folder, run.record
    controls = _controls(run, algorithms)
    basis = _basis(record, controls)
    known = read_scores(folder)
    if known is not None and known.basis == basis:
        check_frames(folder, known)
        return known
    from evaluation.metrics.workers import over_files  # noqa: PLC0415 - a scored run needs no SciPy

    for name, movie in record.movies.items():
        _check_movie(name, movie, record.inputs)

    def scored(paths: Mapping[str, Path], to: Path) -> ScoreTable:
        movies = {name: record.movies[name] for name in paths}
        rate_hz = record.frame_rate_hz
        tables = over_files(movies, lambda name, movie, cores: _score(paths[name], movie, rate_hz, cores))
        write_frames(to, tables)
        return summaries_of(tables)

    own = scored({name: folder.prediction(name) for name in record.movies}, folder.frames)
    beside = {name: scored(paths, folder.control_frames(name)) for name, paths in controls.items()}
    tables = (folder.frames, *map(folder.control_frames, controls))
    frames = {path.name: sha256(path) for path in tables}
    scores = Scores(basis=basis, controls=beside, frames=frames, movies=own.movies, splits=own.splits)
    return write_sealed(folder.scores, scores)


def _controls(run: Run, algorithms: Mapping[str, Algorithm]) -> dict[str, dict[str, Path]]:
    """Find the movies of each control that the algorithm declares; a parameter may have left them out."""
    algorithm = algorithms.get(run.record.algorithm)
    declared = sorted(algorithm.controls) if algorithm is not None else []
    found = {}
    for control in declared:
        paths = {name: run.folder.control(control, name) for name in run.record.movies}
        found[control] = {name: path for name, path in paths.items() if run.made(path)}
    return {control: paths for control, paths in found.items() if paths}


def _basis(record: Record, controls: Iterable[str]) -> ScoreBasis:
    """Return what the scores depend on: the run; targets and truths by path, size and time; controls."""
    movies = record.movies
    return ScoreBasis(
        record=record.digest,
        controls=tuple(sorted(controls)),
        targets={name: state_of(movie.target or movie.noisy) for name, movie in movies.items()},
        truths={name: state_of(movie.truth) for name, movie in movies.items() if movie.truth is not None},
        version=SCORES_VERSION,
    )


def state_of(path: Path) -> FileState:
    """Return path, size and time of a movie; BadInput where it is no longer there."""
    try:
        state = path.stat()
    except OSError as error:
        message = f"{path}: expected the file this run was made with, got nothing"
        raise BadInput(message, "Put it back, or run the algorithm again on the new path.") from error
    return path, state.st_size, state.st_mtime_ns


@cache
def _sum(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - they tell one state of a file from another
    """Return the SHA-256 of a movie, which a run and its controls all ask for."""
    return sha256(path)


def _check_movie(name: str, movie: MovieRecord, inputs: Mapping[str, str]) -> None:
    """Refuse to compare a prediction with a movie that its run was not made with."""
    for path, stored in zip(movie.files, input_names(name, movie.files), strict=True):
        if stored in inputs and _sum(*state_of(path)) != inputs[stored]:
            message = f"{path}: expected the movie this run was made with, got another of the same name"
            raise BadInput(message, "Put it back, or run the algorithm on the place where it lies now.")


def _score(path: Path, movie: MovieRecord, frame_rate_hz: float | None, threads: int) -> MovieTable:
    with open_stack(path) as prediction, open_stack(movie.noisy) as noisy:
        _check_finite(prediction)
        if movie.target is None:
            return _without_target(noisy, prediction, frame_rate_hz)
        with open_stack(movie.target) as target:
            table = _with_target(target, prediction, noisy, threads)
            more = {} if movie.truth is None else finite(activity_of(movie.truth, target, prediction))
            more |= finite({"mean_shift": _mean(prediction) - _mean(noisy)})
    return replace(table, movie={**table.movie, **more})


def _check_finite(prediction: Stack) -> None:
    """Refuse a prediction with pixels that are no numbers: metrics leave such frames out, and praise the others."""
    if prediction.dtype.kind != "f":
        return
    start = 0
    for block in prediction.blocks(_BLOCK_FRAMES):
        sound = np.isfinite(block).all(axis=(1, 2))
        if not sound.all():
            frame = start + int(np.argmin(sound))
            message = f"{prediction.path}: frame {frame}: expected finite numbers, got pixels that are none"
            raise AlgorithmFailed(message, "No score is defined for it; try another preset, parameter or seed.")
        start += len(block)


def _with_target(target: Stack, prediction: Stack, noisy: Stack, threads: int) -> MovieTable:
    from evaluation.metrics import ScoreProtocol, score_movie  # noqa: PLC0415 - a scored run needs no SciPy

    data_range = _range(target)
    protocol = ScoreProtocol(data_range=data_range, cast=None, every=FIT_EVERY)
    scores: MovieScores = score_movie(StackFrames(target), StackFrames(prediction), protocol, threads=threads)
    frames = {name: getattr(scores.frames, name).tolist() for name in ("psnr", "si_psnr", "ssim", "microssim")}
    movie = {
        "ssnr": scores.snr.spatial,
        "tsnr": scores.snr.temporal,
        "stsnr": scores.snr.spatiotemporal,
        "ssnr_centred": scores.snr.spatial_centred,
        "tsnr_centred": scores.snr.temporal_centred,
        "stsnr_centred": scores.snr.spatiotemporal_centred,
        "temporal_correlation": scores.temporal_correlation,
        "gain": scores.regression.gain,
        "offset": scores.regression.offset,
        **_unbiased(target, noisy, scores, data_range),
    }
    return MovieTable(frames=frames, movie=finite(movie), data_range=data_range)


def _unbiased(target: Stack, noisy: Stack, scores: MovieScores, data_range: float) -> dict[str, float]:
    """Take the target's own noise out of the error, in the units of the noisy movie; where a detector recorded it.

    A target of floating-point numbers is a simulator's mean or an average, and a single frame tells no noise.
    """
    from evaluation.metrics import PixelSums, regression, umse, upsnr  # noqa: PLC0415 - a scored run needs no SciPy

    if target.dtype.kind not in "iu" or not math.isfinite(scores.target_noise):
        return {}
    sums = PixelSums()
    for block, raw in zip(target.blocks(_BLOCK_FRAMES), noisy.blocks(_BLOCK_FRAMES), strict=True):
        for one, other in zip(block, raw, strict=True):
            sums.feed(one, _without_infinity(other))
    line = regression(sums.moments())
    error = umse(scores.pixels, scores.target_noise, gain=line.gain, offset=line.offset)
    peak = abs(line.gain) * data_range
    return {"umse": error, "upsnr": upsnr(error, peak) if peak > 0 else math.nan}


def _without_target(noisy: Stack, prediction: Stack, frame_rate_hz: float | None) -> MovieTable:
    from evaluation.metrics import ResidualScorer  # noqa: PLC0415 - a scored run needs no SciPy

    scorer = ResidualScorer(frame_rate_hz)
    for before, after in zip(noisy.blocks(_BLOCK_FRAMES), prediction.blocks(_BLOCK_FRAMES), strict=True):
        scorer.feed(_without_infinity(before), after)
    scores = scorer.scores()
    movie = {f"residual_{name}": getattr(scores, name) for name in _OF_RESIDUAL}
    movie |= {
        "mean_shift": -scores.mean,
        "noise_level": scores.noise_level_after,
        "temporal_smoothness": scores.temporal_smoothness,
    }
    frames = {"residual_mean": scores.frame_mean.tolist()}
    return MovieTable(frames=frames, movie=finite(movie), data_range=None)


def _without_infinity(values: np.ndarray) -> np.ndarray:
    """Put NaN, which every metric passes on without a word, in place of infinity, which overflows on its way."""
    if values.dtype.kind == "f":
        values[np.isinf(values)] = np.nan
    return values


def _mean(stack: Stack) -> float:
    total = math.fsum(float(block.sum(dtype=np.float64)) for block in stack.blocks(_BLOCK_FRAMES))
    return total / math.prod(stack.shape)


def _range(target: Stack) -> float:
    low, high = math.inf, -math.inf
    for block in target.blocks(_BLOCK_FRAMES):
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    if high <= low:
        message = f"{target.path}: expected a target with structure, got one grey value, {low}"
        raise BadInput(message, "No metric is defined against a constant target.")
    return high - low
