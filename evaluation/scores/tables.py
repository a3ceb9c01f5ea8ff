"""Scores of movies as files: a summary of each movie and split for scores.json, a row of each frame as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from contract.files import atomic, sha256
from orchestrator.documents import read_text
from orchestrator.errors import BadInput
from orchestrator.records.record import MovieName, MovieScores, Score, ScoreTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from evaluation.metrics import Summary
    from orchestrator.paths import RunFolder
    from orchestrator.records.record import Scores

FRAMES_LIMIT_BYTES = 2**30  # ten million frames
_HINT = "Delete it and scores.json beside it; `calm evaluate RUN` scores the run again."


@dataclass(frozen=True, kw_only=True, slots=True)
class MovieTable:
    """Scores of one movie."""

    frames: Mapping[str, list[float]]
    movie: Mapping[str, float | None]
    data_range: float | None


def summaries_of(tables: Mapping[str, MovieTable]) -> ScoreTable:
    """Summarise the scores of movies."""
    return ScoreTable(
        movies={
            name: MovieScores(
                data_range=table.data_range,
                movie=dict(table.movie),
                frames={metric: score_of(values) for metric, values in table.frames.items()},
            )
            for name, table in tables.items()
        },
        splits=_splits(tables),
    )


def write_frames(path: Path, tables: Mapping[str, MovieTable]) -> None:
    """Write the scores of every frame: movie, frame, and a column for each metric, empty where it has none."""
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
        part.write_text(text.getvalue(), encoding="utf-8")


def check_frames(folder: RunFolder, scores: Scores) -> None:
    """Refuse tables of frames that are not those written with scores.json."""
    for name, digest in scores.frames.items():
        path = folder.path / name
        if not path.is_file() or sha256(path) != digest:
            message = f"{path}: expected the table that was written with scores.json, got {_instead(path)}"
            raise BadInput(message, _HINT)


def _instead(path: Path) -> str:
    return "other bytes" if path.is_file() else "none"


def read_frames(path: Path) -> dict[str, dict[str, list[float]]]:
    """Return what `write_frames` wrote: movie name to metric to one value per frame.

    Raises
    ------
    BadInput
        When the file is not such a table; the message names the line.
    """
    found: dict[str, dict[str, list[float]]] = {}
    rows = csv.reader(io.StringIO(read_text(path, _HINT, FRAMES_LIMIT_BYTES)), strict=True)
    try:
        movie, frame, *columns = next(rows)
        if (movie, frame) != ("movie", "frame") or not columns or len({*columns}) != len(columns):
            message = f"the columns are {movie}, {frame}, {', '.join(columns)}"
            raise ValueError(message)
        for name, _, *values in rows:
            metrics = found.setdefault(name, {})
            for column, value in zip(columns, values, strict=True):
                if value:
                    metrics.setdefault(column, []).append(float(value))
    except (csv.Error, ValueError, StopIteration) as error:
        message = f"{path}: line {rows.line_num}: expected a movie, a frame and a number for each metric, got: {error}"
        raise BadInput(message, _HINT) from error
    return found


def finite(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Put None, JSON's null, in place of what is not a finite number."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}


def score_of(values: list[float]) -> Score:
    """Summarise values for JSON."""
    from evaluation.metrics import summarise  # noqa: PLC0415 - a scored run needs no SciPy

    summary = summarise(values)
    return Score(**finite({"mean": summary.mean, "sd": summary.sd}), n=summary.n)


def summary_of(score: Score) -> Summary:
    """Return a summary from its JSON, where null stands for a value that is not defined."""
    from evaluation.metrics import Summary  # noqa: PLC0415 - a scored run needs no SciPy

    mean, sd, low, high = (math.nan if one is None else one for one in (score.mean, score.sd, score.low, score.high))
    return Summary(mean=mean, sd=sd, n=score.n, low=low, high=high)


def _splits(tables: Mapping[str, MovieTable]) -> dict[str, dict[str, Score]]:
    """Pool the frames of all movies of a split, and average movie metrics over its movies."""
    pooled: dict[str, dict[str, list[float]]] = {}
    movies: Counter[str] = Counter()
    for name, table in tables.items():
        split = MovieName.of(name).split
        metrics = pooled.setdefault(split, {})
        movies[split] += 1
        for metric, values in table.frames.items():
            metrics.setdefault(metric, []).extend(values)
        for metric, value in table.movie.items():
            metrics.setdefault(metric, []).append(math.nan if value is None else value)
    return {
        split: {metric: _with_bounds(values, movies[split]) for metric, values in metrics.items()}
        for split, metrics in pooled.items()
    }


def _with_bounds(values: list[float], movies: int) -> Score:
    from evaluation.metrics import frames_interval  # noqa: PLC0415 - a scored run needs no SciPy

    interval = frames_interval(values, movies)
    return replace(score_of(values), **finite({"low": interval.low, "high": interval.high}))
