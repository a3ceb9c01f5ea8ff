"""Pairs of noisy and clean patches: targets in the intensity units of the noisy movie, cut at the same places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from contract.errors import JobRefused
from contract.seeding import generator
from contract.stacks import open_stack
from patch_sampling import PatchSource, augment, hold_out, open_movies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from contract.job import Job
    from contract.stacks import Stack

_FRAMES = 16  # in memory at a time while targets are fitted


class FittedTarget:
    """A target, brought to the intensity units of its noisy movie where it is read.

    Parameters
    ----------
    target : ndarray of shape (T, Y, X)
        As stored.
    fit : ndarray of shape (T, 2), float64
        Gain and offset of each frame: the noisy frame is gain * target + offset, and noise.
    """

    def __init__(self, target: np.ndarray, fit: np.ndarray) -> None:
        self._target, self._fit = target, fit
        self.shape = target.shape

    def __len__(self) -> int:
        return len(self._target)

    def __getitem__(self, place: tuple[slice, slice, slice]) -> np.ndarray:
        """Return some pixels of some frames, float32, in the intensity units of the noisy movie."""
        gain, offset = self._fit[place[0]].T[:, :, None, None]
        fitted: np.ndarray = (self._target[place] * gain + offset).astype(np.float32)
        return fitted

    def part(self, start: int, stop: int) -> FittedTarget:
        """Return some frames; none is read."""
        return FittedTarget(self._target[start:stop], self._fit[start:stop])


def fit_target(noisy: Path, target: Path, axes: str, per: Literal["stack", "frame"]) -> np.ndarray:
    """Fit a target to its noisy stack by least squares, the noise being independent of the target.

    Parameters
    ----------
    noisy, target : Path
        Stacks of the same shape.
    axes : str
        Axes of the noisy stack as stored.
    per : {"stack", "frame"}
        One gain and offset for all frames, or for each.

    Returns
    -------
    ndarray of shape (T, 2), float64
        Gain and offset of each frame.

    Raises
    ------
    JobRefused
        When the shapes differ, a pixel is not finite, or the target does not resemble the noisy stack.
    """
    with open_stack(noisy, axes) as one, open_stack(target) as other:
        if one.shape != other.shape:
            message = f"{target}: expected the shape of its noisy stack {noisy}, {one.shape}, got {other.shape}"
            raise JobRefused(message)
        moments = np.concatenate([_moments(*blocks) for blocks in zip(_blocks(one), _blocks(other), strict=True)])
    if per == "stack":
        moments = np.broadcast_to(moments.mean(axis=0), moments.shape)
    noisy_mean, target_mean, product, square = moments.T
    covariance, variance = product - noisy_mean * target_mean, square - target_mean**2
    unlike = ~(covariance > 0)  # NaN is unlike, too
    if unlike.any():
        frame = int(np.argmax(unlike))
        message = f"{target}: expected a clean counterpart of {noisy}, got one that is not like it in frame {frame}"
        raise JobRefused(message)
    gain = covariance / variance
    return np.stack([gain, noisy_mean - gain * target_mean], axis=1)


class PairSource:
    """Pairs of patches, each from one place of a noisy movie and of its target.

    Parameters
    ----------
    noisy : sequence of ndarray of shape (T, Y, X)
        Movies to cut from.
    targets : sequence of FittedTarget
        Of the same shapes.
    window : (int, int, int)
        Frames, rows and columns of a patch.
    """

    def __init__(
        self, noisy: Sequence[np.ndarray], targets: Sequence[FittedTarget], window: tuple[int, int, int]
    ) -> None:
        self._sources = (PatchSource(noisy, window), PatchSource(targets, window))

    def __len__(self) -> int:
        return len(self._sources[0])

    def read(self, index: int, seed: int, *purpose: int, augmented: bool) -> tuple[np.ndarray, np.ndarray]:
        """Cut one pair; the seed and what it is for choose the place, and how both patches are flipped and turned."""
        patches = []
        for source in self._sources:
            rng = generator(seed, *purpose)  # the same numbers for both
            patch = source.read(index, rng)
            patches.append(augment(patch, rng) if augmented else patch)
        return patches[0], patches[1]


def open_pairs(job: Job, window: tuple[int, int, int]) -> tuple[PairSource, PairSource]:
    """Open noisy stacks and their targets to train on and to validate on.

    Parameters
    ----------
    job : Job
        A train job. Without `job.inputs.val` the last frames of the longest stack are held out.
    window : (int, int, int)
        Frames, rows and columns of a patch.

    Returns
    -------
    train, val : PairSource
        Targets are in the intensity units of the noisy movies.

    Raises
    ------
    JobRefused
        Where a stack has no target, or one that does not fit it.
    """
    stacks, targets = (*job.inputs.train, *job.inputs.val), job.inputs.target
    if len(targets) != len(stacks):
        message = f"{job.path}: expected a target for each of {len(stacks)} stacks, got {len(targets)}"
        raise JobRefused(message)
    noisy = open_movies(job, stacks, window)
    fits = [
        fit_target(one, other, job.axes, job.params["target_fit"]) for one, other in zip(stacks, targets, strict=True)
    ]
    fitted = [FittedTarget(_open_target(job, path), fit) for path, fit in zip(targets, fits, strict=True)]
    count = len(job.inputs.train)
    if job.inputs.val:
        return PairSource(noisy[:count], fitted[:count], window), PairSource(noisy[count:], fitted[count:], window)
    train, val = hold_out(noisy, window, job.params["n_val_patches"])
    if train is val:
        both = PairSource(noisy, fitted, window)
        return both, both
    held = max(range(count), key=lambda number: len(noisy[number]) - len(train[number]))
    first = len(train[held])
    kept = [target.part(0, len(movie)) for target, movie in zip(fitted, train, strict=True)]
    return PairSource(train, kept, window), PairSource(val, [fitted[held].part(first, first + len(val[0]))], window)


def _open_target(job: Job, path: Path) -> np.ndarray:
    with open_stack(path) as stack:
        return stack.memmap(job.folder)


def _blocks(stack: Stack) -> Iterator[np.ndarray]:
    yield from (block.astype(np.float64) for block in stack.blocks(_FRAMES))


def _moments(noisy: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return for each frame the means of noisy, target, their product, and the square of the target."""
    both = (noisy, target, noisy * target, target * target)
    return np.stack([values.mean(axis=(1, 2)) for values in both], axis=1)
