"""Small round regions around the most active places of a movie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

EDGE_PER_RADIUS = 70  # a cell body is about this part of the shorter edge
SMALLEST_RADIUS = 2
APART = 4  # centres lie at least this many radii apart


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A disc: centre (y, x) and radius in pixels."""

    y: int
    x: int
    radius: int


def active_regions(sd: np.ndarray, count: int) -> tuple[Region, ...]:
    """Find the places where a movie changes most."""
    radius = max(SMALLEST_RADIUS, min(sd.shape) // EDGE_PER_RADIUS)
    smooth = ndimage.gaussian_filter(np.nan_to_num(sd), radius)
    inside = np.zeros(sd.shape, bool)
    inside[radius:-radius, radius:-radius] = True
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
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    discs = ((rows - region.y) ** 2 + (columns - region.x) ** 2 <= region.radius**2 for region in regions)
    return [np.flatnonzero(disc) for disc in discs]
