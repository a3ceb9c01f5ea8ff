"""Patches come from every movie and frame, statistics from every pixel, careamics without the rest of careamics."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from contract.errors import JobRefused
from n2v.tests.n2v_jobs import train_job, write_stack
from patch_sampling import Normalisation, PatchSource, augment, hold_out, measure, open_movies
from without_init import bare_careamics, center_crop, torchvision_stand_in


def numbered(frames, rows, columns, first=0):
    """Return a movie whose pixels say which frame they are of."""
    return np.broadcast_to(np.arange(first, first + frames)[:, None, None], (frames, rows, columns))


def test_mean_and_spread_are_those_of_all_pixels_of_all_stacks(tmp_path):
    rng = np.random.default_rng(0)
    movies = [rng.integers(30000, 30100, (frames, 9, 7)).astype(np.uint16) for frames in (33, 5)]
    paths = [write_stack(tmp_path / f"{number}.tif", movie) for number, movie in enumerate(movies)]
    pixels = np.concatenate([movie.ravel() for movie in movies]).astype(np.float64)
    measured = measure(paths, "TYX")
    assert measured.mean == pytest.approx(pixels.mean(), rel=1e-12)
    assert measured.std == pytest.approx(pixels.std(), rel=1e-9)


def test_normalised_frames_come_back():
    frames = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    normalisation = Normalisation(mean=11.5, std=6.9)
    np.testing.assert_allclose(normalisation.undo(normalisation.apply(frames)), frames, atol=1e-5)


def test_a_2d_epoch_visits_every_frame_of_every_movie_as_often_as_patches_cover_it():
    # 20 x 9 pixels need 3 x 2 patches of 8 x 8, 8 x 8 pixels one.
    source = PatchSource([numbered(5, 20, 9), numbered(4, 8, 8, first=5)], (1, 8, 8))
    rng = np.random.default_rng(0)
    frames = [int(source.read(index, rng)[0, 0, 0]) for index in range(len(source))]
    assert np.bincount(frames).tolist() == [6] * 5 + [1] * 4


def test_pairs_begin_at_even_frames_only_and_leave_out_a_last_odd_one():
    source = PatchSource([numbered(7, 8, 8)], (2, 8, 8), stride_t=2)
    rng = np.random.default_rng(0)
    pairs = [source.read(index, rng)[:, 0, 0].tolist() for index in range(len(source))]
    assert sorted(pairs) == [[0, 1], [2, 3], [4, 5]]


def test_3d_patches_begin_anywhere_and_lie_inside():
    source = PatchSource([numbered(21, 9, 9)], (8, 8, 8))
    rng = np.random.default_rng(0)
    starts = {int(source.read(0, rng)[0, 0, 0]) for _ in range(500)}
    assert starts == set(range(14))  # 21 - 8 + 1
    assert len(source) == 3 * 2 * 2  # 21 / 8 and 9 / 8 rounded up


def test_the_last_frames_of_the_longest_movie_are_held_out():
    movies = [numbered(10, 16, 16), numbered(60, 16, 16)]
    train, val = hold_out(movies, (1, 8, 8), 9)  # 4 patches fit into a frame: 3 frames
    assert [len(movie) for movie in train] == [10, 57]
    assert [movie[:, 0, 0].tolist() for movie in val] == [[57, 58, 59]]


# Two pairs are 4 frames, and a tenth of 50 frames is 5: all but those, down to an even number.
@pytest.mark.parametrize(("frames", "patches", "first"), [(60, 2, 56), (61, 2, 56), (50, 9, 44)])
def test_pairs_that_are_held_out_begin_at_even_frames_of_the_whole_movie_too(frames, patches, first):
    train, val = hold_out([numbered(frames, 8, 8)], (2, 8, 8), patches, stride_t=2)
    assert [len(train[0]), int(val[0][0, 0, 0])] == [first, first]
    assert len(train[0]) + len(val[0]) == frames


def test_a_3d_patch_is_held_out_where_a_quarter_of_the_frames_suffices():
    train, val = hold_out([numbered(32, 8, 8)], (8, 8, 8), 5)
    assert [len(train[0]), len(val[0])] == [24, 8]


def test_nothing_is_held_out_of_a_movie_that_is_too_short():
    movies = [numbered(9, 8, 8)]
    assert hold_out(movies, (1, 8, 8), 5) == (movies, movies)
    assert hold_out(movies, (8, 8, 8), 5) == (movies, movies)


def test_augmentation_turns_and_flips_within_frames_only():
    patch = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    rng = np.random.default_rng(0)
    seen = {augment(patch, rng).tobytes() for _ in range(400)}
    frame_zero = {np.frombuffer(one, patch.dtype).reshape(patch.shape)[0].tobytes() for one in seen}
    assert len(seen) == len(frame_zero) == 8  # the symmetries of a square


def test_movies_are_mapped_not_read(tmp_path):
    path = write_stack(tmp_path / "movie.tif", np.zeros((3, 8, 8), np.uint16))
    assert isinstance(open_movies(train_job(tmp_path, [path]), [path], (1, 8, 8))[0], np.memmap)


def test_a_stack_with_too_few_columns_is_refused(tmp_path):
    path = write_stack(tmp_path / "movie.tif", np.zeros((3, 9, 7), np.uint16))
    with pytest.raises(JobRefused, match=r"movie.tif: expected at least 8 columns, the size of a patch, got 7"):
        open_movies(train_job(tmp_path, [path]), [path], (1, 8, 8))


def test_careamics_is_used_without_lightning_zarr_or_the_real_torchvision():
    bare_careamics()
    torchvision_stand_in()
    import careamics.models.lvae.lvae  # noqa: PLC0415 - needs the stand-in

    assert careamics.models.lvae.lvae.LadderVAE
    assert not {"lightning", "torchmetrics", "zarr", "torchvision.models"} & set(sys.modules)


def test_the_centre_is_cropped_with_half_a_pixel_rounded_to_even():
    # torchvision.transforms.functional.center_crop: top = round((5 - 2) / 2) = 2, left = round((4 - 1) / 2) = 2
    image = torch.arange(20).reshape(1, 5, 4)
    assert center_crop(image, (2, 1)).tolist() == [[[10], [14]]]
    assert center_crop(image, 3).tolist() == [[[4, 5, 6], [8, 9, 10], [12, 13, 14]]]
