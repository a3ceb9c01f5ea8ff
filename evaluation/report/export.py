"""What a page shows as files for other programs: tables as CSV, a figure as PNG, a preview as GIF or WebP."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageDraw

from evaluation.report.content import NOISY
from evaluation.report.movie import Movie, open_movie
from evaluation.report.pictures import GAP, beside, intensity_window, levels, thinning
from evaluation.report.regions import peak_frame, region_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from evaluation.report.content import MovieContent, Page
    from evaluation.report.pictures import Window

_EDGE = 512  # pixels of the longer side of a picture
_LABEL = 14  # pixels above a picture, for its name
_PREVIEW_FRAMES = 200
_FRAME_MS = 50
_SCORES = ("movies", "protocol", "row", "role", "metric", "unit", "mean", "sd", "n", "low", "high")
_TRACES = ("movies", "movie", "region", "name", "y", "x", "pixels", "frame", "time_s", "stack", "value")
_BASELINE = 20.0  # percentile of a trace over all frames that is its F0


def write_table(page: Page, path: Path) -> None:
    """Write every score: mean, sample sd (ddof 1), n, and the bounds of the mean with 95 % confidence."""
    _write(path, _SCORES, _scores(page))


def write_traces(page: Page, path: Path, *, black: float | None = None) -> None:
    """Write the mean of every frame, as region 0, and of every region, of every stack.

    Parameters
    ----------
    page : Page
        Its movies name the regions; where they name none, the most active spots are taken.
    path : Path
        The CSV file.
    black : float, optional
        Grey level without light. Given, a column `dff` holds (F - F0) / (F0 - black), with the 20th percentile of each
        trace as its F0.
    """
    head = _TRACES if black is None else (*_TRACES, "dff")
    _write(path, head, (row for content in page.movies for row in _traces(content, black)))


def write_figure(page: Page, path: Path) -> None:
    """Draw a row for each movie: the frame of its brightest transient, noisy and as every run predicts it."""
    strips = [_strip(content) for content in page.movies]
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(one, ((0, GAP), (0, width - one.shape[1])), constant_values=255) for one in strips]
    Image.fromarray(np.concatenate(padded)).save(path, "PNG")


def write_preview(page: Page, path: Path, form: Literal["GIF", "WEBP"]) -> None:
    """Animate the first movie, noisy beside its first prediction: at most 200 frames from the first on."""
    with open_movie(page.movies[0]) as movie:
        names = list(movie.stacks)[:2]
        window = _window(movie, names, 0)
        frames = range(min(movie.shape[0], _PREVIEW_FRAMES))
        first, *others = [Image.fromarray(_panels(movie, names, index, window)) for index in frames]
        first.save(path, form, save_all=True, append_images=others, duration=_FRAME_MS, loop=0)


def _write(path: Path, head: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def _scores(page: Page) -> Iterator[Sequence[object]]:
    units = {metric.name: metric.unit for metric in page.metrics}
    for row in page.rows:
        for part, scores in row.scores.items():
            where = (part.movies if part.own else f"{part.movies} {part.split}", part.protocol)
            for metric, score in scores.items():
                one = score.value
                if one is not None:
                    numbers = (_known(one.mean), _known(one.sd), one.n, _known(one.low), _known(one.high))
                    yield (*where, row.name, row.role, metric, units.get(metric, ""), *numbers)


def _traces(content: MovieContent, black: float | None) -> Iterator[Sequence[object]]:
    part = content.part
    with open_movie(content) as movie:
        regions = movie.all_regions()
        sizes = (len(one) for one in region_rows(regions, movie.shape[1:]))
        named = ((one.name, one.y, one.x, size) for one, size in zip(regions, sizes, strict=True))
        places = [(index, *place) for index, place in enumerate([("", "", "", ""), *named])]
        for name in movie.stacks:
            traces = movie.traces(name, regions)
            for place, trace in zip(places, (traces.frame, *traces.regions), strict=True):
                change = None if black is None else relative_change(trace, black)
                for frame, value in enumerate(trace):
                    time_s = "" if content.frame_rate_hz is None else _short(frame / content.frame_rate_hz)
                    row = (part.movies, content.name, *place, frame, time_s, name, _short(float(value)))
                    yield row if change is None else (*row, _short(float(change[frame])))


def relative_change(trace: np.ndarray, black: float) -> np.ndarray:
    """Return dF/F of a trace, shape (T,): (F - F0) / (F0 - black); not a number where F0 is no brighter than black."""
    known = trace[np.isfinite(trace)]
    base = float(np.percentile(known, _BASELINE)) if len(known) else math.nan
    return np.asarray((trace - base) / (base - black) if base > black else np.full(len(trace), math.nan))


def _short(value: float) -> float | str:
    """Return a number with nine digits, which tell any two of float32 apart; an empty cell where it is not defined."""
    return float(f"{value:.9g}") if math.isfinite(value) else ""


def _known(value: float) -> float | str:
    """Return a number; an empty cell where it is not defined."""
    return value if math.isfinite(value) else ""


def _strip(content: MovieContent) -> np.ndarray:
    with open_movie(content) as movie:
        regions = movie.regions(movie.projection(movie.reference))
        traces = movie.traces(movie.reference, regions)
        index = peak_frame(traces.regions[0] if len(regions) else traces.frame, movie.clean)
        names = list(movie.stacks)
        return _panels(movie, names, index, _window(movie, names, index))


def _window(movie: Movie, names: Sequence[str], index: int) -> Window:
    return intensity_window([movie.frame(name, index) for name in names])


def _panels(movie: Movie, names: Sequence[str], index: int, window: Window) -> np.ndarray:
    """Put a frame of several stacks side by side, each with its name above, on one scale of grey levels."""
    step = thinning(movie.shape[1:], _EDGE)
    return beside([_labelled(levels(movie.frame(name, index)[::step, ::step], window), name) for name in names])


def _labelled(picture: np.ndarray, name: str) -> np.ndarray:
    image = Image.new("L", (picture.shape[1], picture.shape[0] + _LABEL), 255)
    image.paste(Image.fromarray(picture), (0, _LABEL))
    ImageDraw.Draw(image).text((1, 1), "noisy" if name == NOISY else name, fill=0)
    return np.asarray(image)
