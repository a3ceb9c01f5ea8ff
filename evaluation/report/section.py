"""The section of one movie on a page: pictures, traces and scores over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluation.report.content import NOISY, TARGET
from evaluation.report.moments import moments
from evaluation.report.movie import open_movie
from evaluation.report.plots import Labels, Series, line_plot
from evaluation.report.scores import direction
from evaluation.report.ticks import grouped
from evaluation.report.viewer import Viewer, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from evaluation.report.content import MovieContent
    from evaluation.report.movie import Movie, Traces
    from evaluation.report.regions import Region
    from evaluation.report.viewer import FramePictures, Plan, Preview, Strip
    from evaluation.scores.catalogue import Metric

PICTURED_MOVIES = 4
STILL_PIXELS = 4_500_000  # of all movies together, at most one byte each
PREVIEW_BYTES = 4_000_000  # of all movies together
REGION_HEIGHT = 185  # px of the plot of one region


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A plot and the line above it."""

    title: str
    svg: Markup


@dataclass(frozen=True, kw_only=True, slots=True)
class MovieSection:
    """Everything the page says about one movie; texts are ready to show."""

    name: str
    split: str
    facts: tuple[str, ...]
    frames: tuple[FramePictures, ...]
    outside: str
    spreads: Strip
    offsets: Strip
    sampled: int
    regions: tuple[Region, ...]
    shape: tuple[int, ...]
    preview: Preview
    mean_trace: Figure
    region_traces: tuple[Figure, ...]
    score_traces: tuple[Figure, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Time:
    values: np.ndarray
    label: str


def movie_sections(
    movies: Sequence[MovieContent], metrics: Sequence[Metric], styles: Mapping[str, str]
) -> tuple[MovieSection, ...]:
    """Draw the first four movies."""
    pictured = movies[:PICTURED_MOVIES]
    return tuple(movie_section(movie, metrics, styles, 1 / len(pictured)) for movie in pictured)


def movie_section(
    content: MovieContent, metrics: Sequence[Metric], styles: Mapping[str, str], share: float
) -> MovieSection:
    """Draw one movie within its share (0 to 1) of the size of the page; raises `BadInput` as `movie_sections`."""
    with open_movie(content) as movie:
        layout = plan(
            movie.shape,
            predictions=len(content.predictions),
            target=TARGET in movie.stacks,
            pixels=STILL_PIXELS * share,
        )
        projections = {name: movie.projection(name) for name in movie.stacks}
        regions = movie.regions(projections[movie.reference])
        traces = {name: movie.traces(name, regions) for name in movie.stacks}
        chosen = moments(traces[movie.reference].regions, movie.shape[0])[: layout.frames]
        viewer = Viewer(movie, chosen, layout, metrics[0] if metrics else None)
        time = _time(movie)
        return MovieSection(
            name=content.name,
            split=content.split,
            facts=_facts(movie, layout),
            frames=viewer.frames(),
            outside=viewer.outside(),
            spreads=viewer.spreads(projections),
            offsets=viewer.offsets(projections),
            sampled=len(movie.sampled_frames()),
            regions=regions,
            shape=movie.shape,
            preview=viewer.preview(PREVIEW_BYTES * share),
            mean_trace=_mean_trace(content, traces, time, styles),
            region_traces=_region_traces(content, traces, time, styles),
            score_traces=_score_traces(content, metrics, time, styles),
            warnings=_warnings(content, traces),
        )


def _time(movie: Movie) -> _Time:
    frames = np.arange(movie.shape[0], dtype=np.float64)
    rate_hz = movie.content.frame_rate_hz
    return _Time(values=frames, label="frame") if rate_hz is None else _Time(values=frames / rate_hz, label="time (s)")


def _facts(movie: Movie, layout: Plan) -> tuple[str, ...]:
    content = movie.content
    frames, rows, columns = movie.shape
    size = f"{rows} \u00d7 {columns} pixels, {movie.stacks[NOISY].dtype.name}"
    shown = [_shown("pictures", layout.step), _shown("differences and projections", layout.small_step)]
    if frames == 1:
        facts = [f"one image of {size}", *shown]
    else:
        rate = (
            "frame rate not stated" if content.frame_rate_hz is None else f"{content.frame_rate_hz:g} frames per second"
        )
        facts = [f"{grouped(frames, 0)} frames of {size}", "counted from 0", rate, *shown]
    if content.fit_target and TARGET in movie.stacks:
        gain, offset = movie.scale.gain, movie.scale.offset
        facts.append(f"for display, target is shown as {gain:.4g} · target {offset:+.4g}, fitted to the noisy movie")
    return tuple(facts)


def _shown(what: str, step: int) -> str:
    return f"{what} show every pixel" if step == 1 else f"{what} show one pixel in {step} (x and y), without averaging"


def _mean_trace(content: MovieContent, traces: Mapping[str, Traces], time: _Time, styles: Mapping[str, str]) -> Figure:
    lines = {name: trace.frame for name, trace in traces.items()}
    title = f"Mean intensity of every frame, {content.name}"
    labels = Labels(title=title, x=time.label, y=content.unit)
    return Figure(title="Mean of every frame", svg=line_plot(_series(lines, time, styles), labels))


def _region_traces(
    content: MovieContent, traces: Mapping[str, Traces], time: _Time, styles: Mapping[str, str]
) -> tuple[Figure, ...]:
    count = len(traces[NOISY].regions)
    figures = []
    for index in range(count):
        lines = {name: trace.regions[index] for name, trace in traces.items()}
        title = f"Mean intensity of region {index + 1}, {content.name}"
        labels = Labels(title=title, x=time.label, y=content.unit)
        svg = line_plot(_series(lines, time, styles), labels, height=REGION_HEIGHT)
        figures.append(Figure(title=f"Mean of region {index + 1}", svg=svg))
    return tuple(figures)


def _score_traces(
    content: MovieContent, metrics: Sequence[Metric], time: _Time, styles: Mapping[str, str]
) -> tuple[Figure, ...]:
    figures = []
    for metric in metrics:
        scores = {
            name: np.asarray(by_metric[metric.name], np.float64)
            for name, by_metric in content.frame_scores.items()
            if metric.name in by_metric
        }
        if not scores:
            continue
        unit = f" ({metric.unit})" if metric.unit else ""
        title = f"{metric.title} of every frame, {content.name}"
        labels = Labels(title=title, x=time.label, y=f"{metric.title}{unit}")
        svg = line_plot(_series(scores, time, styles), labels)
        figures.append(Figure(title=f"{metric.title} of every frame, {direction(metric.better)}", svg=svg))
    return tuple(figures)


def _series(lines: Mapping[str, np.ndarray], time: _Time, styles: Mapping[str, str]) -> list[Series]:
    return [Series(name=name, x=time.values, y=values, style=styles[name]) for name, values in lines.items()]


def _warnings(content: MovieContent, traces: Mapping[str, Traces]) -> tuple[str, ...]:
    broken = {name: int(np.count_nonzero(~np.isfinite(trace.frame))) for name, trace in traces.items()}
    return tuple(
        f"{content.name}, {name}: {grouped(frames, 0)} frames hold pixels that are not finite numbers"
        for name, frames in broken.items()
        if frames
    )
