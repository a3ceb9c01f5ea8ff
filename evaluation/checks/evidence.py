"""What all checks of one movie are computed from, read once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .dropped import WithoutDropped
from .lagged import Covariances, covariances
from .noise_law import NoiseLaw, noise_law
from .pair_pass import FrameFigures, PairMaps, read_pair
from .places import Places, find_places
from .sampling import LEAST_FRAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from evaluation.metrics import Frames

    from .sampling import Floats

LEAST_PATCHES = 6  # active patches from which the checks of activity have an error
_NOT_DENOISED = 0.3  # of the noise taken out, below which nothing was denoised
_STRONG = 1.0  # times its noise that the signal of a patch has, above which its signal variance is known well


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """Sums, patches and covariances of a raw and a denoised movie.

    Attributes
    ----------
    maps : PairMaps
    figures : FrameFigures
    law : NoiseLaw
        Of the raw movie.
    places : Places
    active, quiet, lively : Covariances
        Of the patches; none where the movie is too short.
    """

    maps: PairMaps
    figures: FrameFigures
    law: NoiseLaw
    places: Places
    active: Covariances | None
    quiet: Covariances | None
    lively: Covariances | None

    @property
    def removed(self) -> float:
        """Share of the jumps of a pixel that went into the residual: about 1 for a good movie, 0 for the raw one."""
        jumped = self.maps.jump_raw > 0
        if not jumped.any():
            return math.nan
        return float(np.median(self.maps.jump_residual[jumped] / self.maps.jump_raw[jumped]))

    @property
    def not_denoised(self) -> bool:
        """Whether most of the noise is still there."""
        return self.removed < _NOT_DENOISED

    @property
    def brightness(self) -> Floats:
        """Mean light of each pixel, grey levels above the black level of the detector."""
        raw = self.maps.raw
        darkest = float(np.percentile(raw, 1))
        if math.isnan(self.law.black):
            return np.asarray(raw - darkest)
        lowest = min(0.0, float(raw.min()))  # read noise pulls the meeting point of the line below what is stored
        return np.asarray(raw - min(max(self.law.black, lowest), darkest))

    def copied_noise(self, patches: Covariances) -> Floats:
        """Return the covariance with the raw noise that was copied into each patch at each shift: (R, 2 K + 1).

        As seen in the middle one of the quiet patches, so that an invented cell among them does not count.
        """
        quiet = self.quiet
        if quiet is None or not len(quiet.raw):
            return np.zeros_like(patches.cross)
        return np.outer(self.scale(patches), np.median(quiet.cross - quiet.signal(), axis=0))

    def scale(self, patches: Covariances) -> Floats:
        """Return how many times noisier each patch is than the quiet ones."""
        if self.quiet is None or not len(self.quiet.noise):
            return np.ones_like(patches.noise)
        return np.asarray(patches.noise / max(float(self.quiet.noise.mean()), 1e-300))

    def strong(self) -> NDArray[np.int64]:
        """Return the active patches whose signal stands out of their noise: indices."""
        active = self.active
        if active is None:
            return np.empty(0, np.int64)
        signal = active.raw[:, 0] - active.noise
        return np.flatnonzero(signal > _STRONG * active.noise)


def gather(raw: Frames, denoised: Frames, middles: NDArray[np.int64] | None = None) -> Evidence:
    """Read a raw and a denoised movie.

    Parameters
    ----------
    raw, denoised : Frames
        Movies of equal shape (T, Y, X).
    middles : ndarray of shape (R, 2), int64, optional
        Middles (y, x) of known regions, pixels; without them active patches are looked for.

    Raises
    ------
    ValueError
        If the movies differ in shape or have fewer than two frames.
    """
    shapes = [(len(movie), *np.shape(movie[0])) for movie in (raw, denoised)]
    raw = WithoutDropped(raw, denoised) if shapes[0] == shapes[1] else raw
    maps, figures = read_pair(raw, denoised)
    law = noise_law(maps.raw, maps.jump_raw)
    places = find_places(raw, denoised, middles)
    found = covariances(raw, denoised, places, law) if len(raw) >= LEAST_FRAMES else None
    return Evidence(
        maps=maps,
        figures=figures,
        law=law,
        places=places,
        active=found and found.active,
        quiet=found and found.quiet,
        lively=found and found.lively,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number and its standard error; both NaN where nothing can be said."""

    value: float
    error: float


NOTHING = Estimate(value=math.nan, error=math.nan)


def jackknife(patches: NDArray[np.int64], number: Callable[[NDArray[np.int64]], float]) -> Estimate:
    """Estimate a number over patches, with the error that leaving out each patch once tells.

    Parameters
    ----------
    patches : ndarray of shape (R,), int64
        Indices.
    number : callable
        Computes the number from indices.
    """
    count = len(patches)
    if count < LEAST_PATCHES:
        return NOTHING
    without = np.array([number(np.delete(patches, one)) for one in range(count)])
    error = math.sqrt((count - 1) * float(np.mean((without - without.mean()) ** 2)))
    return Estimate(value=number(patches), error=error)
