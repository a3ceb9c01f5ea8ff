"""Truncated SVD in blocks against numpy, against the truth, and without a signal."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from contract.stacks import open_stack
from low_rank import blocks_of, decompose


def low_rank_of(path, movie, side=16):
    tifffile.imwrite(path, movie, metadata={"axes": "TYX"})
    with open_stack(path) as stack:
        found = decompose(stack, stack.memmap(path.parent), side)
        return found, np.concatenate([found.denoised(frames) for frames in blocks_of(stack)])


def cells(frames=400, height=40, width=52, seed=0):
    """Return three slow cells on a flat background, and the same with noise of 10 counts."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    clean = np.full((frames, height, width), 200.0)
    for at in ((10, 12), (28, 30), (15, 40)):
        trace = np.convolve(rng.random(frames + 60) < 0.03, np.exp(-np.arange(60) / 20))[60 : 60 + frames]
        clean += 60 * trace[:, None, None] * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 18)
    return clean, (clean + rng.normal(0, 10, clean.shape)).astype(np.float32)


def test_noise_goes_and_cells_stay(tmp_path):
    clean, noisy = cells()
    found, denoised = low_rank_of(tmp_path / "movie.tif", noisy)
    assert np.mean((denoised - clean) ** 2) < 0.05 * np.mean((noisy - clean) ** 2)
    lively = clean.std(axis=0) > 5
    slopes = [np.polyfit(clean[:, y, x], denoised[:, y, x], 1)[0] for y, x in np.argwhere(lively)]
    assert np.median(slopes) == pytest.approx(1, abs=0.05)
    assert max(block.directions.shape[1] for block in found.blocks) <= 4


@pytest.mark.parametrize("frames", [50, 300])
def test_of_noise_alone_nothing_is_kept_but_the_mean(tmp_path, frames):
    noisy = np.random.default_rng(1).normal(100, 5, (frames, 33, 40)).astype(np.float32)
    found, denoised = low_rank_of(tmp_path / "movie.tif", noisy)
    assert sum(block.directions.shape[1] for block in found.blocks) <= 1
    assert np.abs(denoised.mean(axis=0) - noisy.mean(axis=0)).max() < 0.5


def test_a_single_block_is_the_truncated_svd_of_numpy(tmp_path):
    """numpy.linalg.svd of the movie in units of its noise, cut at the same rank."""
    _, noisy = cells(frames=200, height=12, width=12)
    found, denoised = low_rank_of(tmp_path / "movie.tif", noisy, side=12)
    (block,) = found.blocks
    rank = block.directions.shape[1]
    scaled = ((noisy - found.mean) / found.noise).reshape(200, -1)
    left, values, right = np.linalg.svd(scaled, full_matrices=False)
    expected = ((left[:, :rank] * values[:rank]) @ right[:rank]).reshape(noisy.shape) * found.noise + found.mean
    assert rank > 0
    assert np.allclose(denoised, expected, atol=1e-6)


def test_constant_pixels_and_small_frames_come_back(tmp_path):
    _, noisy = cells(frames=60, height=11, width=13)
    noisy[:, :2] = 7
    _, denoised = low_rank_of(tmp_path / "movie.tif", noisy)
    assert np.allclose(denoised[:, :2], 7)
    assert np.isfinite(denoised).all()
