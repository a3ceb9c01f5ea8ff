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
from care_jobs import (
    clean_movie,
    make_job,
    noisy_movie,
    run_job,
    si_psnr,
    start,
    train_and_predict,
    write_movie,
)

from contract.stacks import open_stack
from keras_prediction import load_denoiser
from n2v.tests.forked import ended

SMALL = {
    "patch_size": 32, "unet_kern_size": 3, "unet_n_first": 16, "train_epochs": 3, "train_steps_per_epoch": 25,
    "train_batch_size": 8, "train_learning_rate": 0.002, "n_val_patches": 8,
}  # fmt: skip
CLEAN = clean_movie()
OURS = {"the network has", "resuming after step"}  # how messages of calm begin


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Return a movie and its target, which is stored in other units."""
    folder = tmp_path_factory.mktemp("movies")
    noisy = write_movie(folder / "noisy" / "movie.tif", noisy_movie(CLEAN))
    target = write_movie(folder / "clean" / "movie.tif", (3 * CLEAN).astype(np.float32))
    return {"train": [noisy], "target": [target]}


@pytest.fixture(scope="module")
def run(tmp_path_factory, inputs):
    folder = tmp_path_factory.mktemp("run")
    train_and_predict(folder, "quick", inputs, **SMALL)
    return folder


def _gain(prediction, inputs):
    return si_psnr(CLEAN, prediction) - si_psnr(CLEAN, tifffile.imread(inputs["train"][0]))


@pytest.mark.training
def test_a_movie_gains_at_least_six_db_in_the_units_of_the_input(run, inputs, record_property):
    prediction = tifffile.imread(run / "predictions" / "movie.tif")
    record_property("gain_db", _gain(prediction, inputs))
    assert _gain(prediction, inputs) > 6
    assert prediction.mean() == pytest.approx(tifffile.imread(inputs["train"][0]).mean(), rel=0.02)


def test_no_line_of_tensorflow_is_among_the_progress(run):
    for job in ("train", "predict"):
        events = [json.loads(line) for line in (run / job / "events.jsonl").read_text().splitlines()]
        messages = [event["message"] for event in events if "message" in event]
        assert all(any(message.startswith(ours) for ours in OURS) for message in messages)
        assert events[-1]["step"] == events[-1]["steps"]


def test_a_killed_training_resumes_to_the_same_bits(inputs, tmp_path):
    """One gets SIGKILL within its two epochs, saving after every step; the other is never interrupted."""
    short = SMALL | {"train_epochs": 2, "train_steps_per_epoch": 5}
    whole, killed = (
        make_job(tmp_path / name / "train", "train", "quick", inputs=inputs, **short) for name in ("whole", "killed")
    )
    assert run_job(whole)["status"] == "ok"
    often = "import contract.training as training; training._SAVE_EVERY_S = training._SAVE_SHARE = 0"
    process = start(killed, before=often)
    while process.is_alive() and not (killed.checkpoint / "state.keras").exists():
        time.sleep(0.01)
    process.kill()
    assert ended(process) == -signal.SIGKILL
    assert run_job(killed)["status"] == "ok"
    assert "resuming after step" in (killed.folder / "events.jsonl").read_text()
    for name in ("network.keras", "state.keras"):  # the state holds the moments of the optimiser, too
        assert (killed.checkpoint / name).read_bytes() == (whole.checkpoint / name).read_bytes()


def test_the_state_of_another_job_is_refused(run, inputs, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.keras").write_bytes((run / "checkpoint" / "state.keras").read_bytes())
    result = run_job(make_job(tmp_path / "train", "train", "quick", inputs=inputs, **SMALL | {"unet_n_first": 8}))
    assert result["status"] == "refused"
    assert "expected the state of this job" in result["error"]["message"]


def test_a_prediction_in_small_blocks_is_that_of_whole_frames(run, inputs, tmp_path):
    wide = write_movie(
        tmp_path / "wide.tif", np.tile(tifffile.imread(inputs["train"][0])[:3], (1, 5, 5))[:, :301, :290]
    )
    job = make_job(run / "wide", "predict", "quick", inputs={"noisy": [wide]}, **SMALL, predict_memory_gib=0.1)
    assert run_job(job)["status"] == "ok"
    denoiser = load_denoiser(job)
    with open_stack(wide, "TYX") as stack:
        frames = np.pad(stack.frames(0, 3).astype(np.float32), ((0, 0), (0, 3), (0, 2)), mode="reflect")
    whole = denoiser.normalisation.undo(
        denoiser.network(denoiser.normalisation.apply(frames)[..., None])[..., 0].numpy()
    )
    np.testing.assert_allclose(
        tifffile.imread(run / "predictions" / "wide.tif"), whole[:, :301, :290], rtol=0, atol=1e-2
    )  # intensity units, of a noise of 14


@pytest.mark.training
def test_a_3d_network_gains_and_its_blocks_are_those_of_the_movie_in_one_piece(inputs, tmp_path, record_property):
    volume = SMALL | {"patch_size_z": 8, "unet_n_first": 8, "train_batch_size": 2}
    prediction = train_and_predict(tmp_path, "quick", inputs, **volume)
    record_property("gain_db", _gain(prediction, inputs))
    assert _gain(prediction, inputs) > 6
    job = make_job(tmp_path / "again", "predict", "quick", inputs={"noisy": inputs["train"]}, **volume)
    denoiser = load_denoiser(job)
    movie = denoiser.normalisation.apply(tifffile.imread(inputs["train"][0]))[None, ..., None]
    whole = denoiser.normalisation.undo(denoiser.network(movie)[0, ..., 0].numpy())
    np.testing.assert_allclose(prediction, whole, rtol=0, atol=1e-2)
