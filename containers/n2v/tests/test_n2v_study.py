"""The environment of the study: its network, its hiding of pixels and its tiles, as careamics 0.0.5 has them."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
import tifffile
import torch

from careamics_tiles import place_tiles
from careamics_unet import VERSION, UNet
from contract.errors import JobRefused
from contract.events import Events
from contract.seeding import seed_everything
from n2v.tests.n2v_jobs import THREADS, clean_movie, noisy_movie, predict_job, train_job, write_stack
from run import check, predict, recipe_of, train
from without_init import STUDY

if VERSION != STUDY:
    pytest.skip(f"of environment study; this one has careamics {VERSION}", allow_module_level=True)

from careamics.dataset.tiling.tiled_patching import extract_tiles  # isort: skip
from careamics.transforms.n2v_manipulate import N2VManipulate  # isort: skip


@pytest.fixture(autouse=True)
def _threads():
    torch.set_num_threads(THREADS)


def job_on(folder, movie, **changes):
    return train_job(folder, [write_stack(folder / "movie.tif", movie)], **changes)


@pytest.mark.parametrize(("dimensions", "expected"), [(2, 509_217), (3, 1_523_553)])
def test_the_network_is_the_larger_one_of_the_study(dimensions, expected):
    """Counted on the unpatched packages 0.0.5 and 0.0.10; that of 0.3.5 has 333 729 in 2D."""
    network = UNet(conv_dims=dimensions, depth=2, num_channels_init=32)
    assert sum(weight.numel() for weight in network.parameters()) == expected


def test_pixels_are_hidden_as_upstream_hides_them_and_equal_values_are_not_looked_at(tmp_path):
    few_levels = np.random.default_rng(5).integers(0, 4, (4, 1, 32, 32)).astype(np.float32)
    job = job_on(tmp_path, few_levels[:, 0].astype(np.uint16), patch_size=32)
    example = recipe_of(job).prepare(torch.from_numpy(few_levels), _seeded())
    seed = int(torch.randint(2**63 - 1, (1,), generator=_seeded()))
    upstream = N2VManipulate(roi_size=11, masked_pixel_percentage=0.2, seed=seed)
    expected = [upstream(patch) for patch in few_levels]
    np.testing.assert_array_equal(example.source, np.stack([one[0] for one in expected]))
    np.testing.assert_array_equal(example.mask, np.stack([one[2] for one in expected]))
    hidden = 4 * 2**2  # a grid of 2 x 2 pixels in each patch, one for 22 x 22
    assert 0 < int(example.mask.sum()) < hidden


def _seeded():
    return torch.Generator().manual_seed(11)


@pytest.mark.parametrize(("length", "size", "share"), [(490, 64, 33 / 64), (1024, 128, 65 / 128), (200, 64, 0.75)])
def test_tiles_are_where_upstream_puts_them_and_the_later_one_wins(length, size, share):
    values = np.arange(length * length, dtype=np.float64).reshape(1, 1, length, length)
    overlap = int(size * share)
    expected = np.zeros((length, length), np.int64)
    for number, (_, tile) in enumerate(extract_tiles(values, (size, size), (overlap, overlap))):
        rows, columns = (slice(*place) for place in tile.stitch_coords)
        expected[rows, columns] = number
    places = place_tiles(length, size, share)
    found = np.full((length, length), -1)
    for row, one in enumerate(places):
        for column, other in enumerate(places):
            found[one.stitch, other.stitch] = row * len(places) + column
    np.testing.assert_array_equal(found, expected)
    assert all(one.read.start + one.crop.start == one.stitch.start for one in places)


@pytest.mark.parametrize("changes", [{"use_n2v2": True}, {"struct_n2v_axes": "horizontal", "use_augmentations": False}])
def test_what_the_study_did_not_do_is_refused(tmp_path, changes):
    with pytest.raises(JobRefused, match="in environment study"):
        check(job_on(tmp_path, np.zeros((4, 16, 16), np.uint16), **changes))


@pytest.mark.parametrize("depth", [None, 8])
def test_training_twice_gives_the_same_bits(tmp_path, depth):
    clean = clean_movie((24, 48, 48))
    small = {"patch_size": 16, "patch_size_z": depth, "batch_size": 4, "num_epochs": 1, "num_steps": 10, "lr": 0.003}
    results = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        trained = job_on(tmp_path / name, noisy_movie(clean), **small)
        seed_everything(trained.seed, trained.threads)
        with closing(Events(trained.folder / "events.jsonl")) as events:
            train(trained, events)
            assert events.network_parameters == (509_217 if depth is None else 1_523_553)
        job = predict_job(trained, list(trained.inputs.train))
        with closing(Events(job.folder / "events.jsonl")) as events:
            predict(job, events)
        results.append(tifffile.imread(job.predictions / "movie.tif"))
    np.testing.assert_array_equal(*results)
    assert results[0].shape == clean.shape
    assert np.isfinite(results[0]).all()
