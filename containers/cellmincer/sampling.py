"""Training samples: random windows of random movies, each with its mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contract.errors import JobRefused
from masking import Span, draw_mask, hide
from window import Window, feature_window, frame_window, noise_window, upstream_shift, window_at

if TYPE_CHECKING:
    from correlation import Occlusion
    from preprocess import Prepared
    from settings import Settings

_HELD_SHARE, _MOST_HELD = 0.05, 32  # of the frames, and at most so many, are never a target
_LEAST_SIDE = 8  # pixels; below, there is nothing to convolve
_TRIES = 1000  # draws for one window of importance sampling


class Batch(NamedTuple):
    """Samples for one step, arrays as they are drawn or the same as tensors.

    Parameters
    ----------
    frames : ndarray of shape (N, T, X', Y'), float32
        Windows with hidden pixels replaced, in units of the features' scale.
    features : ndarray of shape (N, F, X', Y'), float32
        Feature maps.
    target : ndarray of shape (N, k, width, height), float32
        The noisy values themselves.
    centres : ndarray of shape (N, k, width, height), bool
        Where the loss counts.
    weights : ndarray of shape (N,), float32
        Weight of each sample.
    """

    frames: np.ndarray
    features: np.ndarray
    target: np.ndarray
    centres: np.ndarray
    weights: np.ndarray


class Sampler:
    """Draw batches from movies.

    Parameters
    ----------
    movies : list of Prepared
        Movies to train on.
    settings : Settings
        Window size, batch size, masks.
    occlusion : Occlusion
        Box to hide around each masked pixel.
    rng : numpy.random.Generator
        For the importance threshold alone; batches have a generator of their own.

    Attributes
    ----------
    side : int
        Side of the window, pixels.
    held : list of ndarray of int
        For each movie the frames that are never a target.

    Raises
    ------
    JobRefused
        When a movie is too short or too small.
    """

    def __init__(
        self, movies: list[Prepared], settings: Settings, occlusion: Occlusion, rng: np.random.Generator
    ) -> None:
        self._movies, self._settings, self._occlusion = movies, settings, occlusion
        self.frames = settings.architecture.t_order + settings.fitting.t_tandem - 1
        self.side = window_side([movie.recording.shape[1:] for movie in movies], settings)
        self.held: list[np.ndarray] = []
        self._starts: list[np.ndarray] = []
        for movie in movies:
            held, starts = _starts_of(movie, settings)
            self.held.append(held)
            self._starts.append(starts)
        self._thresholds = [self._threshold(number, rng) for number in range(len(movies))]

    def draw(self, rng: np.random.Generator, step: int) -> Batch:
        """Draw the batch of a step.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of all random numbers of this batch.
        step : int
            Number of the step; with it the movies take turns, however many they are. Upstream begins with the first
            movie at every step, so with more movies than samples some are never seen.
        """
        count = self._settings.fitting.n_batch
        first = 0 if self._settings.upstream else step * count
        samples = [self._sample(rng, (first + item) % len(self._movies), item) for item in range(count)]
        return Batch(*(np.stack(parts) for parts in zip(*samples, strict=True)))

    def _sample(self, rng: np.random.Generator, number: int, item: int) -> tuple[np.ndarray, ...]:
        movie, settings = self._movies[number], self._settings
        start, window, weight = self._place(rng, number, item)
        frames = frame_window(movie, np.arange(start, start + self.frames), window)
        noise = noise_window(movie, window)
        span = Span(self.frames, settings.fitting.t_tandem)
        xs, ys = (slice(border.before, border.before + self.side) for border in window.borders)
        target = frames[span.first : span.first + span.middle, xs, ys].copy()
        mask = draw_mask(rng, window, span, settings.fitting.occlusion_prob, self._occlusion)
        hidden = mask.hidden
        if settings.architecture.occlude_padding:
            hidden = hidden | window.outside(movie.recording.shape[1:])
        features = feature_window(movie, window, settings.architecture.padding_mode)
        return hide(rng, frames, hidden, noise), features, target, mask.centres, np.float32(weight)

    def _place(self, rng: np.random.Generator, number: int, item: int) -> tuple[int, Window, float]:
        """Draw first frame and window, and give the weight of the sample."""
        threshold, fitting = self._thresholds[number], self._settings.fitting
        if threshold is None or fitting.importance_pivot is None:
            return *self._random_place(rng, number), 1.0
        above = item < fitting.n_batch // 2
        pivot = 0.01 if self._settings.upstream else fitting.importance_pivot  # upstream's weights are those of 0.01
        for _ in range(_TRIES):
            start, window = self._random_place(rng, number)
            if (self._brightness(number, start, window) >= threshold) == above:
                break
        return start, window, (pivot if above else 1 - pivot) / 0.5

    def _random_place(self, rng: np.random.Generator, number: int) -> tuple[int, Window]:
        movie = self._movies[number]
        shape = movie.recording.shape[1:]
        start = int(rng.choice(self._starts[number]))
        x, y = (int(rng.integers(0, length - self.side + 1)) for length in shape)
        valid = self._settings.architecture.valid
        shift = upstream_shift(self.side, self.side, shape, valid) if self._settings.upstream else (0, 0)
        return start, window_at((x, y), (self.side, self.side), valid, shift)

    def _brightness(self, number: int, start: int, window: Window) -> float:
        xs, ys = slice(window.x, window.x + self.side), slice(window.y, window.y + self.side)
        middle = start + self.frames // 2
        return float(self._movies[number].detrended(np.array([middle]), xs, ys).mean())

    def _threshold(self, number: int, rng: np.random.Generator) -> float | None:
        """Return the brightness that a share `importance_pivot` of all windows exceeds."""
        fitting = self._settings.fitting
        if fitting.importance_pivot is None:
            return None
        places = [self._random_place(rng, number) for _ in range(fitting.importance_n_sample)]
        values = [self._brightness(number, *place) for place in places]
        return float(np.quantile(values, 1 - fitting.importance_pivot))


def window_side(shapes: list[tuple[int, int]], settings: Settings) -> int:
    """Return the even side that makes the most of a window: the largest side / (side + borders) within the limits.

    Parameters
    ----------
    shapes : list of (X, Y)
        Sizes of the movies; the window must fit all of them.
    settings : Settings
        Limits and network.

    Raises
    ------
    JobRefused
        When a movie is smaller than 8 pixels.
    """
    smallest = min(min(shape) for shape in shapes)
    if smallest < _LEAST_SIDE:
        message = f"expected frames of at least {_LEAST_SIDE} x {_LEAST_SIDE} pixels, got a side of {smallest}"
        raise JobRefused(message)
    low = settings.fitting.output_min_size + settings.fitting.output_min_size % 2
    high = min(settings.fitting.output_max_size, smallest) // 2 * 2
    valid = settings.architecture.valid
    return max(range(min(low, high), high + 1, 2), key=lambda side: side / valid.input_size(side))


def _starts_of(movie: Prepared, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames held out and the first frames of all windows whose middle frames are not held out."""
    order, tandem = settings.architecture.t_order, settings.fitting.t_tandem
    half, length = order // 2, len(movie.recording)
    middles = movie.frames[(movie.frames >= half) & (movie.frames < length - half)]
    least = order + tandem - (1 if settings.upstream else 0)
    if len(middles) < least - order + 1:
        trimmed = length - len(movie.frames)
        message = f"{movie.recording.name}: training needs at least {least + trimmed} frames, got {length}"
        raise JobRefused(message)
    held = middles[:0]
    if not settings.upstream:
        count = int(np.clip(len(middles) * _HELD_SHARE, 1, _MOST_HELD))
        held = np.unique(middles[((np.arange(count) + 0.5) * len(middles) / count).astype(int)])
    starts = _windows(middles, held, tandem) - half
    if not len(starts):
        held = middles[-1:]
        starts = _windows(middles, held, tandem) - half
    return held, starts


def _windows(middles: np.ndarray, held: np.ndarray, tandem: int) -> np.ndarray:
    """Return the first of `tandem` consecutive middle frames wherever none of them is held out."""
    free = np.setdiff1d(middles, held)
    ok = [np.isin(free + step, free) for step in range(tandem)]
    return free[np.all(ok, axis=0)]
