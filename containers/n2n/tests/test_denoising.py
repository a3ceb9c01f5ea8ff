"""Whole runs on a small movie with known truth."""

import json
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
import tifffile
import torch
from n2n_jobs import (
    clean_movie,
    make_job,
    messages,
    noisy_movie,
    run_job,
    si_psnr,
    start,
    train_and_predict,
    write_movie,
)

from contract.events import Events
from half_rate import on_both_halves, predict_volumes
from n2v.tests.forked import ended
from unet_denoiser import load_denoiser

torch.set_num_threads(1)
SMALL = {"patch_size": 32, "num_epochs": 3, "num_steps": 40, "batch_size": 8, "lr": 0.003, "n_val_patches": 8}
CLEAN = clean_movie()


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    return write_movie(tmp_path_factory.mktemp("movie") / "noisy.tif", noisy_movie(CLEAN))


@pytest.fixture(scope="module")
def run(tmp_path_factory, movie):
    folder = tmp_path_factory.mktemp("run")
    train_and_predict(folder, "quick", movie, **SMALL)
    return folder


def _gain(prediction, movie):
    return si_psnr(CLEAN, prediction) - si_psnr(CLEAN, tifffile.imread(movie))


@pytest.mark.training
def test_a_movie_gains_at_least_four_db_in_the_units_of_the_input(run, movie, record_property):
    prediction = tifffile.imread(run / "predictions" / movie.name)
    record_property("gain_db", _gain(prediction, movie))
    assert _gain(prediction, movie) > 4
    assert prediction.mean() == pytest.approx(tifffile.imread(movie).mean(), rel=0.01)


def test_the_user_is_told_how_still_the_movie_holds(run):
    (first, *others) = messages(run / "train")
    assert "the noise of a pixel is" in first
    assert not [message for message in others if message.startswith("warning")]


def test_a_movie_that_changes_fast_gets_a_warning(tmp_path):
    clean = CLEAN + 60 * np.random.default_rng(0).random(len(CLEAN))[:, None, None]
    path = write_movie(tmp_path / "fast.tif", noisy_movie(clean))
    result = run_job(make_job(tmp_path / "train", "train", "smoke", inputs={"train": [path]}))
    assert result["status"] == "ok", result["error"]
    assert any(message.startswith("warning: the change of the signal") for message in messages(tmp_path / "train"))


def test_training_ends_with_evidence_that_the_network_denoises(run):
    """Of the identity: twice the noise of a pixel over the variance of the movie, both by the simulation."""
    evidence = json.loads((run / "checkpoint" / "evidence.json").read_text())
    noise, signal = 64 + 2 * CLEAN.mean(), CLEAN.var()
    assert evidence["identity"] == pytest.approx(2 * noise / (noise + signal), rel=0.2)
    assert noise / (noise + signal) < evidence["network"] < 0.8 * evidence["identity"]
    assert any(message.startswith("evidence: loss on held-out pairs") for message in messages(run / "train"))


def test_a_network_worse_than_no_denoising_ends_as_not_converged_unless_that_is_to_be_reported(movie, tmp_path):
    wild = SMALL | {"lr": 1.0, "num_epochs": 1, "num_steps": 3, "settle": False}
    for convergence, status in (("required", "did not converge"), ("reported", "ok")):
        folder = tmp_path / convergence
        job = make_job(folder / "train", "train", "quick", inputs={"train": [movie]}, **wild, convergence=convergence)
        result = run_job(job)
        assert result["status"] == status, result["error"]
        evidence = json.loads((folder / "checkpoint" / "evidence.json").read_text())
        assert evidence["network"] > evidence["identity"]
        assert f"of the noisy frames themselves {evidence['identity']:.4g}" in " ".join(messages(folder / "train"))


def test_a_killed_training_resumes_to_the_same_bits(movie, tmp_path):
    """One gets SIGKILL within its first of two epochs, saving after every step; the other is never interrupted."""
    short = SMALL | {"num_epochs": 2, "num_steps": 6}
    whole, killed = (
        make_job(tmp_path / name / "train", "train", "quick", inputs={"train": [movie]}, **short)
        for name in ("whole", "killed")
    )
    assert run_job(whole)["status"] == "ok"
    process = start(killed, "import contract.training as training; training._SAVE_EVERY_S = training._SAVE_SHARE = 0")
    while process.is_alive() and not (killed.checkpoint / "state.pt").exists():
        time.sleep(0.01)
    process.kill()
    assert ended(process) == -signal.SIGKILL
    assert run_job(killed)["status"] == "ok"
    assert "resuming after step" in (killed.folder / "events.jsonl").read_text()
    one, two = (torch.load(job.checkpoint / "network.pt", weights_only=True) for job in (whole, killed))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.training
def test_the_published_pairing_and_loss_gain_too(movie, tmp_path):
    published = {"pairing": "even_odd", "both_directions": False, "loss": "mae", "use_augmentations": False}
    prediction = train_and_predict(
        tmp_path, "published", movie, **SMALL | published, predict_tiling="study", tile_size=64, tile_overlap=0.5
    )
    assert _gain(prediction, movie) > 3


@pytest.fixture(scope="module")
def volume_run(tmp_path_factory, movie):
    folder = tmp_path_factory.mktemp("volume")
    options = SMALL | {"patch_size": 32, "patch_size_z": 8, "batch_size": 2, "num_epochs": 12}  # of 6 steps
    train_and_predict(folder, "quick", movie, **options)
    return folder


def test_a_3d_network_gains_at_least_four_db(volume_run, movie):
    prediction = tifffile.imread(volume_run / "predictions" / movie.name)
    assert _gain(prediction, movie) > 4
    assert prediction.mean() == pytest.approx(tifffile.imread(movie).mean(), rel=0.02)


def test_a_3d_prediction_in_blocks_is_that_of_each_half_in_one_piece(volume_run, movie):
    job = make_job(volume_run / "again", "predict", "quick", inputs={"noisy": [movie]}, patch_size_z=8)
    frames = tifffile.imread(movie).astype(np.float32)
    denoiser = load_denoiser(job)
    whole = on_both_halves(job, denoiser)(torch.from_numpy(frames))()
    written = tifffile.imread(volume_run / "predictions" / movie.name)
    np.testing.assert_array_equal(written, whole)
    with torch.inference_mode():  # upstream's own forward pass over the even frames
        even = torch.from_numpy(denoiser.normalisation.apply(frames[0::2]))[None, None]
        expected = denoiser.normalisation.undo(denoiser.network(even)[0, 0].numpy())
    np.testing.assert_allclose(whole[0::2], expected, rtol=1e-4, atol=1e-2)


def test_a_3d_prediction_with_little_memory_is_the_same(volume_run, tmp_path):
    long = write_movie(tmp_path / "long.tif", np.resize(noisy_movie(CLEAN), (200, 64, 64)))
    predictions = []
    for gib in (0.1, None):
        folder = tmp_path / str(gib)
        job = make_job(folder / "predict", "predict", "quick", inputs={"noisy": [long]}, predict_memory_gib=gib)
        (folder / "checkpoint").symlink_to(volume_run / "checkpoint")
        events = Events(job.folder / "events.jsonl")
        predict_volumes(job, events)
        events.close()
        predictions.append(tifffile.imread(folder / "predictions" / "long.tif"))
    np.testing.assert_allclose(predictions[0], predictions[1], rtol=0, atol=1e-3)  # intensity units, of a noise of 14
