"""Training patches from movies that stay on disk, and the mean and spread they are normalised with.

Nothing here knows what a patch is used for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contract.errors import JobRefused
from contract.stacks import open_stack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from contract.job import Job

_FRAMES = 16  # frames in memory at a time while statistics are taken
_EPS = 1e-6  # grey levels, added to the spread as careamics 0.3.5 does (MeanStdNormalization)
_HELD_OUT_SHARE = 10  # at most one frame in so many is kept from training for validation
_FEW_WINDOWS = 4  # a movie shorter than so many patches in time keeps all of it for training


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalisation:
    """Zero mean and unit spread, as careamics' `mean_std`.

    Parameters
    ----------
    mean, std : float
        Of all pixels trained on, grey levels.
    """

    mean: float
    std: float

    def apply(self, frames: np.ndarray) -> np.ndarray:
        """Return frames in units of the spread, float32, same shape; a float32 tensor becomes another."""
        single = frames.astype(np.float32) if isinstance(frames, np.ndarray) else frames
        return (single - np.float32(self.mean)) / np.float32(self.std + _EPS)

    def undo(self, frames: np.ndarray) -> np.ndarray:
        """Return normalised frames in grey levels, float32, same shape; a float32 tensor becomes another."""
        return frames * np.float32(self.std + _EPS) + np.float32(self.mean)


def measure(paths: Sequence[Path], axes: str) -> Normalisation:
    """Take mean and spread over all pixels of some stacks, a few frames at a time.

    Raises
    ------
    JobRefused
        When a pixel is not finite, or all pixels are equal.
    """
    shift: float | None = None
    count, total, squares = 0, 0.0, 0.0
    for path in paths:
        with open_stack(path, axes) as stack:
            for number, frames in enumerate(stack.blocks(_FRAMES)):
                block = frames.astype(np.float64)
                _refuse_not_finite(block, path, number * _FRAMES)
                shift = float(block.mean()) if shift is None else shift  # keeps the squares small
                block -= shift
                count += block.size
                total += float(block.sum())
                squares += float(np.square(block).sum())
    mean = total / count
    std = float(np.sqrt(max(squares / count - mean**2, 0.0)))
    if std == 0:
        message = f"{', '.join(map(str, paths))}: expected pixels that differ, got {shift} everywhere"
        raise JobRefused(message)
    return Normalisation(mean=mean + (shift or 0.0), std=std)


def _refuse_not_finite(block: np.ndarray, path: Path, first: int) -> None:
    finite = np.isfinite(block).all(axis=(1, 2))
    if not finite.all():
        message = f"{path}: expected finite pixels, got NaN or infinite ones in frame {first + int(np.argmin(finite))}"
        raise JobRefused(message)


def open_movies(job: Job, paths: Sequence[Path], window: tuple[int, int, int]) -> list[np.ndarray]:
    """Map stacks into memory for random access.

    Parameters
    ----------
    job : Job
        Says the axes, and where a decoded copy of a compressed stack may lie.
    paths : sequence of Path
        Stacks to open.
    window : (int, int, int)
        Frames, rows and columns that a patch needs.

    Returns
    -------
    list of ndarray of shape (T, Y, X)
        Read-only; the operating system holds in memory only what is used.

    Raises
    ------
    JobRefused
        When a stack is smaller than a patch.
    """
    movies = []
    for path in paths:
        with open_stack(path, job.axes) as stack:
            for axis, have, need in zip(("frames", "rows", "columns"), stack.shape, window, strict=True):
                if have < need:
                    message = f"{path}: expected at least {need} {axis}, the size of a patch, got {have}"
                    raise JobRefused(message)
            movies.append(stack.memmap(job.folder))
    return movies


def hold_out(
    movies: list[np.ndarray], window: tuple[int, int, int], patches: int, stride_t: int = 1
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Keep the last frames of the longest movie from training.

    Parameters
    ----------
    movies : list of ndarray of shape (T, Y, X)
        Movies to train on.
    window : (int, int, int)
        Size of a patch.
    patches : int
        How many patches validation looks at.
    stride_t : int
        Patches begin at multiples of so many frames of the whole movie, those held out too.

    Returns
    -------
    train, val : list of ndarray
        Movies to train on and to validate on. Where the longest movie is too short to spare a tenth of its frames, or
        one patch in time, both are all movies: the loss then says how training fits, not how it generalises.
    """
    longest = max(range(len(movies)), key=lambda number: len(movies[number]))
    movie, depth = movies[longest], window[0]
    cells = (movie.shape[1] // window[1]) * (movie.shape[2] // window[2])
    spare = max(len(movie) // _HELD_OUT_SHARE, depth if len(movie) >= _FEW_WINDOWS * depth and depth > 1 else 0)
    frames = min(spare, depth * -(-patches // cells))
    if frames < depth:
        return movies, movies
    first = (len(movie) - frames) // stride_t * stride_t
    train = [one[:first] if number == longest else one for number, one in enumerate(movies)]
    return train, [movie[first:]]


class PatchSource:
    """Patches of one size at random places; an epoch has as many as would cover every movie.

    Parameters
    ----------
    movies : sequence of ndarray of shape (T, Y, X)
        Movies to cut from, of any sizes.
    window : (int, int, int)
        Frames, rows and columns of a patch.
    stride_t : int
        Patches begin at multiples of so many frames; 2 with a window of two frames gives pairs (even, odd).
    """

    def __init__(self, movies: Sequence[np.ndarray], window: tuple[int, int, int], stride_t: int = 1) -> None:
        self._movies = movies
        self._window = window
        self._stride_t = stride_t
        self._ends = np.cumsum([self._patches_in_time(movie) * self._patches_in_frame(movie) for movie in movies])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Cut one patch.

        Parameters
        ----------
        index : int
            0 .. len - 1; says which movie and, where patches in time do not overlap, which frames.
        rng : numpy.random.Generator
            Chooses the place in the frame, and the time where the index does not.

        Returns
        -------
        ndarray of shape `window`
            In the dtype of the movie.
        """
        number = int(np.searchsorted(self._ends, index, side="right"))
        movie = self._movies[number]
        within = index - (int(self._ends[number - 1]) if number else 0)
        starts = self._starts(movie)
        cell = within // self._patches_in_frame(movie)
        time = cell if self._patches_in_time(movie) == starts else int(rng.integers(starts))
        first = time * self._stride_t
        row, column = (int(rng.integers(movie.shape[axis] - self._window[axis] + 1)) for axis in (1, 2))
        return movie[first : first + self._window[0], row : row + self._window[1], column : column + self._window[2]]

    def _starts(self, movie: np.ndarray) -> int:
        return (len(movie) - self._window[0]) // self._stride_t + 1

    def _patches_in_time(self, movie: np.ndarray) -> int:
        return min(self._starts(movie), -(-len(movie) // self._window[0]))

    def _patches_in_frame(self, movie: np.ndarray) -> int:
        return -(-movie.shape[1] // self._window[1]) * -(-movie.shape[2] // self._window[2])


def augment(patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flip along Y or X with probability 1/2, then turn by a multiple of 90 degrees with probability 1/2.

    The odds are those of careamics' XYFlip and XYRandomRotate90.

    Parameters
    ----------
    patch : ndarray of shape (t, y, x)
        y equals x.
    rng : numpy.random.Generator
        Chooses.

    Returns
    -------
    ndarray of the same shape
        A view.
    """
    if rng.random() < 0.5:  # noqa: PLR2004 - even odds
        patch = np.flip(patch, axis=int(rng.integers(1, 3)))
    if rng.random() < 0.5:  # noqa: PLR2004 - even odds
        patch = np.rot90(patch, k=int(rng.integers(1, 4)), axes=(1, 2))
    return patch
