"""Mean and spread of samples as they come, and how soon the mean settles."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.transfer import leaving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SCORED_FRAMES = 8  # of a movie; enough for a mean over frames, little to store


def settling_counts(samples: int) -> list[int]:
    """Return the numbers of samples after which the mean is looked at: 1, 2, 4 .. and all."""
    return sorted({2**power for power in range(samples.bit_length())} | {samples})


class SampleMean:
    """Mean and variance of samples of one tile, by Welford's recurrence.

    Parameters
    ----------
    samples : int
        Samples that will come.
    keep : int
        Samples to keep as they are, the first ones.

    Attributes
    ----------
    mean, squares : ndarray, float64
        Of the samples so far: their mean, and the sum of the squared differences from it.
    kept : list of ndarray
        The first `keep` samples.
    """

    def __init__(self, samples: int, keep: int) -> None:
        self._counts, self._keep = set(settling_counts(samples)), keep
        self._number = 0
        self.mean, self.squares = 0.0, 0.0
        self.kept: list[np.ndarray] = []
        self.means: dict[int, np.ndarray] = {}

    def add(self, sample: np.ndarray) -> None:
        """Take in one sample, float64, intensity units, all of one shape; tensors will do as well as arrays."""
        self._number += 1
        off = sample - self.mean
        self.mean = self.mean + off / self._number
        self.squares = self.squares + off * (sample - self.mean)
        if self._number <= self._keep:
            self.kept.append(sample)
        if self._number in self._counts:
            self.means[self._number] = self.mean

    def leaving(self) -> Callable[[], SampleMean]:
        """Begin to copy what was collected as tensors to main memory; return a function that waits for it."""
        arrays = [self.mean, self.squares, *self.means.values(), *self.kept]
        arrived = leaving(torch.stack(arrays))

        def there() -> SampleMean:
            made = copy(self)
            made.mean, made.squares, *others = arrived()
            made.means = dict(zip(self.means, others, strict=False))
            made.kept = others[len(self.means) :]
            return made

        return there

    @property
    def variance(self) -> np.ndarray:
        """Variance of the samples around their mean, n - 1 in the denominator; 0 for a single sample."""
        return self.squares / max(self._number - 1, 1)


class Settling:
    """How the mean settles as samples are added, over all pixels of a movie.

    Parameters
    ----------
    samples : int
        Samples in all.
    """

    def __init__(self, samples: int) -> None:
        self._counts = settling_counts(samples)
        self._squares = dict.fromkeys(self._counts, 0.0)
        self._variance, self._pixels = 0.0, 0

    def add(self, tile: SampleMean) -> None:
        """Take in a tile whose samples are complete."""
        for count in self._counts:
            self._squares[count] += float(np.square(tile.means[count] - tile.mean).sum())
        self._variance += float(tile.variance.sum())
        self._pixels += tile.mean.size

    def document(self) -> dict[str, object]:
        """Return root mean squares over all pixels, intensity units, for a report.

        `expected_rms_error` is what so few samples add to the error of infinitely many: the spread over sqrt(n).
        """
        spread = float(np.sqrt(self._variance / self._pixels))
        return {
            "samples": self._counts,
            "rms_to_mean_of_all": [float(np.sqrt(self._squares[count] / self._pixels)) for count in self._counts],
            "rms_sd_of_samples": spread,
            "expected_rms_error": [spread / float(np.sqrt(count)) for count in self._counts],
        }


class PartialMeans:
    """Means of 1, 2, 4 .. samples of a few frames, kept on disk, so that they can be scored where a target is.

    Parameters
    ----------
    path : Path
        File to write, .npy, float32 of shape (counts, frames, Y, X), intensity units.
    shape : (int, int, int)
        T, Y, X of the movie.
    samples : int
        Samples in all.

    Attributes
    ----------
    path : Path
        As given.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], samples: int) -> None:
        self.path, self._counts = path, settling_counts(samples)
        self._frames = sorted({round(float(number)) for number in np.linspace(0, shape[0] - 1, _SCORED_FRAMES)})
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (len(self._counts), len(self._frames), *shape[1:])
        self._means = np.lib.format.open_memmap(path, "w+", np.float32, size)

    def add(self, frame: int, place: tuple[slice, slice], tile: SampleMean) -> None:
        """Take in a tile whose samples are complete, if its frame is one of those kept."""
        if frame in self._frames:
            for index, count in enumerate(self._counts):
                self._means[index, self._frames.index(frame), *place] = tile.means[count]

    def finish(self) -> list[int]:
        """Write what is not on disk yet, and return the numbers of the frames."""
        self._means.flush()
        return self._frames
