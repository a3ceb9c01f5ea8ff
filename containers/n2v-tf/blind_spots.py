"""Hide pixels of noisy patches, written from the paper of Noise2Void and not from anyone's code."""

from __future__ import annotations

import numpy as np


def hide_pixels(
    patches: np.ndarray, rng: np.random.Generator, *, percentage: float, roi_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Replace some pixels of each patch by another pixel from their neighbourhood.

    The pixels are spread by stratified sampling: a patch is cut into boxes that hold one hidden pixel each on average,
    so that they do not cluster. The replacement is drawn evenly from the box of `roi_size` around the pixel, cut at the
    border of the patch, without the pixel itself: with it, the network would now and then see what it is to predict.

    Parameters
    ----------
    patches : ndarray of shape (B, ...)
        Patches of any number of dimensions; axes of length 1 have no neighbours.
    rng : numpy.random.Generator
        Draws pixels and replacements.
    percentage : float
        Pixels to hide.
    roi_size : int
        Width of the neighbourhood, odd, pixels.

    Returns
    -------
    seen, hidden : ndarray of shape (B, ...)
        Patches with pixels replaced, and 1.0 where that is so, else 0.0.

    References
    ----------
    Krull, Buchholz, Jug. Noise2Void: learning denoising from single noisy images. CVPR 2019.
    """
    seen, hidden = patches.copy(), np.zeros_like(patches)
    for patch, changed, mask in zip(patches, seen, hidden, strict=True):
        pixels = _stratified(patch.shape, percentage, rng)
        changed[tuple(pixels)] = patch[tuple(_neighbours(pixels, patch.shape, roi_size // 2, rng))]
        mask[tuple(pixels)] = 1.0
    return seen, hidden


def _stratified(shape: tuple[int, ...], percentage: float, rng: np.random.Generator) -> np.ndarray:
    """Return coordinates of shape (dimensions, n), n at least 1: one pixel from each box, those outside left out."""
    long = sum(length > 1 for length in shape)
    box = (100 / percentage) ** (1 / long)
    counts = [int(np.ceil(length / box)) for length in shape]
    while True:
        corners = np.indices(counts).reshape(len(shape), -1) * box
        pixels = np.floor(corners + rng.random(corners.shape) * box).astype(int)
        pixels[np.array(shape) == 1] = 0
        inside = (pixels < np.array(shape)[:, None]).all(axis=0)
        if inside.any():
            return pixels[:, inside]


def _neighbours(pixels: np.ndarray, shape: tuple[int, ...], radius: int, rng: np.random.Generator) -> np.ndarray:
    low = np.maximum(pixels - radius, 0)
    high = np.minimum(pixels + radius + 1, np.array(shape)[:, None])
    drawn = rng.integers(low, high)
    while (same := (drawn == pixels).all(axis=0)).any():
        drawn[:, same] = rng.integers(low[:, same], high[:, same])
    return drawn
