"""Random patches of the training stacks, standardised, the same for the same seed and step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.errors import JobRefused
from contract.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from contract.stacks import Stack

_FRAMES = 16  # frames in memory at a time
_PATCHES = 0x9A7C4  # keeps these random numbers apart from those of other purposes


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How intensities become the network's numbers: (intensity - mean) / std.

    Parameters
    ----------
    mean, std : float
        Of all pixels of all training stacks, intensity units.
    """

    mean: float
    std: float


def scale_of(stacks: Sequence[Stack]) -> Scale:
    """Return mean and standard deviation over stacks, read a few frames at a time.

    Raises
    ------
    JobRefused
        When every pixel has the same value.
    """
    shift = float(stacks[0].frames(0, 1).mean(dtype=np.float64))  # keeps the digits of a small spread on a large offset
    count, total, square = 0, 0.0, 0.0
    for stack in stacks:
        for block in stack.blocks(_FRAMES):
            values = block.astype(np.float64) - shift
            count, total, square = count + values.size, total + values.sum(), square + (values * values).sum()
    variance = square / count - (total / count) ** 2
    if not variance > 0:
        message = f"{stacks[0].path}: expected pixels of different values, got {shift:g} everywhere"
        raise JobRefused(message)
    return Scale(mean=shift + float(total / count), std=float(np.sqrt(variance)))


class PatchSource:
    """Patches of stacks, each equally likely to come from any place.

    Parameters
    ----------
    stacks : sequence of Stack
        Stacks to cut from.
    size : int
        Height and width of a patch, pixels.
    scale : Scale
        Standardisation.
    folder : Path
        On whose disk decoded copies of compressed stacks lie.

    Raises
    ------
    JobRefused
        When a frame is smaller than a patch.
    """

    def __init__(self, stacks: Sequence[Stack], size: int, scale: Scale, folder: Path) -> None:
        for stack in stacks:
            if min(stack.shape[1:]) < size:
                message = f"{stack.path}: expected frames of at least {size} x {size} pixels, got {stack.shape[1:]}"
                raise JobRefused(message)
        self._movies = [stack.memmap(folder) for stack in stacks]
        self._size, self._scale = size, scale
        self._ends = np.cumsum([stack.shape[0] for stack in stacks])

    def batch(self, count: int, seed: int, *purpose: int) -> torch.Tensor:
        """Draw patches.

        Parameters
        ----------
        count : int
            Patches to draw.
        seed : int
            Seed of the job.
        *purpose : int
            What for, for instance the number of the step.

        Returns
        -------
        torch.Tensor of shape (count, 1, size, size), float32
            Standardised intensities.
        """
        rng = generator(seed, _PATCHES, *purpose)
        patches = np.empty((count, 1, self._size, self._size), np.float64)
        for index, frame in enumerate(rng.integers(0, self._ends[-1], count)):
            which = int(np.searchsorted(self._ends, frame, side="right"))
            movie = self._movies[which]
            top, left = (int(rng.integers(0, length - self._size + 1)) for length in movie.shape[1:])
            picked = movie[frame - self._ends[which], top : top + self._size, left : left + self._size]
            patches[index, 0] = picked
        return torch.from_numpy(((patches - self._scale.mean) / self._scale.std).astype(np.float32))
