"""Plots that a run declares itself: a list of figures in `figures.json` of one of its job folders.

Every figure has `title`, `note` (a sentence), `x` and `y` (labels with units) and

- `curves`: a list of {name, kind, x, y}, kind being "line", "points" or "bars" (y over bins centred at x), or
- `scored` in place of `y` and `curves`: a list of {movie, file, at, frames}. `file`, relative to figures.json, is a
  .npy of shape (len(at), len(frames), Y, X), intensity units: what the prediction of these frames was after `at` of
  something. It is scored against the target here, as an image never sees one, and left out where there is none.

Which algorithm declares what is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluation.metrics import si_psnr
from evaluation.report.content import TARGET, kind_of
from evaluation.report.movie import open_movie
from evaluation.report.plots import Plot, Series, wants_log
from orchestrator.records.record import Curve
from orchestrator.records.run import read_figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from evaluation.report.content import MovieContent, Row
    from orchestrator.records.record import ScoredCurve

CURVES = 6  # of one plot; more cannot be told apart
HEIGHT = 240  # px
_INSIDE = 1 - 1e-6  # the corners of two bars side by side are two points


def declared_plots(rows: Sequence[Row], movies: Sequence[MovieContent]) -> list[Plot]:
    """Plot what runs declare."""
    return [plot for row in rows for split, path in row.figures.items() for plot in _of_file(path, split, movies)]


def _of_file(path: Path, split: str, movies: Sequence[MovieContent]) -> Iterator[Plot]:
    own = any(movie.part.own for movie in movies if movie.part.split == split)  # such movies are of no kind
    targets = {movie.name: movie for movie in movies if movie.part.split == split and movie.target is not None}
    for declared in read_figures(path):
        curves = declared.curves or tuple(_scored(declared.scored, path, targets))
        if not curves:
            continue
        series = tuple(_series(curve, index) for index, curve in enumerate(curves[:CURVES]))
        lines = [one.y for one in series if not one.points]
        yield Plot(
            title=f"{declared.title} ({kind_of(split)})" if split and not own else declared.title,
            x=declared.x,
            y=declared.y or "SI-PSNR (dB)",
            series=series,
            note=declared.note,
            log=len(lines) == len(series) and wants_log(np.concatenate(lines)),
            height=HEIGHT,
        )


def _scored(entries: Sequence[ScoredCurve], path: Path, targets: Mapping[str, MovieContent]) -> Iterator[Curve]:
    for entry in entries[:CURVES]:
        movie = targets.get(entry.movie)
        if movie is not None and movie.target is not None:
            stacks = np.load(path.parent / entry.file, mmap_mode="r", allow_pickle=False)
            with open_movie(movie) as opened:
                clean = [opened.frame(TARGET, number) for number in entry.frames]
            values = [
                float(np.mean([si_psnr(truth, guess) for truth, guess in zip(clean, frames, strict=True)]))
                for frames in stacks
            ]
            yield Curve(name=entry.movie, kind="line", x=entry.at, y=tuple(values))


def _series(curve: Curve, index: int) -> Series:
    name, x, y = curve.name, np.asarray(curve.x, np.float64), np.asarray(curve.y, np.float64)
    if curve.kind == "points":
        return Series(name=name, x=x, y=y, style="noisy", points=True)
    if curve.kind == "bars":
        half = (x[1] - x[0]) / 2 if len(x) > 1 else 0.5
        edges = np.repeat(x, 2) + np.tile([-half * _INSIDE, half * _INSIDE], len(x))
        return Series(name=name, x=edges, y=np.repeat(y, 2), style="noisy")
    return Series(name=name, x=x, y=y, style=f"algorithm{index % CURVES}")
