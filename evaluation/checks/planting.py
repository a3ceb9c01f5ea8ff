"""Movies made from a raw one to try a denoiser on: transients added, noise without activity, frames in random order.

All are made frame by frame from the number of the frame and fixed seeds, so two makings have the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter

from .lagged import covariances
from .noise_law import NoiseLaw, noise_law
from .pair_pass import read_pair
from .places import find_places
from .sampling import LEAST_FRAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from evaluation.metrics import Frames

    from .places import Places
    from .sampling import Floats

SNRS = (1.0, 2.0, 4.0)  # heights of transients over the noise of their patch in one frame
_DECAYS_S = (0.4, 1.2)  # of a fast and of a slow indicator
_DECAYS_FRAMES = (4.0, 12.0)  # where the frame rate is not known
_SHORTEST, _LONGEST = 2.0, 24.0  # frames of decay that shifts of 32 frames can tell
_RISE = 0.5  # frames
_REST = 4.0  # decays from one transient to the next, and as many frames
_FORGOTTEN = 8.0  # decays after which a transient is over
_SMOOTH = 9  # pixels over which the noise of a movie without a noise law is averaged
_SEED = 20261128


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ground:
    """What a raw movie is like: where its activity and its quiet places are, and its noise.

    Attributes
    ----------
    mean, noise_sd : ndarray of shape (Y, X), float64
        Mean over time and noise of each pixel, grey levels.
    law : NoiseLaw
    places : Places
    quiet_sd : ndarray of shape (R,)
        Noise of the mean of each quiet patch, grey levels.
    highest : float
        Grey level above which the detector cannot count; infinite for floating point.
    """

    mean: Floats
    noise_sd: Floats
    law: NoiseLaw
    places: Places
    quiet_sd: Floats
    highest: float

    def room(self) -> Floats:
        """Return how far each quiet patch is from the highest grey level, less four times the noise: shape (R,)."""
        reach, factor = self.places.side // 2, self.places.factor
        corners = (self.places.quiet - reach) * factor
        side = self.places.side * factor
        patches = [(slice(y, y + side), slice(x, x + side)) for y, x in corners.tolist()]
        return np.array([self.highest - float(np.max(self.mean[one] + 4 * self.noise_sd[one])) for one in patches])

    @property
    def gain(self) -> float | None:
        """Grey levels per photon; None where the movie does not tell."""
        return self.law.gain if self.law.certain else None


def ground_of(raw: Frames, middles: NDArray[np.int64] | None = None) -> Ground | None:
    """Look at a raw movie; reads it twice, memory does not grow with its length.

    Parameters
    ----------
    raw : Frames
        Of shape (T, Y, X), grey levels.
    middles : ndarray of shape (R, 2), int64, optional
        Middles (y, x) of known regions, pixels.

    Returns
    -------
    Ground or None
        None where the movie is too short for its activity to be told.
    """
    if len(raw) < LEAST_FRAMES:
        return None
    maps, _ = read_pair(raw, raw)
    law = noise_law(maps.raw, maps.jump_raw)
    places = find_places(raw, raw, middles)
    quiet = covariances(raw, raw, places, law).quiet
    dtype = np.asarray(raw[0]).dtype
    return Ground(
        mean=maps.raw,
        noise_sd=np.sqrt(uniform_filter(maps.jump_raw, _SMOOTH)),
        law=law,
        places=places,
        quiet_sd=np.sqrt(quiet.noise),
        highest=float(np.iinfo(dtype).max) if dtype.kind in "iu" else math.inf,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Injection:
    """Transients added at quiet places: sizes and decays in turn, from patch to patch.

    Attributes
    ----------
    snrs, peaks, decays : ndarray of shape (R,)
        Height over the noise of the patch; the same in grey levels, of the mean of the patch, 0 where the detector
        would saturate; decay, frames.
    onsets : tuple of ndarray
        Frames in which the transients of each patch begin.
    footprint : ndarray of shape (side, side)
        Light over a patch, mean 1, pixels.
    """

    snrs: Floats
    peaks: Floats
    decays: Floats
    onsets: tuple[NDArray[np.int64], ...]
    footprint: Floats

    def courses(self, start: int, stop: int) -> Floats:
        """Return what is expected to be added to the mean of each patch: shape (stop - start, R), grey levels."""
        times = np.arange(start, stop)
        courses = np.zeros((len(times), len(self.peaks)))
        for patch in range(len(self.peaks)):
            courses[:, patch] = self._course(patch, times)
        return courses

    def _course(self, patch: int, times: NDArray[np.int64]) -> Floats:
        decay = self.decays[patch]
        reach = math.ceil(_FORGOTTEN * decay)
        onsets = self.onsets[patch]
        near = onsets[(onsets >= times[0] - reach) & (onsets <= times[-1])]
        since = np.maximum(times[:, None] - near[None, :] + 1.0, 0.0)
        top = float(_shape(np.arange(1.0, reach + 1), decay).max())
        return np.asarray(self.peaks[patch] * _shape(since, decay).sum(axis=1) / top)


def injection_for(ground: Ground, frames: int, frame_rate_hz: float | None) -> Injection:
    """Decide which transients are added to a movie of so many frames.

    Parameters
    ----------
    ground : Ground
        Of the raw movie.
    frames : int
    frame_rate_hz : float or None
        Frames per second; decays are 0.4 and 1.2 s, or 4 and 12 frames where it is not known.
    """
    count = len(ground.places.quiet)
    told = _DECAYS_FRAMES if frame_rate_hz is None else tuple(one * frame_rate_hz for one in _DECAYS_S)
    decays = np.clip(np.array(told), _SHORTEST, _LONGEST)[(np.arange(count) // len(SNRS)) % len(told)]
    snrs = np.array(SNRS)[np.arange(count) % len(SNRS)]
    footprint = _footprint(ground.places.side * ground.places.factor)
    peaks = snrs * ground.quiet_sd
    return Injection(
        snrs=snrs,
        peaks=np.where(peaks * footprint.max() < ground.room(), peaks, 0.0),
        decays=decays,
        onsets=tuple(_onsets(patch, decay, frames) for patch, decay in enumerate(decays)),
        footprint=footprint,
    )


def _shape(since: Floats, decay: float) -> Floats:
    """Return a transient by the frames since the one before its onset."""
    return np.asarray((1 - np.exp(-since / _RISE)) * np.exp(-since / decay))


def _onsets(patch: int, decay: float, frames: int) -> NDArray[np.int64]:
    """Return onsets with rests between them, none of them regular."""
    rest = int(_REST + _REST * decay)
    random = np.random.default_rng((_SEED, patch))
    gaps = rest + random.integers(0, rest, size=frames // rest + 1)
    return np.asarray((np.cumsum(gaps) - gaps[0] // 2)[np.cumsum(gaps) - gaps[0] // 2 < frames])


def _footprint(side: int) -> Floats:
    away = np.arange(side) - (side - 1) / 2
    one = np.exp(-(away**2) / (2 * (side / 4) ** 2))
    both = np.outer(one, one)
    return np.asarray(both / both.mean())


def injected(raw: Frames, ground: Ground, injection: Injection) -> Iterator[Floats]:
    """Yield the frames of a raw movie with transients and their shot noise added: (Y, X), float64, grey levels.

    Shot noise is that of the photons that the gain of the movie tells; without a gain none is added. Whole grey levels
    stay whole: what is added is rounded up or down by chance, so that its mean is kept.
    """
    places = ground.places
    corners = (places.quiet - places.side // 2) * places.factor
    side = len(injection.footprint)
    for frame in range(len(raw)):
        random = np.random.default_rng((_SEED, 1, frame))
        image: Floats = np.asarray(raw[frame])
        added = np.zeros(image.shape)
        for (y, x), height in zip(corners, injection.courses(frame, frame + 1)[0], strict=True):
            added[y : y + side, x : x + side] += _photons(height * injection.footprint, ground.gain, random)
        yield image + (_whole(added, random) if image.dtype.kind in "iu" else added)


def noise_only(raw: Frames, ground: Ground) -> Iterator[Floats]:
    """Yield frames of the mean image of a movie with fresh noise and no activity: (Y, X), float64, grey levels.

    Poisson noise by the noise law of the movie; normal noise of the size seen at each pixel where no law was found.
    """
    law, whole = ground.law, np.asarray(raw[0]).dtype.kind in "iu"
    for frame in range(len(raw)):
        random = np.random.default_rng((_SEED, 2, frame))
        if ground.gain is None:
            image: Floats = np.asarray(random.normal(ground.mean, ground.noise_sd))
        else:
            image = law.black + _photons(np.maximum(ground.mean - law.black, 0.0), ground.gain, random)
        yield _whole(image, random) if whole else image


def order_of(frames: int) -> NDArray[np.int64]:
    """Return the random order of `shuffled`: frame t of the shuffled movie is frame order[t] of the raw one."""
    return np.random.default_rng((_SEED, 3)).permutation(frames)


def shuffled(raw: Frames) -> Iterator[Floats]:
    """Yield the frames of a movie in random order: (Y, X), in its dtype."""
    for frame in order_of(len(raw)).tolist():
        yield np.asarray(raw[frame])


class EveryOther:
    """Frames `first`, `first` + 2, ... of a movie, as many for 0 as for 1: each (Y, X), in its dtype."""

    def __init__(self, movie: Frames, first: int) -> None:
        self._movie, self._first = movie, first

    def __len__(self) -> int:
        return len(self._movie) // 2

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self._movie[self._first + 2 * index]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))


def _photons(light: Floats, gain: float | None, random: np.random.Generator) -> Floats:
    return light if gain is None else np.asarray(gain * random.poisson(light / gain))


def _whole(values: Floats, random: np.random.Generator) -> Floats:
    return np.floor(values + random.random(values.shape))
