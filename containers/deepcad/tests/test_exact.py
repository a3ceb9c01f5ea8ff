"""Exact mode against upstream's own classes, run beside it: every expected number comes from deepcad 1.2.0."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

sys.path.insert(0, str(Path(__file__).parent))

import oracle
from movies import PARAMS, clean_movie, do, make_job, noisy_movie, write

import learning
from contract.errors import Interrupted, JobRefused
from contract.job import Inputs

SHAPE = (33, 28, 30)


def as_dtype(movie: np.ndarray, dtype: str) -> np.ndarray:
    """Return a movie in another dtype, with negative values and fractions where the dtype has them."""
    match dtype:
        case "uint8":
            return np.clip(movie // 4, 0, 255).astype(np.uint8)
        case "int16":
            return movie.astype(np.int16) - 95  # some pixels below 0, every tile well above
        case "float32":
            return movie.astype(np.float32) / 3
        case _:
            return movie


def trained(tmp_path: Path, movies: list[np.ndarray], params: dict | None = None, **fields: object) -> Path:
    """Train on movies and return the checkpoint folder."""
    paths = [write(tmp_path / "movies" / f"m{number}.tif", movie) for number, movie in enumerate(movies)]
    job = make_job(tmp_path / "train", "train", paths, params, **fields)
    do(job)
    return job.checkpoint


def weights_of(checkpoint: Path) -> list[dict[str, torch.Tensor]]:
    return [torch.load(path, weights_only=True) for path in sorted(checkpoint.glob("*.pth"))]


def assert_same(found: list[dict[str, torch.Tensor]], expected: list[dict[str, torch.Tensor]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert list(one) == list(other)
        assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("dtype", ["uint16", "uint8", "int16", "float32"])
def test_weights_of_every_epoch_equal_upstreams_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    movies = [as_dtype(noisy_movie(clean_movie(SHAPE), seed), dtype) for seed in (1, 2)]
    found = weights_of(trained(tmp_path, movies))
    assert_same(found, oracle.train(tmp_path / "movies", PARAMS, 3, 1, tmp_path / "upstream"))


def test_weights_equal_upstreams_with_batches_and_fewer_frames(tmp_path: Path) -> None:
    params = {"batch_size": 3, "select_img_num": 30, "overlap_factor": 0.4, "n_epochs": 1}
    found = weights_of(trained(tmp_path, [noisy_movie(clean_movie(SHAPE))], params))
    assert_same(found, oracle.train(tmp_path / "movies", PARAMS | params, 3, 1, tmp_path / "upstream"))


@pytest.fixture(scope="module", params=["uint16", "uint8", "int16", "float32"])
def learned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """Return a dtype, a folder of one movie of it, and what was learned from that in one epoch."""
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = trained(folder, [as_dtype(noisy_movie(clean_movie(SHAPE)), request.param)], {"n_epochs": 1})
    return request.param, folder / "movies", checkpoint


@pytest.mark.parametrize(("patch", "overlap"), [(16, 0.6), (24, 0.33), (20, 0.25)])
def test_prediction_equals_upstreams_grey_levels(
    tmp_path: Path, learned: tuple[str, Path, Path], patch: int, overlap: float
) -> None:
    """16 at 0.6, 24 at 0.33 and 20 at 0.25 give cuts of 5, 4 and 2.5 pixels; stock upstream loads our weights."""
    dtype, movies, checkpoint = learned
    tiles = {"test_overlap_factor": overlap, "patch_t": patch, "patch_y": patch, "patch_x": patch}
    job = make_job(tmp_path / "predict", "predict", [movies / "m0.tif"], tiles, checkpoint=checkpoint)
    do(job)
    found = tifffile.imread(job.predictions / "m0.tif")
    (expected,) = oracle.predict(movies, max(checkpoint.glob("*.pth")), job.params, 1, tmp_path / "upstream")
    assert found.dtype == np.float32
    assert expected.dtype == ("int32" if dtype == "float32" else dtype)
    np.testing.assert_array_equal(found, expected.astype(np.float64))


def test_prediction_in_the_dtype_of_the_input_is_upstreams_file(tmp_path: Path) -> None:
    movie = noisy_movie(clean_movie(SHAPE))
    checkpoint = trained(tmp_path, [movie], {"n_epochs": 1})
    job = make_job(tmp_path / "predict", "predict", [tmp_path / "movies" / "m0.tif"], output_dtype="input")
    do(job)
    found = tifffile.imread(job.predictions / "m0.tif")
    weights = max(checkpoint.glob("*.pth"))
    (expected,) = oracle.predict(tmp_path / "movies", weights, job.params, 1, tmp_path / "upstream")
    assert found.dtype == expected.dtype == np.uint16
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("mode", "read_ahead"), [("exact", 0), ("fast", 0), ("exact", 2)])
def test_training_killed_within_an_epoch_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, read_ahead: int
) -> None:
    """Also where patches, and with them random numbers, are drawn before they are needed, as on a GPU."""
    movies = [noisy_movie(clean_movie(SHAPE))]
    whole = trained(tmp_path / "whole", movies, {"mode": mode})
    monkeypatch.setattr(learning, "depth_for", lambda _: read_ahead)
    monkeypatch.setattr(learning.SaveClock, "due", lambda _: True)  # a state after every step
    step, calls = learning.Learner.step, []

    def stop_twice(self: learning.Learner, *pair: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) in {8, 63}:  # in the first and in the second of two epochs of 48 patches
            raise Interrupted
        return step(self, *pair)

    monkeypatch.setattr(learning.Learner, "step", stop_twice)
    for _ in range(2):
        with pytest.raises(Interrupted):
            trained(tmp_path / "killed", movies, {"mode": mode})
        torch.rand(3)  # what another process would have drawn
    killed = trained(tmp_path / "killed", movies, {"mode": mode})
    assert [digest(path) for path in sorted(whole.glob("*.pth"))] == [
        digest(path) for path in sorted(killed.glob("*.pth"))
    ]
    history = [(tmp_path / name / "train" / "history.json").read_text() for name in ("whole", "killed")]
    assert history[0] == history[1]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_validation_movies_do_not_change_the_weights(tmp_path: Path) -> None:
    movie = noisy_movie(clean_movie(SHAPE))
    alone = trained(tmp_path / "alone", [movie])
    val = (write(tmp_path / "val.tif", movie[:16]), write(tmp_path / "short.tif", movie[:15]))
    train = (tmp_path / "watched" / "movies" / "m0.tif",)
    watched = trained(tmp_path / "watched", [movie], inputs=Inputs(train=train, val=val))
    assert [digest(path) for path in sorted(alone.glob("*.pth"))] == [
        digest(path) for path in sorted(watched.glob("*.pth"))
    ]
    events = (tmp_path / "watched" / "train" / "events.jsonl").read_text()
    assert events.count("val_loss") == 2, "one for each epoch"
    assert "short.tif" in events, "a movie too short to validate on is named"


def test_movies_are_taken_in_the_order_of_their_names(tmp_path: Path) -> None:
    movies = [noisy_movie(clean_movie(SHAPE), seed) for seed in (1, 2)]
    forward = trained(tmp_path / "forward", movies, {"n_epochs": 1})
    paths = tuple(tmp_path / "backward" / "movies" / name for name in ("m1.tif", "m0.tif"))
    backward = trained(tmp_path / "backward", movies, {"n_epochs": 1}, inputs=Inputs(train=paths))
    assert_same(weights_of(forward), weights_of(backward))


def test_an_axis_as_long_as_the_patch_is_refused_where_upstream_leaves_zeros(tmp_path: Path) -> None:
    movie = noisy_movie(clean_movie((33, 8, 30)))
    checkpoint = trained(tmp_path, [movie], {"n_epochs": 1})
    (wrong,) = oracle.predict(tmp_path / "movies", max(checkpoint.glob("*.pth")), PARAMS, 1, tmp_path / "upstream")
    assert not wrong[:, 5:].any(), "upstream keeps 8 - 2.5 rows, the rest is zero"
    job = make_job(tmp_path / "predict", "predict", [tmp_path / "movies" / "m0.tif"])
    with pytest.raises(JobRefused, match=r"more than patch_y = 8 along Y, got 8"):
        do(job)


def test_sums_of_opposite_sign_are_refused_where_upstream_writes_nan_as_zero(tmp_path: Path) -> None:
    movie = noisy_movie(clean_movie(SHAPE)).astype(np.int16)
    movie -= np.int16(movie.mean())
    checkpoint = trained(tmp_path, [movie], {"n_epochs": 1})
    (wrong,) = oracle.predict(tmp_path / "movies", max(checkpoint.glob("*.pth")), PARAMS, 1, tmp_path / "upstream")
    assert (wrong == 0).mean() > 0.05
    job = make_job(tmp_path / "predict", "predict", [tmp_path / "movies" / "m0.tif"])
    with pytest.raises(JobRefused, match="sums of input and output of the same sign"):
        do(job)
    assert not list(job.predictions.iterdir()), "nothing half-written is left"
