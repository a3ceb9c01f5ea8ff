"""What stands out of the noise in blocks of pixels: a few eigenvectors of each block.

The noise of a pixel is half the mean square of its change from frame to frame. In units of it, the largest variance of
a direction that noise alone has is (1 + sqrt(pixels / frames))**2; Marchenko and Pastur 1967,
doi 10.1070/SM1967v001n04ABEH001994.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contract.memory import release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.stacks import Stack

_FRAMES = 32  # in memory at a time
_SPARE = 1.05  # above the edge, as movies are finite and noise is not Gaussian


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Block:
    """One block of pixels.

    Parameters
    ----------
    rows, columns : slice
        Where it lies.
    weights : ndarray of shape (h, w), float64
        Its share of the blend.
    directions : ndarray of shape (h * w, rank), float64
        Orthonormal, in units of the noise.
    """

    rows: slice
    columns: slice
    weights: np.ndarray
    directions: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LowRank:
    """Mean and noise of every pixel, (Y, X), float64, and what was kept of each block."""

    mean: np.ndarray
    noise: np.ndarray
    blocks: tuple[Block, ...]

    def denoised(self, frames: np.ndarray) -> np.ndarray:
        """Return frames of shape (n, Y, X) with nothing but what was kept of each block."""
        scaled = (frames - self.mean) / self.noise
        made, shares = np.zeros(scaled.shape), np.zeros(self.mean.shape)
        for block in self.blocks:
            flat = scaled[:, block.rows, block.columns].reshape(len(frames), -1)
            kept = (flat @ block.directions) @ block.directions.T
            made[:, block.rows, block.columns] += kept.reshape(len(frames), *block.weights.shape) * block.weights
            shares[block.rows, block.columns] += block.weights
        denoised: np.ndarray = self.mean + self.noise * made / shares
        return denoised


def decompose(stack: Stack, movie: np.ndarray, side: int) -> LowRank:
    """Find what stands out of the noise in every block of a movie.

    Parameters
    ----------
    stack : Stack
        Movie, read once from the start to the end.
    movie : ndarray of shape (T, Y, X)
        The same, mapped for random access; read once, some rows at a time.
    side : int
        Pixels of a block along one side.
    """
    mean, noise = _mean_and_noise(stack)
    blocks: list[Block] = []
    for rows in _spans(stack.shape[1], side):
        strip = [(rows, columns) for columns in _spans(stack.shape[2], side)]
        blocks += _of_a_strip(movie, strip, mean, noise)
    return LowRank(mean=mean, noise=noise, blocks=tuple(blocks))


def blocks_of(stack: Stack) -> Iterator[np.ndarray]:
    """Yield the movie in pieces that fit into memory, float64."""
    for frames in stack.blocks(_FRAMES):
        yield frames.astype(np.float64)


def _mean_and_noise(stack: Stack) -> tuple[np.ndarray, np.ndarray]:
    total, jumps = np.zeros(stack.shape[1:]), np.zeros(stack.shape[1:])
    last: np.ndarray | None = None
    for frames in blocks_of(stack):
        total += frames.sum(axis=0)
        joined = frames if last is None else np.concatenate([last[None], frames])
        jumps += np.square(np.diff(joined, axis=0)).sum(axis=0)
        last = frames[-1]
    variance = jumps / 2 / max(1, stack.shape[0] - 1)
    return total / stack.shape[0], np.where(variance > 0, np.sqrt(variance), 1.0)


def _spans(length: int, side: int) -> list[slice]:
    """Cut an axis into spans of a block, each half over the one before; the last ends with the axis."""
    side = min(side, length)
    starts = sorted({*range(0, length - side, max(1, side // 2)), length - side})
    return [slice(start, start + side) for start in starts]


def _of_a_strip(
    movie: np.ndarray, strip: list[tuple[slice, slice]], mean: np.ndarray, noise: np.ndarray
) -> Iterator[Block]:
    """Collect the covariances of a row of blocks while its rows stream by, and keep what stands out of each."""
    rows = strip[0][0]
    height = rows.stop - rows.start
    pixels = height * (strip[0][1].stop - strip[0][1].start)
    covariances = np.zeros((len(strip), pixels, pixels))
    for start in range(0, len(movie), _FRAMES):
        frames = (movie[start : start + _FRAMES, rows].astype(np.float64) - mean[rows]) / noise[rows]
        for number, (_, columns) in enumerate(strip):
            flat = frames[:, :, columns].reshape(len(frames), -1)
            covariances[number] += flat.T @ flat
        release(movie)  # else all that was read counts as memory of this process
    for (_, columns), covariance in zip(strip, covariances, strict=True):
        shape = (height, columns.stop - columns.start)
        yield Block(
            rows=rows,
            columns=columns,
            weights=np.outer(*map(_triangle, shape)),
            directions=_standing_out(covariance / len(movie), len(movie)),
        )


def _standing_out(covariance: np.ndarray, frames: int) -> np.ndarray:
    """Return the directions whose variance is above what noise of variance 1 has in its largest."""
    variances, directions = np.linalg.eigh(covariance)
    edge = _SPARE * (1 + np.sqrt(len(covariance) / frames)) ** 2
    kept: np.ndarray = directions[:, variances > edge]
    return np.ascontiguousarray(kept)


def _triangle(length: int) -> np.ndarray:
    place = np.arange(length) + 0.5
    return np.minimum(place, length - place)
