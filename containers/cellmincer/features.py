"""Global features: maps that tell the network what every place of a movie does over its whole length.

For each depth d (2x2 pooled d times) a movie A of Ta active frames is split into its mean over 21 frames, m, and the
rest, A - m. With C_z(dt, dx, dy) = mean_t (z(t + dt, x + dx, y + dy) - its mean) * (z(t, x, y) - its mean) and s the
standard deviation of all of A, the 37 maps of a depth are

* `detrended_std` = sqrt(C_{A-m}(0)) / s, `trend_std` = sqrt(C_m(0)) / s, `trend_mean` = mean of m / s,
* for the 17 offsets (dt in 0, 1; dx, dy in -1, 0, 1; not 0, 0, 0) alternately
  `detrended_corr` = C_{A-m}(dt, dx, dy) / (1e-8 + C_{A-m}(0)) and `trend_corr`, the same of m.

Everything is a mean over time of products, so one pass with 21 frames in memory is enough.
Wang et al., npj Imaging 2024, doi 10.1038/s44303-024-00055-x.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from padding import reflect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OFFSETS = tuple(one for one in product((0, 1), (-1, 0, 1), (-1, 0, 1)) if one != (0, 0, 0))
MAPS_PER_DEPTH = 3 + 2 * len(OFFSETS)
_HALF = 10  # frames on both sides of the moving mean
_PAD = 2 * _HALF  # frames of reflected padding at both ends
_LARGEST = 10.0  # of a correlation map; far above what movies show, below the outliers of movies of few grey levels
_CHUNK_BYTES = 1 << 25  # of float32 frames multiplied at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """The maps of a movie.

    Parameters
    ----------
    maps : ndarray of shape (37 * (feature_depth + 1), X, Y), float32
        In upstream's order, without unit.
    names : tuple of str
        One for each map.
    scale : float
        s, counts.
    """

    maps: np.ndarray
    names: tuple[str, ...]
    scale: float

    def named(self, name: str) -> np.ndarray:
        """Return one map by name."""
        return self.maps[self.names.index(name)]


def feature_count(feature_depth: int) -> int:
    """Return how many maps there are."""
    return MAPS_PER_DEPTH * (feature_depth + 1)


def global_features(
    gather: Callable[[np.ndarray], np.ndarray], active: np.ndarray, feature_depth: int, *, upstream: bool
) -> Features:
    """Compute the features of a movie in one pass.

    Parameters
    ----------
    gather : callable
        Frame numbers -> ndarray of shape (n, X, Y), float32: the movie without its trend, counts.
    active : ndarray of shape (Ta,), int
        Frame numbers that count, in order.
    feature_depth : int
        Largest depth.
    upstream : bool
        At depth 2 and beyond repeat depth 1, and leave outliers of the correlation maps as they are.

    Returns
    -------
    Features
    """
    shape = gather(active[:1]).shape[1:]
    grid = _Grid(shape[0], feature_depth), _Grid(shape[1], feature_depth)
    depths = [min(depth, 1) if upstream else depth for depth in range(feature_depth + 1)]
    sums = [_Sums() for _ in depths]
    spread = _Spread()
    for chunk in _chunks(gather, active):
        spread.add(chunk.frames[_HALF + chunk.inner.start : _HALF + chunk.inner.stop])
        padded = chunk.frames[:, grid[0].padded][:, :, grid[1].padded]
        for depth, one in zip(depths, sums, strict=True):
            one.add(_pooled(padded, depth), chunk, 2 ** (feature_depth - depth))
    maps, names = [], []
    for number, (depth, one) in enumerate(zip(depths, sums, strict=True)):
        for name, values in one.maps(len(active), spread.deviation, None if upstream else _LARGEST):
            maps.append(grid[0].unpool(grid[1].unpool(values, depth, axis=1), depth, axis=0))
            names.append(name.format(number))
    return Features(maps=np.stack(maps).astype(np.float32), names=tuple(names), scale=spread.deviation)


class _Chunk(NamedTuple):
    """Frames t - 10 .. of a stretch of `length` frames, and which of the stretch lie in the movie, not its padding."""

    frames: np.ndarray
    length: int
    inner: range


def _chunks(gather: Callable[[np.ndarray], np.ndarray], active: np.ndarray) -> Iterator[_Chunk]:
    """Stream the active frames, reflected at both ends, each chunk with the 10 frames before and 11 after it."""
    count = len(active)
    order = active[reflect(-_PAD, count + _PAD, count)]
    frames = gather(order[: _PAD + 1])
    size = int(np.clip(_CHUNK_BYTES // frames[0].nbytes, 8, 64))
    for start in range(-_HALF, count + _HALF, size):
        stop = min(start + size, count + _HALF)
        have, want = start + _HALF + len(frames), min(stop + _HALF + 1 + _PAD, len(order))
        if want > have:
            frames = np.concatenate([frames, gather(order[have:want])])
        yield _Chunk(frames, stop - start, range(max(0, -start), max(0, min(stop, count) - start)))
        frames = frames[size:]


class _Spread:
    """Standard deviation of all values seen, counts."""

    def __init__(self) -> None:
        self._sum = self._squares = 0.0
        self._count = 0

    def add(self, frames: np.ndarray) -> None:
        values = frames.astype(np.float64)
        self._sum, self._squares = self._sum + values.sum(), self._squares + (values**2).sum()
        self._count += values.size

    @property
    def deviation(self) -> float:
        return float(np.sqrt(max(0.0, self._squares / self._count - (self._sum / self._count) ** 2)))


class _Sums:
    """Sums over time of one depth: products of both signals with their neighbours, and the signals themselves."""

    def __init__(self) -> None:
        self._products: dict[tuple[int, int, int, int], np.ndarray] = {}
        self._sums: dict[tuple[int, int], np.ndarray] = {}
        self._trend = np.zeros(())
        self._trend_frames = 0

    def add(self, frames: np.ndarray, chunk: _Chunk, margin: int) -> None:
        """Add pooled frames of shape (n, X, Y), of which `margin` pixels on each side are padding."""
        total = np.cumsum(frames, axis=0, dtype=np.float64)
        total = np.concatenate([np.zeros_like(total[:1]), total])
        trend = ((total[2 * _HALF + 1 :] - total[: -2 * _HALF - 1]) / (2 * _HALF + 1)).astype(np.float32)
        rest = frames[_HALF : _HALF + len(trend)] - trend
        core = (slice(margin, -margin), slice(margin, -margin))
        self._trend = self._trend + trend[: chunk.length, *core].sum(axis=0, dtype=np.float64)
        self._trend_frames += chunk.length
        if not chunk.inner:
            return
        first, last = chunk.inner.start, chunk.inner.stop
        for signal, values in enumerate((rest, trend)):
            for dt in (0, 1):
                later = values[first + dt : last + dt]
                self._accumulate(self._sums, (signal, dt), later.sum(axis=0, dtype=np.float64))
            centre = values[first:last, *core]
            for dt, dx, dy in ((0, 0, 0), *OFFSETS):
                there = values[first + dt : last + dt, *_shifted(margin, dx, dy)]
                self._accumulate(self._products, (signal, dt, dx, dy), np.einsum("txy,txy->xy", centre, there))

    @staticmethod
    def _accumulate(store: dict[tuple[int, ...], np.ndarray], key: tuple[int, ...], value: np.ndarray) -> None:
        store[key] = store.get(key, 0.0) + value.astype(np.float64)

    def maps(self, count: int, scale: float, largest: float | None) -> Iterator[tuple[str, np.ndarray]]:
        """Yield names (with a place for the depth) and maps in upstream's order."""
        margin = (self._sums[0, 0].shape[0] - self._products[0, 0, 0, 0].shape[0]) // 2

        def covariance(signal: int, dt: int, dx: int, dy: int) -> np.ndarray:
            centre = self._sums[signal, 0][_shifted(margin, 0, 0)] / count
            there = self._sums[signal, dt][_shifted(margin, dx, dy)] / count
            return self._products[signal, dt, dx, dy] / count - centre * there

        variances = [np.maximum(covariance(signal, 0, 0, 0), 0) for signal in (0, 1)]
        unit = scale or 1.0
        yield "detrended_std_{}", np.sqrt(variances[0]) / unit
        yield "trend_std_{}", np.sqrt(variances[1]) / unit
        yield "trend_mean_{}", self._trend / self._trend_frames / unit
        for dt, dx, dy in OFFSETS:
            for signal, name in enumerate(("detrended", "trend")):
                values = covariance(signal, dt, dx, dy) / (1e-8 + variances[signal])
                limited = values if largest is None else np.clip(values, -largest, largest)
                yield f"{name}_corr_{{}}_{dt}_{dx}_{dy}", limited


def _shifted(margin: int, dx: int, dy: int) -> tuple[slice, slice]:
    return tuple(slice(margin + shift, shift - margin or None) for shift in (dx, dy))


def _pooled(frames: np.ndarray, depth: int) -> np.ndarray:
    if depth == 0:
        return frames
    side = 2**depth
    count, width, height = frames.shape
    return frames.reshape(count, width // side, side, height // side, side).mean(axis=(2, 4))


class _Grid:
    """One axis, reflected to a power of two and beyond, cut to what the maps inside the movie need.

    The power of two decides where the cells of the pooled maps begin, so it stays, without the cost of computing it.
    """

    def __init__(self, length: int, feature_depth: int) -> None:
        cell = 2**feature_depth
        power = max(cell, 1 << (length - 1).bit_length())
        before = (power - length) // 2
        low = max(0, before // cell * cell - cell)
        high = min(power, -(-(before + length) // cell) * cell + cell)
        inside = reflect(-before, power - before, length)
        self.padded = inside[reflect(-cell, power + cell, power)][low : high + 2 * cell]
        self._crop = slice(before - low, before - low + length)

    def unpool(self, values: np.ndarray, depth: int, axis: int) -> np.ndarray:
        """Enlarge a pooled map by 2**depth along one axis (bilinear between cell centres) and cut out the movie."""
        size, side = values.shape[axis], 2**depth
        place = np.clip((np.arange(size * side)[self._crop] + 0.5) / side - 0.5, 0, size - 1)
        low = np.minimum(place.astype(np.intp), max(size - 2, 0))
        share = np.expand_dims(place - low, 1 - axis)
        high = np.minimum(low + 1, size - 1)
        return np.take(values, low, axis) * (1 - share) + np.take(values, high, axis) * share
