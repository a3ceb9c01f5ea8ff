"""How the traces of patches in a raw and a denoised movie vary together, at every shift in time.

The noise of a raw frame is independent of the next frame's, so a raw trace tells its signal from its noise by its
covariance with itself some frames later. What a denoiser copied of the noise shows in quiet patches, and is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .places import traces
from .sampling import stretches_of, without_trend

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evaluation.metrics import Frames

    from .noise_law import NoiseLaw
    from .places import Places
    from .sampling import Floats

LAGS = 32  # frames; fewer in a short movie
_KEPT = 0.75  # of the jumps of a trace, the smallest: what is left when those of events are cut off
_KEPT_VARIANCE = 0.3684  # of a normal distribution cut there, in units of its own variance


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Covariances:
    """Covariances over time of the traces of R patches, squared grey levels.

    Attributes
    ----------
    raw, denoised : ndarray of shape (R, K + 1)
        Of a trace with itself k frames later.
    cross : ndarray of shape (R, 2 K + 1)
        Of the denoised trace with the raw one k frames later, k from -K to K.
    noise : ndarray of shape (R,)
        Variance of the noise of the raw trace.
    frames : int
        Frames read.
    """

    raw: Floats
    denoised: Floats
    cross: Floats
    noise: Floats
    frames: int

    @property
    def lags(self) -> int:
        """Largest shift K, frames."""
        return int(self.raw.shape[1]) - 1

    def signal(self) -> Floats:
        """Return the covariance of the raw signal without its noise at every shift -K to K: shape (R, 2 K + 1)."""
        half = self.raw.copy()
        half[:, 0] -= self.noise
        return np.concatenate([half[:, :0:-1], half], axis=1)

    def residual(self) -> Floats:
        """Return the covariance of raw minus denoised with itself k frames later: shape (R, K + 1)."""
        return self.scaled_residual(1.0)

    def scaled_residual(self, amplitude: float) -> Floats:
        """Return the same after the denoised movie was divided by the amplitude it kept."""
        later, earlier = self.cross[:, self.lags :], self.cross[:, self.lags :: -1]
        return self.raw - (later + earlier) / amplitude + self.denoised / amplitude**2


class ByKind(NamedTuple):
    """Covariances of the active, the quiet and the lively patches."""

    active: Covariances
    quiet: Covariances
    lively: Covariances


def covariances(raw: Frames, denoised: Frames, places: Places, law: NoiseLaw) -> ByKind:
    """Read the traces of all patches once and return their covariances.

    Parameters
    ----------
    raw, denoised : Frames
        Movies of equal shape.
    places : Places
        Patches.
    law : NoiseLaw
        Noise of a pixel by its brightness; from it and the quiet patches follows the noise of the others.

    Returns
    -------
    ByKind
    """
    kinds = (places.active, places.quiet, places.lively)
    parts: tuple[list[_Part], ...] = ([], [], [])
    for before, after in stretches_of(raw, denoised, places.factor):
        for found, middles in zip(parts, kinds, strict=True):
            found.append(_part(traces(before, middles, places.side), traces(after, middles, places.side)))
    active, quiet, lively = map(_joined, parts)
    return ByKind(*(one.covariances(quiet, law) for one in (active, quiet, lively)))


def noiseless(pairs: Iterable[tuple[Floats, Floats]]) -> Covariances:
    """Return the covariances of signals that are known without noise and what a denoiser made of them.

    Parameters
    ----------
    pairs : iterable of (ndarray, ndarray)
        Signal and result of each stretch, each of shape (L, R).
    """
    joined = _joined([_part(signal, result) for signal, result in pairs])
    zero = np.zeros_like(joined.mean)
    return Covariances(raw=joined.raw, denoised=joined.denoised, cross=joined.cross, noise=zero, frames=joined.frames)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Part:
    """Covariances of one stretch or several, see `Covariances`, and what the noise follows from.

    Parameters
    ----------
    mean, jumps, resting : ndarray of shape (R,)
        Mean of the raw trace; half the mean square of its jumps, and the same without the largest ones.
    """

    raw: Floats
    denoised: Floats
    cross: Floats
    mean: Floats
    jumps: Floats
    resting: Floats
    frames: int

    def covariances(self, quiet: _Part, law: NoiseLaw) -> Covariances:
        """Add the noise: that of quiet patches at another brightness, or where that is not known, the small jumps."""
        noise = self.jumps if self is quiet else self.resting
        if self is not quiet and law.certain and len(quiet.mean):
            noise = quiet.jumps.mean() * law.ratio(self.mean, quiet.mean.mean())
        return Covariances(raw=self.raw, denoised=self.denoised, cross=self.cross, noise=noise, frames=self.frames)


def _part(before: Floats, after: Floats) -> _Part:
    lags = min(LAGS, len(before) // 4)
    raw, denoised = without_trend(before), without_trend(after)
    jumps = np.sort(np.diff(before, axis=0) ** 2, axis=0) / 2
    return _Part(
        raw=np.stack([_product(raw, raw, lag) for lag in range(lags + 1)], axis=1),
        denoised=np.stack([_product(denoised, denoised, lag) for lag in range(lags + 1)], axis=1),
        cross=np.stack([_product(denoised, raw, lag) for lag in range(-lags, lags + 1)], axis=1),
        mean=before.mean(axis=0),
        jumps=jumps.mean(axis=0),
        resting=jumps[: int(_KEPT * len(jumps))].mean(axis=0) / _KEPT_VARIANCE,
        frames=len(before),
    )


def _joined(parts: list[_Part]) -> _Part:
    frames = sum(part.frames for part in parts)

    def mean(name: str) -> Floats:
        return np.asarray(sum(getattr(part, name) * part.frames for part in parts) / frames)

    names = ("raw", "denoised", "cross", "mean", "jumps", "resting")
    return _Part(**{name: mean(name) for name in names}, frames=frames)


def _product(first: Floats, second: Floats, lag: int) -> Floats:
    """Return the mean over time of ``first[t] * second[t + lag]`` for each patch."""
    if lag < 0:
        return _product(second, first, -lag)
    return np.asarray(np.mean(first[: len(first) - lag] * second[lag:], axis=0))
