"""Score the predictions of a finished run: one summary for each movie and split, one row for each frame."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.files import atomic, write_json
from contract.stacks import open_stack
from orchestrator.errors import BadInput
from orchestrator.truth import activity_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.stacks import Stack
    from orchestrator.layout import RunFolder
    from orchestrator.metrics import MovieScores

VERSION = 2  # of the scores; a change scores every run again
FIT_EVERY = 10  # MicroSSIM is fitted to every 10th frame, as in the study
_BLOCK_FRAMES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class MovieTable:
    """Scores of one movie.

    Parameters
    ----------
    frames : mapping of str to list
        One value per frame for each frame metric.
    movie : mapping of str to float or None
        Metrics of the whole movie; None where one is not defined.
    data_range : float or None
        Intensity range used by psnr and ssim: largest minus smallest target value; None without a target.
    """

    frames: Mapping[str, list[float]]
    movie: Mapping[str, float | None]
    data_range: float | None


class StackFrames:
    """A stack as the metrics read it: frame by frame, a few in memory.

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
            self._block = self._stack.frames(index, min(index + _BLOCK_FRAMES, len(self)))
        frame: np.ndarray = self._block[index - self._start]
        return frame


def score_run(folder: RunFolder) -> Mapping[str, Any]:
    """Score every prediction of a run and write scores.json and frames.csv; a run scored before is left alone.

    Parameters
    ----------
    folder : RunFolder
        A finished run.

    Returns
    -------
    mapping
        The document of scores.json.

    Raises
    ------
    BadInput
        When a movie of the run is no longer where it was.
    """
    record = json.loads(folder.record.read_text())
    basis = _basis(record)
    known = _known(folder)
    if known is not None and known["basis"] == basis:
        return known
    from orchestrator.metrics.workers import over_files  # noqa: PLC0415 - a scored run needs no SciPy

    rate_hz = record["frame_rate_hz"]
    tables = over_files(record["movies"], lambda name, movie, cores: _score(folder, name, movie, rate_hz, cores))
    document = {
        "basis": basis,
        "movies": {
            name: {
                "data_range": table.data_range,
                "movie": dict(table.movie),
                "frames": {metric: _summary(values) for metric, values in table.frames.items()},
            }
            for name, table in tables.items()
        },
        "splits": _splits(tables),
    }
    _write_frames(folder.frames, tables)
    write_json(folder.scores, document)
    return document


def read_frames(folder: RunFolder) -> dict[str, dict[str, list[float]]]:
    """Return the scores of every frame: movie name to metric to one value per frame."""
    found: dict[str, dict[str, list[float]]] = {}
    with folder.frames.open(newline="") as stream:
        for row in csv.DictReader(stream):
            metrics = found.setdefault(row["movie"], {})
            for metric, value in row.items():
                if metric not in {"movie", "frame"} and value != "":
                    metrics.setdefault(metric, []).append(float(value))
    return found


def _basis(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the scores depend on beside the run itself: targets and truths, by path, size and time."""
    movies = record["movies"]
    targets = {name: _state(Path(movie["target"] or movie["noisy"])) for name, movie in movies.items()}
    truths = {name: _state(Path(movie["truth"])) for name, movie in movies.items() if movie.get("truth")}
    return {"targets": targets, "truths": truths, "version": VERSION}


def _state(path: Path) -> list[Any]:
    try:
        state = path.stat()
    except OSError as error:
        message = f"{path}: expected the file this run was made with, got nothing"
        raise BadInput(message, "Put it back, or run the algorithm again on the new path.") from error
    return [str(path), state.st_size, state.st_mtime_ns]


def _known(folder: RunFolder) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(folder.scores.read_text())
    except (OSError, ValueError):
        return None
    return document


def _score(
    folder: RunFolder, name: str, movie: Mapping[str, Any], frame_rate_hz: float | None, threads: int
) -> MovieTable:
    split, _, file = name.partition("/")
    with open_stack(folder.predictions(split) / file) as prediction:
        if movie["target"] is None:
            with open_stack(Path(movie["noisy"])) as noisy:
                return _without_target(noisy, prediction, frame_rate_hz)
        with open_stack(Path(movie["target"])) as target, open_stack(Path(movie["noisy"])) as noisy:
            table = _with_target(target, prediction, noisy, threads)
            truth = movie.get("truth")
            more = {} if truth is None else _finite(activity_of(Path(truth), target, prediction))
    return replace(table, movie={**table.movie, **more})


def _with_target(target: Stack, prediction: Stack, noisy: Stack, threads: int) -> MovieTable:
    from orchestrator.metrics import ScoreProtocol, score_movie  # noqa: PLC0415 - a scored run needs no SciPy

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
    return MovieTable(frames=frames, movie=_finite(movie), data_range=data_range)


def _unbiased(target: Stack, noisy: Stack, scores: MovieScores, data_range: float) -> dict[str, float]:
    """Take the target's own noise out of the error, in the units of the noisy movie; where a detector recorded it.

    A target of floating-point numbers is a simulator's mean or an average, and a single frame tells no noise.
    """
    from orchestrator.metrics import PixelSums, regression, umse, upsnr  # noqa: PLC0415 - a scored run needs no SciPy

    if target.dtype.kind not in "iu" or not math.isfinite(scores.target_noise):
        return {}
    sums = PixelSums()
    for block, raw in zip(target.blocks(_BLOCK_FRAMES), noisy.blocks(_BLOCK_FRAMES), strict=True):
        for one, other in zip(block, raw, strict=True):
            sums.feed(one, other)
    line = regression(sums.moments())
    error = umse(scores.pixels, scores.target_noise, gain=line.gain, offset=line.offset)
    peak = abs(line.gain) * data_range
    return {"umse": error, "upsnr": upsnr(error, peak) if peak > 0 else math.nan}


def _without_target(noisy: Stack, prediction: Stack, frame_rate_hz: float | None) -> MovieTable:
    from orchestrator.metrics import ResidualScorer  # noqa: PLC0415 - a scored run needs no SciPy

    scorer = ResidualScorer(frame_rate_hz)
    for before, after in zip(noisy.blocks(_BLOCK_FRAMES), prediction.blocks(_BLOCK_FRAMES), strict=True):
        scorer.feed(before, after)
    scores = scorer.scores()
    movie = {
        f"residual_{name}": getattr(scores, name)
        for name in (
            "sd",
            "noise_gain",
            "autocorrelation_t",
            "autocorrelation_y",
            "autocorrelation_x",
            "correlation",
            "temporal_correlation",
        )
    }
    movie |= {"noise_level": scores.noise_level_after, "temporal_smoothness": scores.temporal_smoothness}
    frames = {"residual_mean": scores.frame_mean.tolist()}
    return MovieTable(frames=frames, movie=_finite(movie), data_range=None)


def _range(target: Stack) -> float:
    low, high = math.inf, -math.inf
    for block in target.blocks(_BLOCK_FRAMES):
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    if high <= low:
        message = f"{target.path}: expected a target with structure, got one grey value, {low}"
        raise BadInput(message, "No metric is defined against a constant target.")
    return high - low


def _finite(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}


def _summary(values: list[float]) -> dict[str, Any]:
    from orchestrator.metrics import summarise  # noqa: PLC0415 - a scored run needs no SciPy

    summary = summarise(values)
    return {**_finite({"mean": summary.mean, "sd": summary.sd}), "n": summary.n}


def _bounds(values: list[float], movies: int) -> dict[str, float | None]:
    from orchestrator.metrics import frames_interval  # noqa: PLC0415 - a scored run needs no SciPy

    interval = frames_interval(values, movies)
    return _finite({"low": interval.low, "high": interval.high})


def _splits(tables: Mapping[str, MovieTable]) -> dict[str, Any]:
    """Pool the frames of all movies of a split, and average movie metrics over its movies."""
    pooled: dict[str, dict[str, list[float]]] = {}
    movies: dict[str, int] = {}
    for name, table in tables.items():
        split = pooled.setdefault(name.partition("/")[0], {})
        movies[name.partition("/")[0]] = movies.get(name.partition("/")[0], 0) + 1
        for metric, values in table.frames.items():
            split.setdefault(metric, []).extend(values)
        for metric, value in table.movie.items():
            split.setdefault(metric, []).append(math.nan if value is None else value)
    return {
        split: {metric: _summary(values) | _bounds(values, movies[split]) for metric, values in metrics.items()}
        for split, metrics in pooled.items()
    }


def _write_frames(path: Path, tables: Mapping[str, MovieTable]) -> None:
    columns = sorted({metric for table in tables.values() for metric in table.frames})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["movie", "frame", *columns])
    for name, table in tables.items():
        length = len(next(iter(table.frames.values())))
        for frame in range(length):
            values = [repr(table.frames[column][frame]) if column in table.frames else "" for column in columns]
            writer.writerow([name, frame, *values])
    with atomic(path) as part:
        part.write_text(text.getvalue())
