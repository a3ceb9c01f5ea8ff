"""Scores of movies as files: a summary of each movie and split for scores.json, a row of each frame as CSV."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract.files import atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class MovieTable:
    """Scores of one movie."""

    frames: Mapping[str, list[float]]
    movie: Mapping[str, float | None]
    data_range: float | None


def summaries_of(tables: Mapping[str, MovieTable]) -> dict[str, Any]:
    """Summarise the scores of movies, for JSON."""
    return {
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
        part.write_text(text.getvalue())


def read_frames(path: Path) -> dict[str, dict[str, list[float]]]:
    """Return what `write_frames` wrote: movie name to metric to one value per frame."""
    found: dict[str, dict[str, list[float]]] = {}
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            metrics = found.setdefault(row["movie"], {})
            for metric, value in row.items():
                if metric not in {"movie", "frame"} and value != "":
                    metrics.setdefault(metric, []).append(float(value))
    return found


def finite(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Put None, JSON's null, in place of what is not a finite number."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}


def _summary(values: list[float]) -> dict[str, Any]:
    from evaluation.metrics import summarise  # noqa: PLC0415 - a scored run needs no SciPy

    summary = summarise(values)
    return {**finite({"mean": summary.mean, "sd": summary.sd}), "n": summary.n}


def _bounds(values: list[float], movies: int) -> dict[str, float | None]:
    from evaluation.metrics import frames_interval  # noqa: PLC0415 - a scored run needs no SciPy

    interval = frames_interval(values, movies)
    return finite({"low": interval.low, "high": interval.high})


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
