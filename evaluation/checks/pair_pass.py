"""One pass over a raw and a denoised movie: means at every pixel, and a few numbers of whole frames."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from evaluation.metrics import Frames

    from .sampling import Floats

END_FRAMES = 10  # at each end of a movie that are looked at on their own
_LOOKED_AT = 32  # frames from which the range of the raw movie is taken
_TAILS = (0.01, 99.99)  # percentiles of that range: a hot pixel does not widen it
_BEYOND = 1.0  # of the raw range by which a denoised value must leave it, and its raw value, to be out of range


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairMaps:
    """Means over time at every pixel, of shape (Y, X), float64; y raw, x denoised, r = y - x, d the jump of a frame.

    Attributes
    ----------
    raw, residual : ndarray
        Of y and r, grey levels.
    jump_raw, jump_residual : ndarray
        Of dy**2 / 2 and dr**2 / 2: the noise variance where nothing moves.
    copied, copied_x, copied_y : ndarray
        Of dx * dy / 2 with dy of the same pixel, the next one of its row, and of its column (0 in the last one).
    raw_x, raw_y : ndarray
        The same of dy with dy.
    """

    raw: Floats
    residual: Floats
    jump_raw: Floats
    jump_residual: Floats
    copied: Floats
    copied_x: Floats
    copied_y: Floats
    raw_x: Floats
    raw_y: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameFigures:
    """Numbers of whole frames.

    Attributes
    ----------
    frames : int
    mean_sd : float
        Standard deviation of the mean of r over one frame, from its jumps, grey levels.
    flicker : float
        Variance of the jumps of the mean of x over a frame beyond that of y, halved, squared grey levels.
    first, last, rest : float
        Noise taken out, mean(dr**2) / mean(dy**2), of the first, the last and all other frames.
    repeated : int
        Denoised frames equal to the frame before where the raw ones differ.
    beyond : int
        Denoised values that are not finite, or far outside of the raw range.
    levels : float
        Whole numbers between the 0.01th and the 99.99th percentile of the denoised movie where it holds nothing
        else, infinite otherwise.
    """

    frames: int
    mean_sd: float
    flicker: float
    first: float
    last: float
    rest: float
    repeated: int
    beyond: int
    levels: float


def read_pair(raw: Frames, denoised: Frames) -> tuple[PairMaps, FrameFigures]:
    """Read both movies once, frame by frame.

    Parameters
    ----------
    raw, denoised : Frames
        Movies of equal shape, at least two frames.

    Raises
    ------
    ValueError
        If the movies differ in shape or have fewer than two frames.
    """
    shapes = (len(raw), *np.shape(raw[0])), (len(denoised), *np.shape(denoised[0]))
    if shapes[0] != shapes[1] or shapes[0][0] < 2:  # noqa: PLR2004 - a jump takes two frames
        message = f"checks: expected two movies of one shape (T, Y, X) with T > 1, got {shapes[0]} and {shapes[1]}"
        raise ValueError(message)
    sums = _PairSums(raw, denoised)
    for frame in range(len(raw)):
        sums.feed(np.asarray(raw[frame], np.float32), np.asarray(denoised[frame], np.float32))
    return sums.maps(), sums.figures()


class _PairSums:
    """Streamed sums behind `read_pair`; memory is a dozen frames."""

    def __init__(self, raw: Frames, denoised: Frames) -> None:
        self._sums = np.zeros((9, *np.shape(raw[0])))
        self._limits = _limits(raw)
        self._levels = _levels(denoised)
        self._last: tuple[Floats, Floats] | None = None
        self._means: tuple[float, float] = (0.0, 0.0)
        self._mean_jumps = self._flicker = 0.0
        self._shares = _Shares()
        self._count = self._repeated = self._beyond = 0

    def feed(self, before: Floats, after: Floats) -> None:
        low, high, margin = self._limits
        strange = ~(np.abs(after - before) <= margin) & ~((after >= low) & (after <= high))
        self._beyond += int(np.count_nonzero(strange))
        after = np.where(np.isfinite(after), after, before)
        residual = before - after
        self._sums[0] += before
        self._sums[1] += residual
        means = float(before.mean(dtype=np.float64)), float(after.mean(dtype=np.float64))
        if self._last is not None:
            self._jump(before - self._last[0], after - self._last[1])
            raw, denoised = means[0] - self._means[0], means[1] - self._means[1]
            self._mean_jumps += (raw - denoised) ** 2 / 2
            self._flicker += (denoised**2 - raw**2) / 2
        self._means = means
        self._last = before, after
        self._count += 1

    def _jump(self, raw: Floats, denoised: Floats) -> None:
        residual = raw - denoised
        self._repeated += bool(raw.any() and not denoised.any())
        self._sums[2] += raw**2
        self._sums[3] += residual**2
        self._sums[4] += raw * denoised
        self._sums[5][:, :-1] += denoised[:, :-1] * raw[:, 1:]
        self._sums[6][:-1] += denoised[:-1] * raw[1:]
        self._sums[7][:, :-1] += raw[:, :-1] * raw[:, 1:]
        self._sums[8][:-1] += raw[:-1] * raw[1:]
        self._shares.feed(float(np.vdot(residual, residual)), float(np.vdot(raw, raw)))

    def maps(self) -> PairMaps:
        means = self._sums[:2] / self._count
        jumps = self._sums[2:] / (2 * (self._count - 1))
        return PairMaps(
            raw=means[0],
            residual=means[1],
            jump_raw=jumps[0],
            jump_residual=jumps[1],
            copied=jumps[2],
            copied_x=jumps[3],
            copied_y=jumps[4],
            raw_x=jumps[5],
            raw_y=jumps[6],
        )

    def figures(self) -> FrameFigures:
        first, last, rest = self._shares.ends()
        return FrameFigures(
            frames=self._count,
            mean_sd=float(np.sqrt(self._mean_jumps / (self._count - 1))),
            flicker=self._flicker / (self._count - 1),
            first=first,
            last=last,
            rest=rest,
            repeated=self._repeated,
            beyond=self._beyond,
            levels=self._levels,
        )


class _Shares:
    """Powers of the jumps of r and of y: in the first frames, the last ones, and all."""

    def __init__(self) -> None:
        self._first: list[tuple[float, float]] = []
        self._last: deque[tuple[float, float]] = deque(maxlen=END_FRAMES)
        self._total = np.zeros(2)

    def feed(self, residual: float, raw: float) -> None:
        if len(self._first) < END_FRAMES:
            self._first.append((residual, raw))
        self._last.append((residual, raw))
        self._total += residual, raw

    def ends(self) -> tuple[float, float, float]:
        first, last = np.sum(self._first, axis=0), np.sum(self._last, axis=0)
        return _share(first), _share(last), _share(self._total - first - last)


def _share(powers: Floats) -> float:
    residual, raw = powers.tolist()
    return float(residual / raw) if raw > 0 else float("nan")


def sample(movie: Frames) -> Floats:
    """Return a few frames, evenly spread."""
    chosen = np.unique(np.linspace(0, len(movie) - 1, _LOOKED_AT).round().astype(int))
    return np.stack([np.asarray(movie[int(frame)], np.float32) for frame in chosen])


def _limits(raw: Frames) -> tuple[float, float, float]:
    """Return the lowest and highest value to expect, and by how much one must differ from the raw one to be odd."""
    low, high = np.percentile(sample(raw), _TAILS).tolist()
    margin = _BEYOND * (high - low)
    return low - margin, high + margin, margin


def _levels(denoised: Frames) -> float:
    some = sample(denoised)
    if not np.isfinite(some).all() or not np.array_equal(some, np.rint(some)):
        return float("inf")
    low, high = np.percentile(some, _TAILS)
    return float(high - low + 1)
