"""Pictures of one movie for the page: chosen frames, differences, projections and a preview."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from evaluation.report.content import NOISY, TARGET
from evaluation.report.numbers import grouped, number
from evaluation.report.pictures import (
    animation,
    beside,
    difference_picture,
    difference_window,
    grey_picture,
    intensity_window,
    levels,
    thinning,
)
from evaluation.report.table import value_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evaluation.report.movie import Movie, Projection
    from evaluation.report.pictures import Window
    from evaluation.report.regions import Moment, Region
    from evaluation.scores.catalogue import Metric

LARGE_EDGE = 512  # px of a picture of intensities
SMALL_EDGE = 256  # px of differences and projections, which are shown smaller
MINUS = "\u2212"
CROP_RADII = 7  # half of the edge of a picture of one region, in radii of the region
SMALLEST_CROP = 12  # px to each side
PREVIEW_WIDTH = 800  # px of all panels of the preview together
PREVIEW_PANEL = 256  # px of one panel on the page, at least
PREVIEW_FRAMES = 60  # of a short movie
PREVIEW_EVERY = 20  # of a long one: one frame in 20, as the study's previews
PREVIEW_PANELS = 4
PREVIEW_MS = 100  # ten frames a second, as in the published previews


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture: data: address, alternative text, name, a line below it, size in px."""

    src: str
    alt: str
    name: str
    detail: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """Pictures that share a window, its ends in words, and a sentence where there is nothing to see."""

    pictures: tuple[Picture, ...]
    low: str
    high: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FramePictures:
    """Everything about one frame: intensities, what each algorithm removed, what each got wrong."""

    title: str
    intensities: Strip
    removed: Strip
    errors: Strip


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """An animation: data: address, panel names in order, one in `every` frames, width in px on the page."""

    src: str
    names: tuple[str, ...]
    every: int
    frames: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How many chosen frames to picture, and the steps in pixels of intensities and of all other pictures."""

    frames: int
    step: int
    small_step: int


def plan(shape: tuple[int, ...], *, predictions: int, target: bool, pixels: float) -> Plan:
    """Decide how many frames are pictured, and how far they are thinned, within a number of pixels."""
    options = (
        Plan(frames=frames, step=step, small_step=max(step, thinning(shape[1:], SMALL_EDGE)))
        for step in count(thinning(shape[1:], LARGE_EDGE))
        for frames in (3, 2)
    )
    return next(one for one in options if _pixels(one, shape, predictions, target=target) <= pixels)


def _pixels(option: Plan, shape: tuple[int, ...], predictions: int, *, target: bool) -> int:
    stacks = 1 + predictions + target
    large, small = (-(-shape[1] // step) * -(-shape[2] // step) for step in (option.step, option.small_step))
    differences = predictions * (1 + target)
    return option.frames * (stacks * large + differences * small) + (stacks + predictions) * small


class Viewer:
    """Draws the pictures of one open movie."""

    def __init__(self, movie: Movie, chosen: Sequence[Moment], layout: Plan, metric: Metric | None) -> None:
        self.movie = movie
        self.layout = layout
        self.metric = metric
        self._chosen = chosen
        self._frames = [{name: movie.frame(name, moment.index) for name in movie.stacks} for moment in chosen]
        self.window = intensity_window([frame[name] for frame in self._frames for name in self._deciding()])

    def frames(self) -> tuple[FramePictures, ...]:
        """Picture every chosen frame."""
        removed = difference_window([change for frame in self._frames for change in self._removed(frame).values()])
        errors = difference_window([change for frame in self._frames for change in self._errors(frame).values()])
        return tuple(
            FramePictures(
                title=f"{moment.why} (frame {grouped(moment.index, 0)})",
                intensities=self._intensities(frame, moment),
                removed=_differences(self._removed(frame), removed, f"frame {moment.index}"),
                errors=_differences(self._errors(frame), errors, f"frame {moment.index}"),
            )
            for frame, moment in zip(self._frames, self._chosen, strict=True)
        )

    def spreads(self, projections: Mapping[str, Projection]) -> Strip:
        """Picture the sd over time of every stack, all in one window."""
        images = {name: self._thin(projection.sd) for name, projection in projections.items()}
        window = intensity_window(list(images.values()))
        pictures = tuple(
            _picture(grey_picture(image, window), image, name, f"Standard deviation over time, {name}", "")
            for name, image in images.items()
        )
        return _strip(pictures, window)

    def offsets(self, projections: Mapping[str, Projection]) -> Strip:
        """Picture what each algorithm removed on average over time; structure here is signal that was lost."""
        noisy = projections[NOISY].mean
        images = {
            f"{NOISY} {MINUS} {name}": self._thin(noisy - projections[name].mean)
            for name in self.movie.content.predictions
        }
        return _differences(images, difference_window(list(images.values())), "mean over time")

    def gallery(self, regions: Sequence[Region], peaks: Sequence[int]) -> tuple[Strip, ...]:
        """Picture each region in the frame in which it is brightest, with what lies around it."""
        return tuple(self._crop(region, peak) for region, peak in zip(regions, peaks, strict=True))

    def _crop(self, region: Region, index: int) -> Strip:
        half = max(SMALLEST_CROP, CROP_RADII * region.radius)
        rows, columns = (slice(max(0, middle - half), middle + half + 1) for middle in (region.y, region.x))
        crops = {name: self.movie.frame(name, index)[rows, columns] for name in self.movie.stacks}
        window = intensity_window([crops[name] for name in self._deciding()])
        where = f"around ({region.y}, {region.x}) in frame {index}"
        pictures = (
            _picture(grey_picture(one, window), one, name, f"{name} {where}", "") for name, one in crops.items()
        )
        return _strip(tuple(pictures), window)

    def preview(self, limit_bytes: float) -> Preview:
        """Animate noisy, predictions and target side by side, in a file below `limit_bytes`."""
        names = self._panels()
        length = self.movie.shape[0]
        every = min(-(-length // PREVIEW_FRAMES), PREVIEW_EVERY)
        step = thinning(self.movie.shape[1:], PREVIEW_WIDTH // len(names))
        shown = [
            beside([levels(self.movie.frame(name, index)[::step, ::step], self.window) for name in names])
            for index in range(0, length, every)
        ]
        made = animation(shown, frame_ms=PREVIEW_MS, limit_bytes=limit_bytes)
        return Preview(
            src=made.src,
            names=tuple(names),
            every=every * made.step,
            frames=len(shown[:: made.step]),
            width=max(shown[0].shape[1], PREVIEW_PANEL * len(names)),
        )

    def outside(self) -> str:
        """Say what part of the pixels of each pictured stack lies outside the window."""
        parts = []
        for name in self.movie.stacks:
            values = np.concatenate([frame[name].ravel() for frame in self._frames])
            share = float(np.mean((values < self.window.low) | (values > self.window.high)))
            parts.append(f"{name} {share:.1%}")
        return ", ".join(parts)

    def _deciding(self) -> list[str]:
        others = [name for name in self.movie.stacks if name != NOISY]
        return others or [NOISY]

    def _panels(self) -> list[str]:
        names = list(self.movie.stacks)
        last = [TARGET] if TARGET in names else []
        return [name for name in names if name != TARGET][: PREVIEW_PANELS - len(last)] + last

    def _thin(self, image: np.ndarray) -> np.ndarray:
        return image[:: self.layout.small_step, :: self.layout.small_step]

    def _removed(self, frame: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {
            f"{NOISY} {MINUS} {name}": self._thin(frame[NOISY] - frame[name]) for name in self.movie.content.predictions
        }

    def _errors(self, frame: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if TARGET not in frame:
            return {}
        return {
            f"{name} {MINUS} {TARGET}": self._thin(frame[name] - frame[TARGET])
            for name in self.movie.content.predictions
        }

    def _intensities(self, frame: Mapping[str, np.ndarray], moment: Moment) -> Strip:
        step = self.layout.step
        thin = {name: image[::step, ::step] for name, image in frame.items()}
        pictures = tuple(
            _picture(
                grey_picture(image, self.window),
                image,
                name,
                f"Frame {moment.index} of {self.movie.content.name}, {name}",
                self._score(name, moment.index),
            )
            for name, image in thin.items()
        )
        return _strip(pictures, self.window)

    def _score(self, name: str, index: int) -> str:
        if self.metric is None:
            return ""
        scores = self.movie.content.frame_scores.get(name, {}).get(self.metric.name)
        if scores is None:
            return ""
        return f"{self.metric.title} {value_text(self.metric, float(scores[index]))}"


def _differences(images: Mapping[str, np.ndarray], window: Window, what: str) -> Strip:
    pictures = tuple(
        _picture(difference_picture(image, window), image, name, f"Difference {name}, {what}", "")
        for name, image in images.items()
    )
    same = bool(images) and not any(np.any(image) for image in images.values())
    return replace(_strip(pictures, window), note="No difference at any pixel." if same else "")


def _picture(src: str, image: np.ndarray, name: str, alt: str, detail: str) -> Picture:
    return Picture(src=src, alt=alt, name=name, detail=detail, width=image.shape[1], height=image.shape[0])


def _strip(pictures: tuple[Picture, ...], window: Window) -> Strip:
    decimals = max(0, 2 - int(np.floor(np.log10(window.high - window.low))))
    return Strip(pictures=pictures, low=number(window.low, decimals), high=number(window.high, decimals))
