"""Preprocess: from a movie to what the network is fed with, in two passes over the frames.

The first pass fits trend and noise line; between the passes some 480 frames tell how far the noise is correlated; the
second pass yields the features and the noise of every pixel. Nothing of the size of the movie is kept: frames without
their trend are made again whenever they are needed. Dejittering, when asked for, costs two passes more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from active import active_frames
from baseline import QuietFit
from contract.errors import AlgorithmFailed, JobRefused
from contract.seeding import generator
from correlation import NoiseStatistics, noise_statistics
from dejitter import dejitter
from features import Features, global_features
from likelihood import refine
from noise import NoiseFit, NoiseLine
from segments import Segment, kept_frames, segments_of
from trend import Trend, TrendFit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recording import Recording
    from settings import Preprocess, Settings

_WHOLE = slice(None)
_BOOTSTRAP_PURPOSE = 0xCE11
_LEAST_FRAMES = 2  # to tell noise from trend at all


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A movie ready for training and denoising.

    Parameters
    ----------
    recording : Recording
        The movie.
    trend : Trend
        What was taken off each pixel.
    noise : NoiseLine
        Variance against mean.
    statistics : NoiseStatistics
        Correlation and variance of the noise.
    features : Features
        Global features; `features.scale` is the unit of the network, counts.
    frames : ndarray of int
        Frames left after trimming.
    constant : ndarray of shape (X, Y), bool
        Pixels that never change, such as dead ones and the borders that motion correction leaves.
    clip : float or None
        Largest absolute value the network sees, in units of `features.scale`.
    """

    recording: Recording
    trend: Trend
    noise: NoiseLine
    statistics: NoiseStatistics
    features: Features
    frames: np.ndarray
    constant: np.ndarray
    clip: float | None

    @property
    def quiet(self) -> np.ndarray:
        """Pixels whose variance is at most a third signal, or else the quietest quarter: (X, Y), bool."""
        noisy = (self.statistics.variance > 0) & ~self.constant
        excess = np.full(noisy.shape, np.inf)
        excess[noisy] = self.statistics.total[noisy] / self.statistics.variance[noisy]
        limit = float(np.quantile(excess[noisy], 0.25)) if noisy.any() else 0.0
        return noisy & (excess <= max(1.5, limit))

    def detrended(self, frames: np.ndarray, xs: slice = _WHOLE, ys: slice = _WHOLE) -> np.ndarray:
        """Return frames without their trend in units of `features.scale`: ndarray of shape (n, X, Y), float32."""
        values = (self.recording.gather(frames, xs, ys) - self.trend.at(frames, xs, ys)) / self.features.scale
        return values if self.clip is None else np.clip(values, -self.clip, self.clip)


def prepare(
    recording: Recording, settings: Settings, *, seed: int, rate_hz: float | None, say: Callable[[str], None]
) -> Prepared:
    """Preprocess a movie.

    Parameters
    ----------
    recording : Recording
        The movie.
    settings : Settings
        What to do.
    seed : int
        Seed of the noise bootstrap.
    rate_hz : float or None
        Frames per second, where the manifest does not say.
    say : callable
        Takes sentences for the user.

    Returns
    -------
    Prepared

    Raises
    ------
    JobRefused
        For a movie of one frame, one without any change and one with values that are not finite.
    AlgorithmFailed
        When ``compat: upstream`` meets a movie that upstream fails on.
    """
    if len(recording) < _LEAST_FRAMES:
        message = f"{recording.name}: expected at least {_LEAST_FRAMES} frames, got {len(recording)}"
        raise JobRefused(message)
    if settings.preprocess.dejitter_enabled:
        dejitter(recording, settings.preprocess, settings.manifest.sampling_rate or rate_hz or 1.0)
    segments = segments_of(len(recording), settings.architecture.t_order, settings.manifest, settings.preprocess)
    _mention_segments(recording, segments, settings, say)
    fitted = _fit(recording, segments, settings, seed)
    return _measure(recording, segments, fitted, settings, say)


def _fit(recording: Recording, segments: tuple[Segment, ...], settings: Settings, seed: int) -> _FirstPass:
    preprocess = settings.preprocess
    integer = recording.dtype.kind in "iu" and recording.gain is None
    noise_fit = NoiseFit(preprocess.stationarity_window, generator(seed, _BOOTSTRAP_PURPOSE), integer=integer)
    flank_frames = sum(last - first for one in segments for first, last in one.flanks())
    seen = _Seen(recording)
    pieces = []
    for segment in segments:
        noise_fit.begin_segment()
        exponential = preprocess.trend_model == "exponential"
        fitted_frames = sum(last - first for first, last in segment.flanks())
        order = min(preprocess.poly_order, max(0, fitted_frames - 2))  # a curve through every frame leaves no noise
        trend_fit = TrendFit(segment, recording.shape[1:], order, exponential=exponential)
        quiet_fit = QuietFit(segment, recording.shape[1:], order)
        for start, stop, flank in _stretches(segment, recording.block_frames()):
            frames = recording.frames(start, stop)
            seen.add(start, frames)
            noise_fit.see(frames)
            if flank:
                noise_fit.add(frames, -(-preprocess.n_bootstrap * len(frames) // flank_frames))
                smoothed = _smoothed(recording, start, frames, preprocess)
                trend_fit.add(start, smoothed)
                quiet_fit.add(start, smoothed)
        piece = trend_fit.solve()
        pieces.append(piece if exponential or settings.upstream else quiet_fit.settled(piece))
    noise = noise_fit.solve(upstream=settings.upstream)
    if settings.upstream:
        _refuse_what_upstream_cannot(recording, noise)
        pieces = [refine(recording, piece, noise) for piece in pieces]
    return _FirstPass(Trend(pieces=tuple(pieces)), noise, seen.means, seen.high == seen.low)


class _FirstPass(NamedTuple):
    """Trend, noise line, mean of every frame (counts) and constant pixels."""

    trend: Trend
    noise: NoiseLine
    means: np.ndarray
    constant: np.ndarray


class _Seen:
    """Mean of every frame, and lowest and highest value of every pixel, counts."""

    def __init__(self, recording: Recording) -> None:
        self._name = recording.name
        self.means = np.zeros(len(recording))
        self.low = np.full(recording.shape[1:], np.inf, np.float32)
        self.high = np.full(recording.shape[1:], -np.inf, np.float32)

    def add(self, start: int, frames: np.ndarray) -> None:
        means = frames.mean(axis=(1, 2), dtype=np.float64)
        finite = np.isfinite(means)
        if not finite.all():
            message = f"{self._name}: expected finite values, got NaN or infinity in frame {start + finite.argmin()}"
            raise JobRefused(message)
        self.means[start : start + len(frames)] = means
        np.minimum(self.low, frames.min(axis=0), out=self.low)
        np.maximum(self.high, frames.max(axis=0), out=self.high)


def _stretches(segment: Segment, size: int) -> Iterator[tuple[int, int, bool]]:
    """Yield ranges of at most `size` frames that cover a segment, and whether each is flank."""
    start = segment.start
    for first, last in (*segment.flanks(), (segment.stop, segment.stop)):
        for low in range(start, first, size):
            yield low, min(low + size, first), False
        for low in range(first, last, size):
            yield low, min(low + size, last), True
        start = last


def _smoothed(recording: Recording, start: int, frames: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Take the median over `smoothing_window` frames (ends repeated) when asked for."""
    if preprocess.smoothing == "none":
        return frames
    half = preprocess.smoothing_window // 2
    wanted = np.clip(np.arange(start - half, start + len(frames) + half), 0, len(recording) - 1)
    extended = recording.gather(wanted)
    windows = np.lib.stride_tricks.sliding_window_view(extended, preprocess.smoothing_window, axis=0)
    return np.median(windows, axis=-1)


def _measure(
    recording: Recording,
    segments: tuple[Segment, ...],
    fitted: _FirstPass,
    settings: Settings,
    say: Callable[[str], None],
) -> Prepared:
    """Measure noise and features."""

    def gather(frames: np.ndarray) -> np.ndarray:
        return recording.gather(frames) - fitted.trend.at(frames)

    frames = kept_frames(segments)
    statistics = noise_statistics(gather, frames)
    active = _active(recording, segments, fitted, settings, say)
    features = global_features(gather, frames[active], settings.preprocess.feature_depth, upstream=settings.upstream)
    if not features.scale > 0:
        message = f"{recording.name}: expected frames that differ from their trend, got a movie without any change"
        raise JobRefused(message)
    return Prepared(
        recording=recording,
        trend=fitted.trend,
        noise=fitted.noise,
        statistics=statistics,
        features=features,
        frames=frames,
        constant=fitted.constant & (not settings.upstream),
        clip=settings.architecture.clip,
    )


def _active(
    recording: Recording,
    segments: tuple[Segment, ...],
    fitted: _FirstPass,
    settings: Settings,
    say: Callable[[str], None],
) -> np.ndarray:
    """Say for each frame left after trimming whether it counts for the features."""
    trace, kept = fitted.means, kept_frames(segments)
    if settings.manifest.infer_active_t_range:
        size = recording.block_frames()
        blocks = np.array_split(np.arange(len(trace)), -(-len(trace) // size))
        trace = trace - np.concatenate([fitted.trend.at(block).mean(axis=(1, 2)) for block in blocks])
    active = active_frames(trace, segments, settings.manifest)
    found = "infer_active_t_range: the histogram of the frame means has fewer than two peaks"
    if active is not None and not active[kept].any():
        found = "no frame is active, by what the manifest says"
    if active is None and settings.upstream:
        message = f"{recording.name}: {found}; upstream ends here with an IndexError (compat: upstream)"
        raise AlgorithmFailed(message)
    if active is None or not active[kept].any():
        say(f"{recording.name}: {found}, so all frames count as active")
        return np.ones(len(kept), bool)
    return active[kept]


def _mention_segments(
    recording: Recording, segments: tuple[Segment, ...], settings: Settings, say: Callable[[str], None]
) -> None:
    manifest = settings.manifest
    named = (manifest.n_frames_per_segment or 0) * (manifest.n_segments or 0)
    if named and named != len(recording):
        say(
            f"{recording.name}: the manifest names {named} frames, the movie has {len(recording)}; "
            f"segments here: {len(segments)}; every frame is kept"
        )


def _refuse_what_upstream_cannot(recording: Recording, noise: NoiseLine) -> None:
    if noise.global_min_variance <= 0:
        message = (
            f"{recording.name}: expected noise in every pixel, got a variance of {noise.global_min_variance:.3g} "
            "counts squared, by which upstream divides (compat: upstream)"
        )
        raise AlgorithmFailed(message)
