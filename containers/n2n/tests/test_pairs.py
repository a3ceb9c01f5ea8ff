"""Which frames are paired, and how still a movie must hold; no training."""

import sys
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
import tifffile
import torch
from n2n_jobs import clean_movie, make_job, noisy_movie, write_movie

from contract.errors import JobRefused
from contract.events import Events
from frame_pairs import measure_change, split_pairs
from patch_sampling import PatchSource
from run import check, train

MOVIES = [np.arange(7) + 1000.0, np.arange(8) + 2000.0]  # every frame holds its movie and number


def _pairs(stride_t, frames=2, *, both_directions=False):
    """Draw a thousand pairs and return source and target of each, one number per frame."""
    movies = [np.broadcast_to(movie[:, None, None], (len(movie), 8, 8)) for movie in MOVIES]
    source = PatchSource(movies, (frames, 8, 8), stride_t)
    rng = np.random.default_rng(0)
    patches = np.stack([source.read(int(rng.integers(len(source))), rng) for _ in range(1000)])
    example = split_pairs(torch.from_numpy(patches), torch.Generator().manual_seed(0), both_directions=both_directions)
    return example.source[..., 0, 0].squeeze(1).numpy(), example.target[..., 0, 0].squeeze(1).numpy()


def test_even_frames_predict_the_odd_ones_after_them_within_one_movie():
    source, target = _pairs(stride_t=2)
    assert set(source) == {1000, 1002, 1004, 2000, 2002, 2004, 2006}  # frame 6 of the first movie has no partner
    np.testing.assert_array_equal(target, source + 1)


def test_consecutive_pairs_use_every_frame_and_never_cross_movies():
    source, target = _pairs(stride_t=1)
    assert set(source) == {*range(1000, 1006), *range(2000, 2007)}
    np.testing.assert_array_equal(target, source + 1)


def test_both_directions_are_drawn_equally_often():
    source, target = _pairs(stride_t=1, both_directions=True)
    np.testing.assert_array_equal(np.abs(target - source), 1)
    assert 0.45 < np.mean(target > source) < 0.55


def test_a_volume_sees_every_other_frame_and_predicts_those_between():
    source, target = _pairs(stride_t=2, frames=4)
    assert source.shape == (1000, 2)
    np.testing.assert_array_equal(source[:, 1], source[:, 0] + 2)
    np.testing.assert_array_equal(target, source + 1)
    assert set(source[:, 0] % 2) == {0}


def test_a_still_movie_has_no_change_and_its_noise_is_measured(tmp_path):
    clean = np.repeat(clean_movie(1), 33, axis=0)
    found = measure_change([write_movie(tmp_path / "still.tif", noisy_movie(clean))], "TYX")
    assert not found.large
    assert found.change < 0.05 * found.noise
    assert found.noise == pytest.approx(np.sqrt(64 + 2 * clean.mean()), rel=0.05)  # read noise 8, gain 2
    assert found.significant == pytest.approx(0.001, abs=0.002)  # by definition


def test_the_size_of_a_change_is_measured(tmp_path):
    step = np.where(np.arange(33) % 2, 15.0, -15.0)[:, None, None]  # 30 from frame to frame
    found = measure_change([write_movie(tmp_path / "a.tif", noisy_movie(np.full((33, 64, 64), 100.0) + step))], "TYX")
    assert found.change == pytest.approx(30, rel=0.05)
    assert found.large
    assert found.significant > 0.9


def test_a_single_frame_is_refused(tmp_path):
    with pytest.raises(JobRefused, match="at least 2 frames"):
        measure_change([write_movie(tmp_path / "one.tif", noisy_movie(clean_movie(1)))], "TYX")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tile_size": 50}, "tile_size: expected a multiple of 4"),
        ({"patch_size_z": 8, "predict_tiling": "study"}, "predict_tiling: expected exact"),
    ],
)
def test_params_that_do_not_fit_are_refused(tmp_path, changes, expected):
    with pytest.raises(JobRefused, match=expected):
        check(make_job(tmp_path / "train", "train", "quick", inputs={}, **changes))


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        # The least block, 60 x 64 x 64 with its halo, takes 0.112 GiB beside 60 frames of 300 x 300.
        ((60, 300, 300), {"patch_size_z": 8}),
        # One frame that is read and written takes 0.107 GiB.
        ((2, 4000, 3600), {}),
    ],
)
def test_a_movie_that_could_not_be_predicted_is_refused_before_training(tmp_path, shape, changes):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint16), compression="zlib", metadata={"axes": "TYX"})
    job = make_job(tmp_path / "train", "train", "quick", inputs={"train": [path]}, predict_memory_gib=0.1, **changes)
    expected = f"predict_memory_gib: expected enough for one block of a {shape[1]} x {shape[2]} movie"
    with closing(Events(job.folder / "events.jsonl")) as events, pytest.raises(JobRefused, match=expected):
        train(job, events)
    assert not job.checkpoint.exists()
