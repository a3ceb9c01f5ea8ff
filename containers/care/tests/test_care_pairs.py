"""Pairs come from one place of both movies, in the units of the noisy one; no training."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
from care_jobs import clean_movie, make_job, noisy_movie, write_movie

from contract.errors import JobRefused
from pairs import FittedTarget, fit_target, open_pairs

FRAMES = 30
CLEAN = clean_movie(FRAMES)
SCALES = np.linspace(0.5, 3, FRAMES)[:, None, None]


@pytest.fixture
def paths(tmp_path):
    """Return a movie of gain 1 and offset 100 over its clean counterpart, 4 times as bright, less 50."""
    noisy = write_movie(tmp_path / "noisy" / "movie.tif", noisy_movie(CLEAN))
    return noisy, write_movie(tmp_path / "clean" / "movie.tif", (4 * CLEAN - 50).astype(np.float32))


def test_a_target_is_brought_to_the_units_of_the_noisy_movie(paths):
    fit = fit_target(*paths, "TYX", "stack")
    assert len(np.unique(fit[:, 0])) == 1
    np.testing.assert_allclose(fit[0], (1 / 4, 100 + 50 / 4), rtol=0.02)  # by the simulation


def test_frames_that_were_rescaled_one_by_one_are_fitted_one_by_one(paths, tmp_path):
    rescaled = write_movie(tmp_path / "rescaled.tif", (CLEAN * SCALES).astype(np.float32))
    fit = fit_target(paths[0], rescaled, "TYX", "frame")
    np.testing.assert_allclose(fit[:, 0] * SCALES[:, 0, 0], 1, rtol=0.1)
    target = FittedTarget((CLEAN * SCALES).astype(np.float32), fit)
    fitted = target[0:FRAMES, 0:64, 0:64]
    np.testing.assert_allclose(fitted.mean(axis=(1, 2)), CLEAN.mean(axis=(1, 2)) + 100, rtol=0.02)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (CLEAN[:-1], "expected the shape of its noisy stack"),
        (-CLEAN, "expected a clean counterpart"),
        (np.full_like(CLEAN, 7), "expected a clean counterpart"),
    ],
)
def test_a_target_that_does_not_fit_is_refused_by_name(paths, tmp_path, target, expected):
    path = write_movie(tmp_path / "wrong.tif", target.astype(np.float32))
    with pytest.raises(JobRefused, match=f"wrong.tif: {expected}"):
        fit_target(paths[0], path, "TYX", "stack")


def _job(tmp_path, paths, targets, **overrides):
    inputs = {"train": [paths[0]], "target": targets}
    return make_job(tmp_path / "train", "train", "smoke", inputs=inputs, **overrides)


def test_a_stack_without_a_target_is_refused(paths, tmp_path):
    with pytest.raises(JobRefused, match="expected a target for each of 1 stacks, got 0"):
        open_pairs(_job(tmp_path, paths, []), (1, 16, 16))


@pytest.mark.parametrize("augmented", [False, True])
def test_both_patches_of_a_pair_come_from_the_same_place(tmp_path, augmented):
    numbers = np.arange(FRAMES * 64 * 64, dtype=np.float32).reshape(FRAMES, 64, 64)  # every pixel is its place
    paths = [write_movie(tmp_path / name / "movie.tif", numbers) for name in ("noisy", "clean")]
    for pairs in open_pairs(_job(tmp_path, paths, [paths[1]]), (2, 16, 16)):  # those held out, too
        for index in range(len(pairs)):
            noisy, target = pairs.read(index, 1, index, augmented=augmented)
            np.testing.assert_allclose(target, noisy, rtol=1e-5)


def test_frames_held_out_are_not_trained_on(tmp_path):
    frames = np.broadcast_to(np.arange(FRAMES, dtype=np.float32)[:, None, None], (FRAMES, 64, 64))
    paths = [write_movie(tmp_path / name / "movie.tif", frames.copy()) for name in ("noisy", "clean")]
    seen = [
        {float(pairs.read(index, 1, index, augmented=False)[0].max()) for index in range(len(pairs))}
        for pairs in open_pairs(_job(tmp_path, paths, [paths[1]]), (1, 16, 16))
    ]
    assert seen[0]
    assert min(seen[1]) > max(seen[0])
