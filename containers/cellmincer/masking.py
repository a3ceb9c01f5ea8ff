"""Masks: which pixels are predicted from their surroundings, and what is hidden with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from correlation import Occlusion
    from window import Window


class Mask(NamedTuple):
    """A mask for one window.

    Parameters
    ----------
    centres : ndarray of shape (k, width, height), bool
        Pixels of the k middle frames that count in the loss.
    hidden : ndarray of shape (T, X', Y'), bool
        Pixels of window and surroundings that the network must not see.
    """

    centres: np.ndarray
    hidden: np.ndarray


def centre_share(probability: float, occlusion: Occlusion) -> float:
    """Return the share of pixels to predict: upstream's `occlusion_prob`, but at most one for each box on average."""
    return min(probability, 1 / occlusion.pixels)


class Span(NamedTuple):
    """A window in time: `frames` frames, of which the `middle` ones are predicted."""

    frames: int
    middle: int

    @property
    def first(self) -> int:
        """The first predicted frame."""
        return (self.frames - self.middle) // 2


def draw_mask(rng: np.random.Generator, window: Window, span: Span, probability: float, occlusion: Occlusion) -> Mask:
    """Draw a mask.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of random numbers.
    window : Window
        Window and surroundings.
    span : Span
        The same in time.
    probability : float
        See `centre_share`.
    occlusion : Occlusion
        Box to hide around each centre.

    Returns
    -------
    Mask
    """
    shape = (span.middle, window.width, window.height)
    centres = rng.random(shape) < centre_share(probability, occlusion)
    sides = [(border.before, border.after) for border in window.borders]
    hidden = np.pad(centres, ((span.first, span.frames - span.middle - span.first), *sides))
    for axis, radius in enumerate((occlusion.t, occlusion.x, occlusion.y)):
        hidden = _spread(hidden, radius, axis)
    return Mask(centres, hidden)


def _spread(mask: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """Set every place within `radius` of a set one along an axis."""
    made = mask.copy()
    for step in range(1, radius + 1):
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
        made[tuple(ahead)] |= mask[tuple(behind)]
        made[tuple(behind)] |= mask[tuple(ahead)]
    return made


def hide(
    rng: np.random.Generator, frames: np.ndarray, hidden: np.ndarray, noise: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Replace hidden pixels by independent Gaussian noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of random numbers.
    frames : ndarray of shape (T, X', Y'), float32
        Window with surroundings.
    hidden : ndarray of shape (T, X', Y'), bool
        What to replace.
    noise : tuple of two ndarrays of shape (X', Y')
        Mean and standard deviation at each pixel.

    Returns
    -------
    ndarray of shape (T, X', Y'), float32
    """
    mean, deviation = (np.broadcast_to(one, frames.shape)[hidden] for one in noise)
    made = frames.copy()
    made[hidden] = mean + deviation * rng.standard_normal(mean.size, np.float32)
    return made
