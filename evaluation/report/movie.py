"""A movie with its predictions and target, opened together and read a few frames at a time for a report."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from contract.errors import JobRefused
from contract.stacks import open_stack
from evaluation.report.content import NOISY, TARGET
from evaluation.report.regions import (
    active_regions,
    broken_rows,
    clean_frames,
    given_regions,
    most_active,
    region_rows,
    roughness,
    whole_rows,
)
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from contract.stacks import Stack
    from evaluation.report.content import MovieContent
    from evaluation.report.regions import Region

SAMPLED_FRAMES = 400  # projections over time use at most this many frames, evenly spread
BLOCK_BYTES = 32 * 2**20  # memory for one block of frames
REGIONS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Gain and offset that bring the target to the intensities of the noisy movie."""

    gain: float
    offset: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """Mean and sd (ddof=0) over time of every pixel, each of shape (Y, X), float64."""

    mean: np.ndarray
    sd: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class Traces:
    """Mean of every frame, shape (T,), and mean over each region, shape (R, T), float64."""

    frame: np.ndarray
    regions: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Movie:
    """Open stacks of equal shape by name: "noisy", the run names, and "target" where there is one."""

    content: MovieContent
    stacks: Mapping[str, Stack]
    scale: Scale

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, Y, X)."""
        return next(iter(self.stacks.values())).shape

    @property
    def reference(self) -> str:
        """Name of the stack that decides on regions: the target, else the last prediction, else the noisy movie.

        Controls come last, and an algorithm should not choose where it is looked at.
        """
        return TARGET if TARGET in self.stacks else [NOISY, *self.content.predictions][-1]

    @cached_property
    def broken(self) -> np.ndarray:
        """Rows of the noisy movie that the recording broke, shape (T, Y)."""
        stack = self.stacks[NOISY]
        blocks = stack.blocks(max(1, BLOCK_BYTES // (8 * stack.frame_bytes)))
        return broken_rows(np.concatenate([roughness(block) for block in blocks]))

    @cached_property
    def clean(self) -> np.ndarray:
        """Numbers of the frames to choose from for pictures, projections and regions."""
        return clean_frames(self.broken)

    def frame(self, name: str, index: int) -> np.ndarray:
        """Read one frame as shown: shape (Y, X), float64, the target brought to scale, infinities as NaN."""
        frame = self.stacks[name].frames(index, index + 1)[0].astype(np.float64)
        return self._scaled(name, np.where(np.isfinite(frame), frame, np.nan))

    def projection(self, name: str) -> Projection:
        """Project a stack over time, over the frames `sampled_frames`."""
        mean, spread = np.zeros(self.shape[1:]), np.zeros(self.shape[1:])
        for count, index in enumerate(self.sampled_frames(), start=1):
            frame = self.frame(name, int(index))
            change = frame - mean
            mean += change / count
            spread += change * (frame - mean)
        return Projection(mean=mean, sd=np.sqrt(spread / count))

    def sampled_frames(self) -> np.ndarray:
        """Numbers of the clean frames that projections use, at most 400, evenly spread."""
        count = len(self.clean)
        return np.asarray(self.clean[np.unique(np.linspace(0, count - 1, min(count, SAMPLED_FRAMES)).astype(int))])

    def regions(self, projection: Projection) -> tuple[Region, ...]:
        """Return the most active regions of the user, or spots of a projection where there are none."""
        if self.content.regions is not None:
            return most_active(given_regions(self.content.regions), projection.sd, REGIONS)
        return active_regions(projection.sd, REGIONS, whole_rows(self.broken))

    def all_regions(self) -> tuple[Region, ...]:
        """Return every region of the user, in their order, or spots where there are none."""
        if self.content.regions is not None:
            return given_regions(self.content.regions)
        return self.regions(self.projection(self.reference))

    def traces(self, name: str, regions: tuple[Region, ...]) -> Traces:
        """Stream a stack once and average every frame and every region."""
        stack = self.stacks[name]
        frame, inside = np.empty(stack.shape[0]), np.empty((len(regions), stack.shape[0]))
        rows = region_rows(regions, stack.shape[1:])
        start = 0
        for block in stack.blocks(max(1, BLOCK_BYTES // stack.frame_bytes)):
            flat = block.reshape(len(block), -1)
            stop = start + len(block)
            with np.errstate(invalid="ignore"):  # infinities of both signs make a NaN, which the page warns about
                frame[start:stop] = flat.mean(axis=1, dtype=np.float64)
                for index, pixels in enumerate(rows):
                    inside[index, start:stop] = flat[:, pixels].mean(axis=1, dtype=np.float64)
            start = stop
        return Traces(frame=self._scaled(name, frame), regions=self._scaled(name, inside))

    def _scaled(self, name: str, values: np.ndarray) -> np.ndarray:
        return values * self.scale.gain + self.scale.offset if name == TARGET else values


@contextmanager
def open_movie(content: MovieContent) -> Iterator[Movie]:
    """Open all files of a movie."""
    with ExitStack() as opened:
        paths = {NOISY: content.noisy, **content.predictions}
        if content.target is not None:
            paths[TARGET] = content.target
        stacks = {name: opened.enter_context(_open(path, content.axes)) for name, path in paths.items()}
        _check_shapes(stacks)
        movie = Movie(content=content, stacks=stacks, scale=Scale(gain=1.0, offset=0.0))
        if content.fit_target and TARGET in stacks:
            movie = Movie(content=content, stacks=stacks, scale=_fitted(movie))
        yield movie


def _open(path: Path, axes: str | None) -> Stack:
    try:
        return open_stack(path, axes)
    except JobRefused as error:
        raise BadInput(str(error), "Give the report the files of a finished run.") from error


def _check_shapes(stacks: Mapping[str, Stack]) -> None:
    expected = stacks[NOISY].shape
    for name, stack in stacks.items():
        if stack.shape != expected:
            message = f"{stack.path} ({name}): expected shape {expected} like the noisy movie, got {stack.shape}"
            raise BadInput(message, "Predict again: every frame and pixel of the input must be there.")


def _fitted(movie: Movie) -> Scale:
    """Least squares of the mean noisy picture on the mean target picture, where noise has averaged out."""
    noisy, target = (movie.projection(name).mean.ravel() for name in (NOISY, TARGET))
    spread = float(np.var(target))
    covariance = float(np.mean((noisy - noisy.mean()) * (target - target.mean())))
    gain = covariance / spread if spread > 0 else 1.0
    return Scale(gain=gain, offset=float(noisy.mean() - gain * target.mean()))
