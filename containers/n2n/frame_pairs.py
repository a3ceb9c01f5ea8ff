"""Pairs of patches from consecutive frames of one movie, and whether the signal holds still between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.errors import JobRefused
from contract.stacks import open_stack
from unet_denoiser import Example

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_WINDOW = 5  # pixels; noise averages out over a window, the signal hardly
_FRAMES = 17  # frames looked at in one go
_BLOCKS = 64  # of so many frames, about, spread over all stacks
_LARGE = 0.7  # change over noise, both root mean square; change**2 / 2 stays as error: 6 dB are the most to gain then
_SIGNIFICANT = 10.83  # 99.9 % quantile of chi-squared with one degree of freedom


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameChange:
    """How much the signal changes from one frame to the next.

    Parameters
    ----------
    change : float
        Root mean square change of the mean of a 5 x 5 pixel window, intensity units, without what noise adds.
    noise : float
        Root mean square noise of a pixel, intensity units.
    significant : float
        Share of windows and frame pairs whose change noise explains with a probability of 0.1 % only.
    """

    change: float
    noise: float
    significant: float

    @property
    def large(self) -> bool:
        """Whether the network has to predict a change that it cannot know, and answers with a blur in time."""
        return self.change > _LARGE * self.noise


def split_pairs(patches: torch.Tensor, rng: torch.Generator, *, both_directions: bool) -> Example:
    """Split patches of consecutive frames into what the network sees and what it is to predict.

    Parameters
    ----------
    patches : Tensor of shape (B, 2 n, y, x)
        Frames of one movie in order: for each pair the earlier first.
    rng : torch.Generator
        Draws the direction of each pair.
    both_directions : bool
        Whether the later frame may be the input, too.

    Returns
    -------
    Example
        Source and target of shape (B, 1, y, x) for n = 1, else (B, 1, n, y, x).
    """
    source, target = patches[:, 0::2], patches[:, 1::2]
    if both_directions:
        swap = torch.rand((len(patches), 1, 1, 1), generator=rng, device=patches.device) < 0.5  # noqa: PLR2004 - even odds
        source, target = torch.where(swap, target, source), torch.where(swap, source, target)
    if patches.shape[1] > 2:  # noqa: PLR2004 - more than one pair: a volume, with a channel of its own
        source, target = source[:, None], target[:, None]
    return Example(source=source, target=target)


def measure_change(paths: Sequence[Path], axes: str) -> FrameChange:
    """Measure how much the signal changes between consecutive frames, against the noise.

    The difference of two frames is cut into windows of 5 x 5 pixels. Of independent noise the mean of a window, scaled
    by 5, has the variance of a pixel around it; what it has more is change of the signal.

    Parameters
    ----------
    paths : sequence of Path
        Noisy stacks, at least two frames each.
    axes : str
        Axes as stored.

    Raises
    ------
    JobRefused
        When no stack has two frames.
    """
    around, along, significant, count = 0.0, 0.0, 0, 0
    for difference in _differences(paths, axes):
        windows = _windows(difference)
        scaled_mean = windows.mean(-1) * _WINDOW
        spread = windows.var(-1, ddof=1)
        around += float(spread.sum())
        along += float(np.square(scaled_mean).sum())
        significant += int(np.count_nonzero(np.square(scaled_mean) > _SIGNIFICANT * spread.mean(axis=0)))
        count += spread.size
    if not count:
        message = f"{paths[0]}: expected at least 2 frames of {_WINDOW} x {_WINDOW} pixels, got fewer"
        raise JobRefused(message)
    excess = max(along - around, 0.0) / count / _WINDOW**2
    return FrameChange(
        change=float(np.sqrt(excess)), noise=float(np.sqrt(around / count / 2)), significant=significant / count
    )


def _differences(paths: Sequence[Path], axes: str) -> Iterator[np.ndarray]:
    for path in paths:
        with open_stack(path, axes) as stack:
            starts = range(0, stack.shape[0] - 1, _FRAMES - 1)
            for start in starts[:: max(1, len(starts) * len(paths) // _BLOCKS)]:
                frames = stack.frames(start, min(start + _FRAMES, stack.shape[0])).astype(np.float64)
                yield np.diff(frames, axis=0)


def _windows(frames: np.ndarray) -> np.ndarray:
    """Cut (T, Y, X) into windows: (T, windows, pixels of a window); what does not fill a window is left out."""
    count, rows, columns = frames.shape[0], frames.shape[1] // _WINDOW, frames.shape[2] // _WINDOW
    cut = frames[:, : rows * _WINDOW, : columns * _WINDOW].reshape(count, rows, _WINDOW, columns, _WINDOW)
    return cut.transpose(0, 1, 3, 2, 4).reshape(count, rows * columns, _WINDOW * _WINDOW)
