"""The parts that decide without a network, each against upstream's or NumPy's own answer."""

from __future__ import annotations

import math
import os
import sys
import tracemalloc
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
import tifffile
import torch

import intensities
from checkpoints import new_network
from contract.errors import JobRefused
from contract.events import Events
from contract.pooling import LargestOfEight
from contract.predictions import open_prediction
from contract.stacks import open_stack
from exact import predict_exactly
from intensities import Centred, mean_for_prediction, mean_for_training
from lean import lean_forward
from patch_grid import exact_tiles, training_grid
from settings import Settings, settings_of
from tiling import HALO, best_tiling
from upstream import upstream

if TYPE_CHECKING:
    from contract.blocks import Block

sys.path.insert(0, str(Path(__file__).parent))

import oracle
from movies import PARAMS, make_job, write


def _settings(**changed: Any) -> Settings:
    """Return the settings of the tests' jobs, with some changed; faults of the detector are the contract's."""
    return Settings(**{one.name: (PARAMS | changed)[one.name] for one in fields(Settings)})


SETTINGS = _settings()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_means_of_a_streamed_movie_are_numpys_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, compression: str | None
) -> None:
    rng = np.random.default_rng(1)
    movie = (rng.normal(90, 30, (23, 31, 37)) * (50 if dtype == "uint16" else 1)).astype(dtype)
    tifffile.imwrite(tmp_path / "m.tif", movie, compression=compression, photometric="minisblack")
    monkeypatch.setattr(intensities, "_PIXELS_AT_ONCE", 5000)
    with open_stack(tmp_path / "m.tif", "TYX") as stack:
        assert mean_for_prediction(stack) == np.float32(movie.mean())
        assert mean_for_training(stack, 23) == movie.astype(np.float32).mean()
        assert mean_for_training(stack, 17) == movie[:17].astype(np.float32).mean()


def test_a_movie_with_nan_is_refused(tmp_path: Path) -> None:
    movie = np.full((4, 5, 6), np.nan, np.float32)
    with open_stack(write(tmp_path / "m.tif", movie)) as stack, pytest.raises(JobRefused, match="finite intensities"):
        mean_for_prediction(stack)


@pytest.mark.parametrize("shape", [(33, 28, 30), (40, 8, 17), (17, 21, 8), (100, 9, 64)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.33, 0.6])
@pytest.mark.parametrize(("wish", "movies"), [(40, 1), (100, 1), (90, 2), (7, 3), (300, 1)])
def test_training_patches_are_upstreams(
    tmp_path: Path, shape: tuple[int, int, int], overlap: float, wish: int, movies: int
) -> None:
    """Where upstream divides by zero, the job is refused, and the number that the message names is accepted."""
    params = PARAMS | {"overlap_factor": overlap, "train_datasets_size": wish}
    movie = np.zeros(shape, np.uint16)
    with open_stack(write(tmp_path / "m.tif", movie)) as stack:
        try:
            expected = oracle.training_grid(movie, params, movies)
        except ZeroDivisionError:
            with pytest.raises(JobRefused, match=r"expected (\d+) to (\d+) patches") as refused:
                training_grid([stack] * movies, _settings(**params))
            least, most = map(int, str(refused.value).split("expected ")[1].split(" patches")[0].split(" to "))
            for size in (least, most):
                assert training_grid([stack] * movies, _settings(**params | {"train_datasets_size": size})).coordinates
        else:
            found = training_grid([stack] * movies, _settings(**params))
            assert found.coordinates == expected
            assert found.stack_index == sorted(found.stack_index)


def test_a_movie_too_short_to_train_on_is_refused_with_the_largest_patch_that_fits(tmp_path: Path) -> None:
    with (
        open_stack(write(tmp_path / "m.tif", np.zeros((16, 28, 30), np.uint16))) as stack,
        pytest.raises(JobRefused, match=r"patch_t, patch_y, patch_x of at most \(7, 28, 30\)"),
    ):
        training_grid([stack], SETTINGS)


@pytest.mark.parametrize("length", [9, 15, 16, 17, 40, 41, 63])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.33, 0.5, 0.6, 0.85])
def test_tiles_and_what_is_kept_of_them_are_upstreams(length: int, overlap: float) -> None:
    """Upstream pastes tile after tile; the last to touch a frame wins."""
    data_process = upstream("data_process")
    wanted = SimpleNamespace(
        patch_t=8, patch_y=4, patch_x=4, gap_y=4, gap_x=4, overlap_factor=overlap, datasets_path="", datasets_name="",
        test_datasize=1000, scale_factor=1, print_img_name=False,
    )  # fmt: skip
    movie = np.zeros((length, 4, 4), np.uint16)
    with patch("os.walk", lambda *_, **__: [("", [], ["m.tif"])]), patch.object(data_process, "tiff") as tiff:
        tiff.imread.return_value = movie
        names, _, places, *_ = data_process.test_preprocess_chooseOne(wanted, 0)
    expected, found = np.full(length, -1), np.full(length, -1)
    tiles = exact_tiles(length, 8, overlap)
    assert len(tiles) == len(names)
    for number, (name, tile) in enumerate(zip(names, tiles, strict=True)):
        place = places[name]
        core = (tile.start, tile.stop, tile.start - tile.read_start, tile.stop - tile.read_start)
        keys = ("stack_start_s", "stack_end_s", "patch_start_s", "patch_end_s")
        assert core == tuple(int(place[key]) for key in keys)
        assert (tile.read_start, tile.read_stop) == (place["init_s"], place["end_s"])
        expected[tile.start : tile.stop] = number
        found[tile.start : tile.kept_stop] = number
    np.testing.assert_array_equal(found, expected)


def test_memory_of_exact_prediction_does_not_grow_with_the_movie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intensities, "_PIXELS_AT_ONCE", 50_000)  # below the shorter movie
    job, peaks = make_job(tmp_path / "predict", "predict", []), []
    for frames in (60, 600):
        movie = np.random.default_rng(1).integers(50, 200, (frames, 40, 40), np.uint16)
        with open_stack(write(tmp_path / "m.tif", movie)) as stack:
            tracemalloc.start()
            with open_prediction(tmp_path / "p.tif", stack) as prediction:
                settings = replace(SETTINGS, patch_t=24, patch_y=24, patch_x=24, test_overlap_factor=0.33)
                with closing(Events(job.folder / "events.jsonl")) as events:
                    predict_exactly(stack, prediction, torch.nn.Identity(), settings, job, events)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "p.tif"), movie)
    assert peaks[1] < peaks[0] + 100_000, "600 frames are 1.9 MB, upstream needs 22 bytes a pixel: 21 MB"


def test_training_keeps_no_frame_in_memory(tmp_path: Path) -> None:
    """The movie has 64 MiB; a mapping that is read stays resident until somebody lets go of it."""
    np.zeros((512, 256, 256), np.uint16).tofile(tmp_path / "raw")
    movie = np.memmap(tmp_path / "raw", np.uint16, mode="r", shape=(512, 256, 256))
    centred = Centred(movie, np.float32(0))
    before = resident_bytes()
    for start in range(0, 512, 16):
        centred[start : start + 16, :, :]
    assert resident_bytes() < before + 2**24


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 30, 33), (200, 128, 128), (6500, 490, 490), (300, 1024, 1024)])
@pytest.mark.parametrize("gib", [1.0, 4.0, 16.0])
def test_tiles_of_fast_mode_cover_the_movie_within_the_memory(shape: tuple[int, int, int], gib: float) -> None:
    tiling = best_tiling(shape, gib * 2**30, 700)
    for length, blocks in zip(shape, (tiling.times, tiling.rows, tiling.columns), strict=True):
        assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
        assert blocks[-1].stop == length
        assert all(block.read_start % 8 == 0 for block in blocks)
        assert all((block.read_stop - block.read_start + block.pad) % 8 == 0 for block in blocks)
        assert all(block.read_start in (0, block.start - HALO) for block in blocks)
    assert math.prod(map(longest, (tiling.times, tiling.rows, tiling.columns))) * 700 <= gib * 2**30


def longest(blocks: tuple[Block, ...]) -> int:
    return max(block.read_stop - block.read_start + block.pad for block in blocks)


def test_a_movie_that_fits_is_one_tile() -> None:
    tiling = best_tiling((200, 128, 128), 4 * 2**30, 700)
    assert (len(tiling.times), len(tiling.rows), len(tiling.columns)) == (1, 1, 1)


def test_memory_below_that_of_the_smallest_tile_is_refused() -> None:
    with pytest.raises(JobRefused, match=r"memory_gib: expected at least \d+\.\d+ for a movie of"):
        best_tiling((200, 128, 128), 2**20, 700)


def test_stand_ins_are_gone_after_upstream_is_imported() -> None:
    module = upstream("network")
    assert module.__name__ == "deepcad.network"
    assert not {"gdown", "cv2", "csbdeep", "skimage"} & set(sys.modules)


@pytest.mark.parametrize(
    ("params", "fields", "message"),
    [
        ({"mode": "exact"}, {"precision": "bfloat16"}, "mode exact: expected precision float32, got bfloat16"),
        ({"batch_size": 2, "patch_x": 16}, {}, "patch_y and patch_x: expected equal sizes with batch_size 2"),
    ],
)
def test_parameters_that_cannot_work_are_refused(tmp_path: Path, params: dict, fields: dict, message: str) -> None:
    with pytest.raises(JobRefused, match=message):
        settings_of(make_job(tmp_path / "train", "train", [], params, **fields))


@pytest.mark.parametrize("learning", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("size", [(16, 24, 32), (5, 18, 31)])
def test_the_pooling_of_gpus_has_the_bits_of_torchs_and_keeps_the_layout(
    size: tuple[int, int, int], layout: torch.memory_format, *, learning: bool
) -> None:
    """Small whole numbers, so that many of eight are equal: which of them gets the gradient is seen."""
    image = torch.randint(-3, 4, (2, 8, *size)).float().to(memory_format=layout).requires_grad_(learning)
    other = image.detach().clone().requires_grad_(learning)
    found, expected = LargestOfEight()(image), torch.nn.functional.max_pool3d(other, 2)
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=layout)
    if learning:
        gradient = torch.randn_like(expected)
        found.backward(gradient)
        expected.backward(gradient)
        assert torch.equal(image.grad, other.grad)
        assert image.grad.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("size", [(16, 24, 32), (20, 18, 30), (150, 9, 11)])
def test_the_lean_network_and_its_gradients_are_upstreams_but_for_rounding(size: tuple[int, int, int]) -> None:
    """The second and third size are halved to odd lengths, which upstream stretches by other factors than 2."""
    torch.manual_seed(1)
    network, window = new_network(4), torch.randn(2, 1, *size)
    found, expected = lean_forward(network, window), network(window)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    gradients = [torch.autograd.grad(output.square().sum(), list(network.parameters())) for output in (found, expected)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
