"""Where a movie is worth looking at: its most active places and frames, away from what a recording broke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.records.regions import Regions

EDGE_PER_RADIUS = 70  # a cell body is about this part of the shorter edge
SMALLEST_RADIUS = 2
APART = 4  # centres lie at least this many radii apart
_ROUGH, _FLAT = 3.0, 0.1  # a row is broken where it is so much rougher or flatter than it usually is
_CLEANEST = 0.25  # of the frames are looked at even where every frame has broken rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A place: its middle (y, x) and radius in pixels; a disc, where no pixels (n, 2) of it are given."""

    y: int
    x: int
    radius: int
    name: str = ""
    pixels: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A frame number and why it was chosen."""

    index: int
    why: str


def roughness(frames: np.ndarray) -> np.ndarray:
    """Mean jump between neighbouring columns of every row, shape (T, Y), of frames of shape (T, Y, X)."""
    steps = np.abs(np.diff(frames.astype(np.float64), axis=2))
    return np.asarray(np.nan_to_num(steps).mean(axis=2) if steps.shape[2] else np.zeros(steps.shape[:2]))


def broken_rows(rough: np.ndarray) -> np.ndarray:
    """Mark rows, shape (T, Y), far rougher than the same row usually is (lost packets) or flat, and their neighbours.

    A packet may start in the middle of the row beside.
    """
    usual = np.median(rough, axis=0)
    found = (usual > 0) & ((rough > _ROUGH * usual) | (rough < _FLAT * usual))
    return np.asarray(ndimage.maximum_filter1d(found, 3, axis=1))


def clean_frames(broken: np.ndarray) -> np.ndarray:
    """Numbers of the frames without broken rows; of the cleanest quarter where there are few such frames."""
    counts = broken.sum(axis=1)
    return np.flatnonzero(counts <= np.quantile(counts, _CLEANEST))


def whole_rows(broken: np.ndarray) -> np.ndarray:
    """Mark the rows, shape (Y,), that are broken in no more frames than half of the rows are."""
    counts = broken.sum(axis=0)
    return np.asarray(counts <= np.median(counts))


def active_regions(sd: np.ndarray, count: int, whole: np.ndarray) -> tuple[Region, ...]:
    """Find places in whole rows that change more over time than the rest of their row, which leaves out banding."""
    radius = max(SMALLEST_RADIUS, min(sd.shape) // EDGE_PER_RADIUS)
    known = np.nan_to_num(sd)
    smooth = ndimage.gaussian_filter(known - np.median(known, axis=1, keepdims=True), radius)
    inside = np.zeros(sd.shape, bool)
    inside[2 * radius : -2 * radius, 2 * radius : -2 * radius] = True
    far = ndimage.minimum_filter1d(whole, 2 * radius + 1)
    inside &= (far if far.any() else whole)[:, None]
    rows, columns = np.ogrid[: sd.shape[0], : sd.shape[1]]
    found: list[Region] = []
    while len(found) < count:
        free = np.where(inside, smooth, 0.0)
        y, x = (int(place) for place in np.unravel_index(np.argmax(free), free.shape))
        if free[y, x] <= 0:
            break
        found.append(Region(y=y, x=x, radius=radius))
        inside &= (rows - y) ** 2 + (columns - x) ** 2 > (APART * radius) ** 2
    return tuple(found)


def region_rows(regions: Sequence[Region], shape: tuple[int, ...]) -> list[np.ndarray]:
    """Flat indices of the pixels of each region in a frame of shape (Y, X)."""
    return [np.flatnonzero(_disc(one, shape)) if one.pixels is None else one.pixels @ (shape[1], 1) for one in regions]


def _disc(region: Region, shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((rows - region.y) ** 2 + (columns - region.x) ** 2 <= region.radius**2)


def given_regions(regions: Regions) -> tuple[Region, ...]:
    """Return regions of a user, each with the radius of a disc of its area."""
    return tuple(
        Region(y=int(y), x=int(x), radius=max(1, round((len(pixels) / np.pi) ** 0.5)), name=name, pixels=pixels)
        for name, pixels, (y, x) in zip(regions.names, regions.pixels, regions.middles, strict=True)
    )


def most_active(regions: Sequence[Region], sd: np.ndarray, count: int) -> tuple[Region, ...]:
    """Return those that change most over time, the first first."""
    change = {
        id(one): float(np.nanmean(sd.ravel()[rows]))
        for one, rows in zip(regions, region_rows(regions, sd.shape), strict=True)
    }
    return tuple(sorted(regions, key=lambda one: -change[id(one)])[:count])


def peak_frame(trace: np.ndarray, clean: np.ndarray) -> int:
    """Return the clean frame in which a trace is highest."""
    return int(clean[np.argmax(np.nan_to_num(trace[clean], nan=-np.inf))])


def moments(regions: np.ndarray, clean: np.ndarray) -> tuple[Moment, ...]:
    """Choose clean frames: the brightest transient, the middle and the end.

    The last frames are where algorithms that look ahead in time have the least to look at.
    """
    end = "last frame" if clean[-1] == regions.shape[1] - 1 else "last whole frame"
    chosen = [Moment(index=int(clean[len(clean) // 2]), why="middle"), Moment(index=int(clean[-1]), why=end)]
    above = np.nan_to_num(regions - np.median(regions, axis=1, keepdims=True)).max(axis=0, initial=0.0)
    if above[clean].max() > 0:
        chosen.insert(0, Moment(index=peak_frame(above, clean), why="brightest transient"))
    first_with = {moment.index: moment for moment in reversed(chosen)}
    return tuple(moment for moment in chosen if first_with[moment.index] is moment)
