"""Prediction in blocks equals prediction in one piece; tiles are placed as CAREamics places them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

import unet_prediction
from block_plan import FOOTPRINTS, plan_core
from careamics_unet import UNet
from contract.blocks import axis_blocks, pad_by_reflection
from contract.device import within_gpu_memory
from contract.errors import JobRefused, OutOfMemory
from contract.events import Events
from contract.files import write_json
from n2v.tests.n2v_jobs import THREADS, predict_job, train_job, write_stack
from unet_denoiser import load_denoiser
from unet_prediction import _padded, predict_all


@pytest.fixture(autouse=True)
def _threads():
    torch.set_num_threads(THREADS)


def untrained(folder, movie, *, conv_dims, n2v2=False, **changes):
    """Return a predict job on a movie and its denoiser, a network with random weights and statistics."""
    folder.mkdir(exist_ok=True)
    stack = write_stack(folder / "movie.tif", movie)
    job = predict_job(train_job(folder, [stack]), [stack], **changes)
    torch.manual_seed(3)
    network = UNet(conv_dims=conv_dims, depth=2, num_channels_init=32, n2v2=n2v2)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    job.checkpoint.mkdir(parents=True)
    torch.save(network.state_dict(), job.checkpoint / "network.pt")
    document = {"conv_dims": conv_dims, "n2v2": n2v2, "mean": 500.0, "std": 200.0}
    write_json(job.checkpoint / "denoiser.json", document)
    return job, load_denoiser(job)


def random_movie(shape):
    return np.random.default_rng(0).integers(0, 1000, shape).astype(np.uint16)


def in_one_piece(movie, denoiser):
    """Return upstream's forward pass over the whole movie, reflected up to a multiple of 4 and cropped again."""
    volume = denoiser.conv_dims == 3
    after = [-length % 4 for length in movie.shape]
    padded = pad_by_reflection(movie.astype(np.float32), (after[0] if volume else 0, *after[1:]))
    batch = torch.from_numpy(denoiser.normalisation.apply(padded))
    with torch.inference_mode():
        output = denoiser.network(batch[None, None] if volume else batch[:, None])
    result = denoiser.normalisation.undo(output.numpy().reshape(padded.shape))
    return result[tuple(slice(length) for length in movie.shape)]


def predicted(job):
    with closing(Events(job.folder / "events.jsonl")) as events:
        predict_all(job, events)
    return tifffile.imread(job.predictions / "movie.tif")


@pytest.mark.parametrize("n2v2", [False, True])
def test_2d_blocks_give_the_same_bits_as_whole_frames(tmp_path, n2v2):
    # 250 x 190 is no multiple of 4; 0.03 GiB cut each frame into 4 or more blocks.
    movie = random_movie((3, 250, 190))
    job, denoiser = untrained(tmp_path, movie, conv_dims=2, n2v2=n2v2, predict_memory_gib=0.03)
    np.testing.assert_array_equal(predicted(job), in_one_piece(movie, denoiser))


def test_frames_of_a_small_movie_have_the_same_bits_however_many_are_computed_at_once(tmp_path):
    # 5 frames in blocks of 2 leave a single one, which torch would compute on another code path.
    movie = random_movie((5, 40, 46))
    job, denoiser = untrained(tmp_path, movie, conv_dims=2, predict_memory_gib=2 * 60 * 48 * 1200 / 2**30)
    np.testing.assert_array_equal(predicted(job), in_one_piece(movie, denoiser))


@pytest.mark.parametrize("n2v2", [False, True])
def test_3d_blocks_give_the_same_bits_as_the_whole_movie(tmp_path, n2v2):
    # 0.18 GiB cut the rows in two and the frames in two or three. Frames times rows exceed 20480, above which
    # the forward pass of upstream, too, runs on oneDNN throughout.
    movie = random_movie((146, 142, 26))
    job, denoiser = untrained(tmp_path, movie, conv_dims=3, n2v2=n2v2, predict_memory_gib=0.06)
    np.testing.assert_array_equal(predicted(job), in_one_piece(movie, denoiser))


def test_a_frame_of_490_pixels_keeps_its_size_and_its_border(tmp_path):
    # 490 is the width of MOUSENEU_LP, which CAREamics refuses as it is no multiple of 4.
    movie = random_movie((1, 490, 490))
    job, denoiser = untrained(tmp_path, movie, conv_dims=2)
    prediction = predicted(job)
    assert prediction.shape == (1, 490, 490)
    np.testing.assert_array_equal(prediction, in_one_piece(movie, denoiser))


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_a_movie_shorter_than_a_chunk_keeps_every_frame_in_3d(tmp_path, frames):
    movie = random_movie((frames, 22, 18))
    job, denoiser = untrained(tmp_path, movie, conv_dims=3)
    # so few pixels take another code path in upstream's forward pass, hence rounding of float32
    np.testing.assert_allclose(predicted(job), in_one_piece(movie, denoiser), rtol=1e-5)


def reference_tiles(movie, denoiser, tile, overlap):
    """Predict tile by tile with CAREamics' TiledPatching in all dimensions and its rule to crop and stitch."""
    volume = denoiser.conv_dims == 3
    from careamics.dataset.patching.tiled_patching import TiledPatching  # noqa: PLC0415 - reachable after careamics_unet

    result = np.zeros(movie.shape, np.float32)
    samples = [movie] if volume else list(movie)
    placed = TiledPatching([(len(samples), 1, *samples[0].shape)], tile, overlap).tile_specs
    for spec in placed:
        sample = samples[spec["sample_idx"]]
        window = sample[tuple(slice(at, at + size) for at, size in zip(spec["coords"], tile, strict=True))]
        batch = torch.from_numpy(denoiser.normalisation.apply(window))[None, None]
        with torch.inference_mode():
            output = denoiser.normalisation.undo(denoiser.network(batch).numpy()[0, 0])
        into = result if volume else result[spec["sample_idx"]]
        crop = tuple(slice(at, at + size) for at, size in zip(spec["crop_coords"], spec["crop_size"], strict=True))
        goes = tuple(slice(at, at + size) for at, size in zip(spec["stitch_coords"], spec["crop_size"], strict=True))
        into[goes] = output[crop]
    return result


def test_study_tiles_are_cropped_and_stitched_as_careamics_does_in_2d(tmp_path):
    movie = random_movie((2, 50, 70))
    job, denoiser = untrained(tmp_path, movie, conv_dims=2, predict_tiling="study", patch_size=32, batch_size=5)
    expected = reference_tiles(movie, denoiser, (32, 32), (24, 24))
    np.testing.assert_allclose(predicted(job), expected, rtol=1e-5)
    assert not np.allclose(expected, in_one_piece(movie, denoiser), rtol=1e-5)


def test_study_tiles_are_cropped_and_stitched_as_careamics_does_in_3d(tmp_path):
    movie = random_movie((21, 18, 20))
    changes = {"patch_size": 16, "patch_size_z": 8, "tile_overlap": 0.5, "predict_tiling": "study"}
    job, denoiser = untrained(tmp_path, movie, conv_dims=3, **changes)
    expected = reference_tiles(movie, denoiser, (8, 16, 16), (4, 8, 8))
    np.testing.assert_allclose(predicted(job), expected, rtol=1e-5)


def test_study_tiles_larger_than_the_movie_cover_it_whole(tmp_path):
    movie = random_movie((2, 22, 18))
    job, denoiser = untrained(tmp_path, movie, conv_dims=2, predict_tiling="study", patch_size=64)
    np.testing.assert_allclose(predicted(job), in_one_piece(movie, denoiser), rtol=1e-5)


def test_windows_are_reflected_to_multiples_of_4_only_where_the_network_needs_it():
    window = np.zeros((1, 5, 8), np.uint16)
    assert _padded(window, 2).shape == (1, 8, 8)
    assert _padded(window, 3).shape == (4, 8, 8)


@pytest.mark.parametrize("shape", [(800, 256, 256), (6500, 490, 490), (50, 2048, 2048)])
@pytest.mark.parametrize("conv_dims", [2, 3])
def test_blocks_stay_within_the_memory_asked_for(conv_dims, shape):
    halo, multiple = ((28, 28, 28), (4, 4, 4)) if conv_dims == 3 else ((0, 28, 28), (1, 4, 4))
    footprint = FOOTPRINTS[conv_dims]
    core = plan_core(shape, halo=halo, multiple=multiple, footprint=footprint, gib=4.0)
    longest = [
        max(block.read_stop - block.read_start + block.pad for block in axis_blocks(*axis))
        for axis in zip(shape, core, halo, multiple, strict=True)
    ]
    area = longest[1] * longest[2]
    needed = area * footprint.pixel_bytes + longest[0] * (area * footprint.voxel_bytes + shape[1] * shape[2] * 8)
    assert needed <= 4 * 2**30


def test_a_block_as_large_as_the_movie_is_not_cut():
    footprint = FOOTPRINTS[2]
    core = plan_core((4, 64, 64), halo=(0, 28, 28), multiple=(1, 4, 4), footprint=footprint, gib=None)
    assert core == (4, 64, 64)


def test_too_little_memory_for_any_block_is_refused():
    with pytest.raises(JobRefused, match=r"predict_memory_gib: expected enough for one block of a 2048 x 2048 movie"):
        plan_core((9, 2048, 2048), halo=(28, 28, 28), multiple=(4, 4, 4), footprint=FOOTPRINTS[3], gib=0.1)


def test_reading_ahead_and_writing_behind_change_no_bit(tmp_path, monkeypatch):
    movie = random_movie((9, 60, 48))
    plain = predicted(untrained(tmp_path / "plain", movie, conv_dims=2, predict_memory_gib=0.01)[0])
    monkeypatch.setattr(unet_prediction, "depth_for", lambda _: 1)
    ahead = predicted(untrained(tmp_path / "ahead", movie, conv_dims=2, predict_memory_gib=0.01)[0])
    np.testing.assert_array_equal(ahead, plain)


@pytest.mark.parametrize("fits", [0, 2])
def test_out_of_gpu_memory_goes_on_in_smaller_blocks_to_the_same_bits(tmp_path, monkeypatch, fits):
    """The first blocks fit or not even those; frames that are written are not predicted again."""
    movie, gib = random_movie((12, 60, 48)), 4 * 60 * 48 * 1200 / 2**30
    plain = predicted(untrained(tmp_path / "plain", movie, conv_dims=2, predict_memory_gib=gib)[0])
    forward, frames = UNet.forward, []

    def full(self, batch):
        frames.append(len(batch))
        if len(frames) == fits + 1:
            raise torch.OutOfMemoryError
        return forward(self, batch)

    job, _ = untrained(tmp_path / "full", movie, conv_dims=2, predict_memory_gib=gib)
    monkeypatch.setattr(UNet, "forward", full)
    np.testing.assert_array_equal(predicted(job), plain)
    assert max(frames[fits + 1 :]) < frames[fits]
    left = len(movie) - sum(frames[:fits])
    assert sum(frames[fits + 1 :]) <= 2 * left, "frames that are left, in two blocks each"
    assert "predict_memory_gib: the GPU is out of memory with" in (job.folder / "events.jsonl").read_text()


def test_more_memory_than_the_gpu_has_free_is_told_before_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (3 * 2**30, 8 * 2**30))
    job = replace(untrained(tmp_path, random_movie((4, 20, 20)), conv_dims=2)[0], device="cuda")
    assert unet_prediction.memory_gib(job, 2) == 4
    with closing(Events(job.folder / "events.jsonl")) as events, pytest.raises(OutOfMemory, match=r"3\.0 of 8\.0 GiB"):
        within_gpu_memory(job, events, "predict_memory_gib", 4.0, pytest.fail)
