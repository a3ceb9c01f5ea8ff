"""The section of one movie on a page: pictures, traces and scores over time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evaluation.report.content import NOISY, TARGET
from evaluation.report.movie import open_movie
from evaluation.report.numbers import grouped
from evaluation.report.plots import Plot, Series
from evaluation.report.regions import moments, peak_frame
from evaluation.report.table import aim
from evaluation.report.viewer import Viewer, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evaluation.report.content import MovieContent
    from evaluation.report.movie import Movie, Traces
    from evaluation.report.regions import Region
    from evaluation.report.viewer import FramePictures, Plan, Preview, Strip
    from evaluation.scores.catalogue import Metric

PICTURED_MOVIES = 4
STILL_PIXELS = 4_500_000  # of all movies together, at most one byte each
PREVIEW_BYTES = 4_000_000  # of all movies together
REGION_HEIGHT = 170  # px of the plot of one region
NAMED_FRAMES = 8  # broken frames that are named, the others are counted


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionView:
    """One region: pictures of it where it is brightest, and its trace."""

    title: str
    strip: Strip
    trace: Plot


@dataclass(frozen=True, kw_only=True, slots=True)
class MovieSection:
    """Everything the page says about one movie; texts are ready to show."""

    name: str
    part: str
    unit: str
    facts: tuple[str, ...]
    frames: tuple[FramePictures, ...]
    outside: str
    spreads: Strip
    offsets: Strip
    sampled: int
    regions: tuple[Region, ...]
    shape: tuple[int, ...]
    preview: Preview
    gallery: tuple[RegionView, ...]
    chosen: str
    mean_trace: Plot
    score_traces: tuple[Plot, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lines:
    """Draws lines over the frames of one movie."""

    values: np.ndarray
    label: str
    styles: Mapping[str, str]

    def plot(self, title: str, label: str, lines: Mapping[str, np.ndarray]) -> Plot:
        """Draw a line for each name."""
        series = (Series(name=name, x=self.values, y=y, style=self.styles[name]) for name, y in lines.items())
        return Plot(title=title, x=self.label, y=label, series=tuple(series))


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
        reference = traces[movie.reference].regions
        chosen = moments(reference, movie.clean)[: layout.frames]
        peaks = [peak_frame(trace, movie.clean) for trace in reference]
        places = list(zip(regions, peaks, strict=True))
        viewer = Viewer(movie, chosen, layout, metrics[0] if metrics else None)
        over = _over_time(movie, styles)
        return MovieSection(
            name=content.name,
            part="" if content.part.own else content.part.title,
            unit=content.unit,
            facts=_facts(movie, layout),
            frames=viewer.frames(),
            outside=viewer.outside(),
            spreads=viewer.spreads(projections),
            offsets=viewer.offsets(projections),
            sampled=len(movie.sampled_frames()),
            regions=regions,
            shape=movie.shape,
            preview=viewer.preview(PREVIEW_BYTES * share),
            gallery=_gallery(viewer.gallery(regions, peaks), places, traces, over, content.unit),
            chosen=_chosen(movie),
            mean_trace=over.plot(
                "Mean of every frame", content.unit, {name: one.frame for name, one in traces.items()}
            ),
            score_traces=_score_traces(content, metrics, over),
            warnings=_warnings(content, traces),
        )


def _chosen(movie: Movie) -> str:
    """Say where regions come from."""
    if movie.content.regions is not None:
        return f"The most active of {movie.content.regions.origin}, in {movie.reference}."
    return (
        f"Chosen automatically: where {movie.reference} changes most over time, away from broken rows. "
        "They are spots and need not be cells."
    )


def _over_time(movie: Movie, styles: Mapping[str, str]) -> _Lines:
    frames, rate_hz = np.arange(movie.shape[0], dtype=np.float64), movie.content.frame_rate_hz
    values, label = (frames, "frame") if rate_hz is None else (frames / rate_hz, "time (s)")
    return _Lines(values=values, label=label, styles=styles)


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
    return tuple(facts + _broken(movie))


def _broken(movie: Movie) -> list[str]:
    """Say which frames hold broken rows and are therefore not chosen for anything."""
    frames = np.flatnonzero(movie.broken.any(axis=1))
    if not len(frames):
        return []
    named = ", ".join(map(str, frames[:NAMED_FRAMES])) + (" and others" if len(frames) > NAMED_FRAMES else "")
    count = f"{grouped(len(frames), 0)} frame{'s hold' if len(frames) > 1 else ' holds'} broken or lost rows ({named})"
    return [f"{count}: pictures, projections and regions use the cleanest frames and rows"]


def _shown(what: str, step: int) -> str:
    return f"{what} show every pixel" if step == 1 else f"{what} show one pixel in {step} (x and y), without averaging"


def _gallery(
    strips: Sequence[Strip], places: Sequence[tuple[Region, int]], traces: Mapping[str, Traces], over: _Lines, unit: str
) -> tuple[RegionView, ...]:
    found = []
    for index, (strip, (region, peak)) in enumerate(zip(strips, places, strict=True)):
        lines = {name: trace.regions[index] for name, trace in traces.items()}
        name = f"region {region.name or index + 1}"
        plot = replace(over.plot(f"Mean of {name}", unit, lines), height=REGION_HEIGHT)
        title = f"{name[0].upper()}{name[1:]}, brightest in frame {grouped(peak, 0)}"
        found.append(RegionView(title=title, strip=strip, trace=plot))
    return tuple(found)


def _score_traces(content: MovieContent, metrics: Sequence[Metric], over: _Lines) -> tuple[Plot, ...]:
    plots = []
    for metric in metrics:
        scores = {
            name: np.asarray(by_metric[metric.name], np.float64)
            for name, by_metric in content.frame_scores.items()
            if metric.name in by_metric
        }
        if scores:
            label = f"{metric.title} ({metric.unit})" if metric.unit else metric.title
            plots.append(over.plot(f"{metric.title} of every frame, {aim(metric)}", label, scores))
    return tuple(plots)


def _warnings(content: MovieContent, traces: Mapping[str, Traces]) -> tuple[str, ...]:
    broken = {name: int(np.count_nonzero(~np.isfinite(trace.frame))) for name, trace in traces.items()}
    return tuple(
        f"{content.name}, {name}: {grouped(frames, 0)} frames hold pixels that are not finite numbers"
        for name, frames in broken.items()
        if frames
    )
