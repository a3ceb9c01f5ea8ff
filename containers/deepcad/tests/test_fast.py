"""Fast mode: what it gains, that its tiles leave no trace, and that it works where upstream writes zeros."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch

import fast
import learning
from contract.errors import DidNotConverge, OutOfMemory
from fast import fast_tiling
from lean import lean_forward

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).parent))

from movies import clean_movie, do, expected_grey, make_job, noisy_movie, psnr_db, write

PARAMS = {
    "mode": "fast", "fmap": 8, "patch_t": 16, "patch_y": 16, "patch_x": 16, "n_epochs": 2, "train_datasets_size": 200,
    "lr": 1e-3, "b1": 0.9,
}  # fmt: skip
CLEAN = clean_movie((72, 48, 48))
NOISY = noisy_movie(CLEAN)
TRUTH = expected_grey(CLEAN)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train for some 740 steps on a movie of known truth."""
    folder = tmp_path_factory.mktemp("fast")
    job = make_job(folder / "train", "train", [write(folder / "m.tif", NOISY)], PARAMS)
    do(job)
    return job.checkpoint


def predict(folder: Path, checkpoint: Path, movie: np.ndarray, params: dict | None = None, **fields: str) -> np.ndarray:
    """Predict a movie with a trained network."""
    path = write(folder / "m.tif", movie)
    job = make_job(folder / "predict", "predict", [path], PARAMS | (params or {}), checkpoint=checkpoint, **fields)
    do(job)
    return tifffile.imread(job.predictions / "m.tif")


@pytest.mark.training
def test_prediction_gains_over_the_noisy_movie_and_over_the_running_mean(
    tmp_path: Path, checkpoint: Path, record_property: Callable[[str, float], None]
) -> None:
    """Gains over the noisy movie, 25.4 dB: mean of 5 frames 5.4 dB; prediction 9.4 dB, sd 1.0 dB over three seeds."""
    found = predict(tmp_path, checkpoint, NOISY)
    means = np.stack([NOISY[max(0, t - 2) : t + 3].mean(axis=0) for t in range(len(NOISY))])
    record_property("gain_db", psnr_db(TRUTH, found) - psnr_db(TRUTH, NOISY))
    record_property("over_mean_db", psnr_db(TRUTH, found) - psnr_db(TRUTH, means))
    assert psnr_db(TRUTH, found) > psnr_db(TRUTH, NOISY) + 6
    assert psnr_db(TRUTH, found) > psnr_db(TRUTH, means) + 1


def test_the_mean_intensity_is_kept(tmp_path: Path, checkpoint: Path) -> None:
    found = predict(tmp_path, checkpoint, NOISY)
    assert found.mean() == pytest.approx(TRUTH.mean(), rel=0.01)
    assert not np.array_equal(found, np.rint(found)), "fast mode does not round"


@pytest.mark.parametrize("shape", [(136, 48, 48), (48, 136, 48), (48, 48, 136)])
def test_two_tiles_give_the_prediction_of_one(tmp_path: Path, checkpoint: Path, shape: tuple[int, int, int]) -> None:
    movie = noisy_movie(clean_movie(shape))
    whole = predict(tmp_path / "whole", checkpoint, movie, {"memory_gib": 4.0})
    tiled = predict(tmp_path / "tiled", checkpoint, movie, {"memory_gib": 0.05})
    assert tile_count(shape, 4.0) == 1
    assert tile_count(shape, 0.05) == 2
    noise = np.std(NOISY - TRUTH)
    assert np.sqrt(np.mean((whole - tiled) ** 2)) < noise / 100


def tile_count(shape: tuple[int, int, int], memory_gib: float) -> int:
    tiling = fast_tiling(shape, memory_gib, PARAMS["fmap"], "float32")
    return len(tiling.times) * len(tiling.rows) * len(tiling.columns)


def test_bfloat16_gives_nearly_the_same_prediction(tmp_path: Path, checkpoint: Path) -> None:
    single = predict(tmp_path / "float32", checkpoint, NOISY)
    half = predict(tmp_path / "bfloat16", checkpoint, NOISY, precision="bfloat16")
    assert not np.array_equal(single, half)
    assert psnr_db(TRUTH, half) > psnr_db(TRUTH, single) - 0.1


@pytest.mark.parametrize("shape", [(72, 16, 48), (16, 48, 48), (5, 47, 33), (1, 9, 7)])
def test_axes_as_long_as_the_patch_and_shorter_are_predicted_to_the_last_pixel(
    tmp_path: Path, checkpoint: Path, shape: tuple[int, int, int]
) -> None:
    frames, height, width = shape
    movie = NOISY[:frames, :height, :width]
    found = predict(tmp_path, checkpoint, movie)
    assert found.shape == movie.shape
    assert found.min() > 0, "upstream leaves zeros at the ends"


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_movie_around_zero_is_predicted_like_the_same_movie_with_an_offset(
    tmp_path: Path, checkpoint: Path, dtype: str
) -> None:
    """Upstream's gain has no meaning there, and turns such pixels into zeros."""
    offset = 121
    centred = NOISY.astype(dtype) - np.array(offset, dtype)
    found = predict(tmp_path / "centred", checkpoint, centred)
    expected = predict(tmp_path / "offset", checkpoint, NOISY) - offset
    assert psnr_db(TRUTH - offset, found) > psnr_db(TRUTH - offset, expected) - 0.2


@pytest.mark.parametrize("offset", [0, 1000])
def test_a_network_that_moves_the_mean_does_not_move_that_of_a_prediction(
    tmp_path: Path, checkpoint: Path, offset: int
) -> None:
    """Half a per cent is what the check of the baseline allows."""
    moved = tmp_path / "moved"
    shutil.copytree(checkpoint, moved)
    weights = max(moved.glob("*.pth"))
    state = torch.load(weights, weights_only=True)
    bias = [name for name in state if name.endswith("bias")][-1]
    state[bias] += 20
    torch.save(state, weights)
    movie = (NOISY + offset).astype(np.uint16)
    found = predict(tmp_path, moved, movie)
    assert found.mean() == pytest.approx(movie.mean(), rel=0.0005)
    np.testing.assert_allclose(found, predict(tmp_path / "plain", checkpoint, movie), atol=0.01)


def test_reading_ahead_and_writing_behind_change_no_bit(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = noisy_movie(clean_movie((136, 48, 48)))
    plain = predict(tmp_path / "plain", checkpoint, movie, {"memory_gib": 0.05})
    monkeypatch.setattr(fast, "depth_for", lambda _: 1)
    np.testing.assert_array_equal(predict(tmp_path / "ahead", checkpoint, movie, {"memory_gib": 0.05}), plain)


@pytest.mark.parametrize("first_failure", [1, 3])
def test_out_of_gpu_memory_halves_the_tiles_and_goes_on_where_it_stopped(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, first_failure: int
) -> None:
    """The first of several tiles tells the offset; it fails, or the third tile, when the frames of two are written."""
    movie = noisy_movie(clean_movie((300, 32, 32)))
    assert tile_count(movie.shape, 0.02) > 3
    expected = predict(tmp_path / "half", checkpoint, movie, {"memory_gib": 0.01})
    calls = []

    def full(network: torch.nn.Module, window: torch.Tensor) -> torch.Tensor:
        calls.append(window.numel())
        if len(calls) == first_failure:
            message = "CUDA out of memory"
            raise torch.OutOfMemoryError(message)
        return lean_forward(network, window)

    monkeypatch.setattr(fast, "lean_forward", full)
    monkeypatch.setattr(fast, "_SAMPLES", 1)
    found = predict(tmp_path / "full", checkpoint, movie, {"memory_gib": 0.02})
    assert found.shape == movie.shape
    assert np.sqrt(np.mean((found - expected) ** 2)) < np.std(NOISY - TRUTH) / 100
    events = (tmp_path / "full" / "predict" / "events.jsonl").read_text()
    assert "memory_gib: the GPU is out of memory with 0.02 GiB, going on with 0.01" in events
    assert max(calls[first_failure:]) < max(calls[:first_failure])


def test_no_gpu_memory_at_all_ends_as_out_of_memory(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        message = "CUDA out of memory"
        raise torch.OutOfMemoryError(message)

    monkeypatch.setattr(fast, "lean_forward", full)
    with pytest.raises(OutOfMemory, match=r"the GPU ran out of memory with 0.2 GiB, and with less: .*at least"):
        predict(tmp_path, checkpoint, NOISY, {"memory_gib": 0.2})


def test_output_in_the_dtype_of_the_input_is_rounded(tmp_path: Path, checkpoint: Path) -> None:
    floats = predict(tmp_path / "floats", checkpoint, NOISY)
    found = predict(tmp_path / "integers", checkpoint, NOISY, output_dtype="input")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, np.rint(floats))


def test_a_network_that_learned_nothing_is_told_from_one_that_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all weights zero, what is left of a network whose ReLUs died, every pixel gets the last bias."""

    def kill(self: learning.Learner, noisy: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        for weights in self.network.parameters():
            weights.data.zero_()
        return self.loss(noisy, target).detach()

    monkeypatch.setattr(learning.Learner, "step", kill)
    job = make_job(tmp_path / "train", "train", [write(tmp_path / "m.tif", NOISY[:34, :16, :16])], PARAMS)
    with pytest.raises(DidNotConverge, match="returns 0 for every pixel of every patch"):
        do(job)
    assert not (job.checkpoint / "manifest.json").exists()


def test_more_patches_than_there_are_become_all_there_are(tmp_path: Path) -> None:
    movie = write(tmp_path / "m.tif", NOISY[:34, :16, :16])
    job = make_job(tmp_path / "train", "train", [movie], PARAMS | {"fmap": 2})
    do(job)
    assert '"message": "3 patches per epoch, 200 were wished"' in (job.folder / "events.jsonl").read_text()
