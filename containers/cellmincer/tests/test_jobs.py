"""Whole jobs: what is written, how training resumes, and how it ends when it is of no use."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile

import contract.training
import heldout
from cellmincer.tests.jobs import job_of, run_here
from cellmincer.tests.synthetic import clean_movie, params, run_job, write_movie
from checkpoint import load
from contract.events import Events

SMOKE = params("smoke")


@pytest.fixture
def movie(tmp_path):
    """Return a movie of 40 frames of 24 x 26 pixels."""
    clean = clean_movie(40, 24, 26)
    noisy = np.rint(clean + np.random.default_rng(1).normal(0, 4, clean.shape)).astype(np.uint16)
    return write_movie(tmp_path / "movie.tif", noisy)


def test_a_job_writes_checkpoint_prediction_control_and_evidence(tmp_path, movie):
    """In a process of its own, by the command of the contract; prediction needs nothing but the checkpoint."""
    done = run_job(tmp_path / "a" / "train", "train", SMOKE, train=[movie], val=[movie])
    assert (done["status"], done["exit_code"]) == ("ok", 0), done["error"]
    network, _ = load(tmp_path / "a" / "checkpoint" / "cellmincer.ckpt", SMOKE)
    assert done["network_parameters"] == sum(one.numel() for one in network.parameters())
    shutil.rmtree(tmp_path / "a" / "train")
    done = run_job(tmp_path / "a" / "predict", "predict", SMOKE, noisy=[movie])
    assert (done["status"], done["exit_code"]) == ("ok", 0), done["error"]
    found = tifffile.imread(tmp_path / "a" / "predict" / "predictions" / "movie.tif")
    assert (found.shape, found.dtype) == ((40, 24, 26), np.float32)
    control = tifffile.imread(tmp_path / "a" / "predict" / "extra" / "trend_only" / "predictions" / "movie.tif")
    assert control.mean() == pytest.approx(tifffile.imread(movie).mean(), rel=1e-3)
    evidence = tmp_path / "a" / "predict" / "extra" / "evidence" / "predictions" / "movie.tif.json"
    evidence = json.loads(evidence.read_text())
    assert evidence["trend"] > 0.5
    assert evidence["pixels"] > 1000
    said = (tmp_path / "a" / "predict" / "events.jsonl").read_text()
    assert f"{evidence['network']:.3f}" in said
    assert f"{evidence['trend']:.3f}" in said


def test_the_report_is_told_what_the_network_adds_to_the_trend(tmp_path, movie):
    """Expected from the files beside: control, prediction and their mean on frames 7, 15, 23, 31; the evidence."""
    run_here(job_of(tmp_path / "train", "train", SMOKE, train=(movie,)))
    job = job_of(tmp_path / "predict", "predict", SMOKE, noisy=(movie,))
    run_here(job)
    against, masked = json.loads((job.folder / "figures.json").read_text())
    (scored,) = against["scored"]
    assert (scored["movie"], scored["at"], scored["frames"]) == ("movie.tif", [0, 0.5, 1], [7, 15, 23, 31])
    trend = tifffile.imread(job.folder / "extra" / "trend_only" / "predictions" / "movie.tif")[scored["frames"]]
    found = tifffile.imread(job.predictions / "movie.tif")[scored["frames"]]
    shares = np.load(job.folder / scored["file"])
    assert np.allclose(shares, [trend, (trend + found) / 2, found], atol=1e-4)
    evidence = json.loads((job.folder / "extra" / "evidence" / "predictions" / "movie.tif.json").read_text())
    lines = {curve["name"]: curve["y"] for curve in masked["curves"]}
    assert lines == {"movie.tif": [evidence["trend"], evidence["network"]], "noisy movie": [2, 2]}


def test_the_same_job_twice_gives_the_same_bytes(tmp_path, movie):
    made = []
    for name in ("one", "two"):
        run_here(job_of(tmp_path / name / "train", "train", SMOKE, train=(movie,)))
        run_here(job_of(tmp_path / name / "predict", "predict", SMOKE, noisy=(movie,)))
        made.append((tmp_path / name / "predict" / "predictions" / "movie.tif").read_bytes())
    assert made[0] == made[1]


def test_a_killed_training_ends_with_the_same_bytes_as_an_uninterrupted_one(tmp_path, movie, monkeypatch):
    """Killed at step 5 of 8, after a state was saved at every step."""
    for name in ("_SAVE_EVERY_S", "_SAVE_SHARE"):
        monkeypatch.setattr(contract.training, name, 0)
    run_here(job_of(tmp_path / "whole" / "train", "train", SMOKE, train=(movie,)))
    job = job_of(tmp_path / "killed" / "train", "train", SMOKE, train=(movie,))
    step = Events.step

    def kill(self, number, steps, **losses):
        if number == 5:
            raise KeyboardInterrupt
        step(self, number, steps, **losses)

    with monkeypatch.context() as patched:
        patched.setattr(Events, "step", kill)
        with pytest.raises(KeyboardInterrupt):
            run_here(job)
    assert not (job.checkpoint / "cellmincer.ckpt").exists()
    events = run_here(job)
    assert any("resuming after step 4" in line for line in events)
    whole = (tmp_path / "whole" / "checkpoint" / "cellmincer.ckpt").read_bytes()
    assert (job.checkpoint / "cellmincer.ckpt").read_bytes() == whole


def test_a_movie_of_noise_alone_ends_as_did_not_converge_with_the_evidence(tmp_path):
    """There is nothing beyond the trend to find; the checkpoint is there for who wants to look."""
    noise = np.random.default_rng(2).normal(100, 5, (60, 32, 32)).astype(np.float32)
    path = write_movie(tmp_path / "noise.tif", noise)
    settings = SMOKE | {"convergence": "required", "n_iters": 30}
    done = run_job(tmp_path / "train", "train", settings, train=[path])
    assert (done["status"], done["exit_code"]) == ("did not converge", 5)
    sentence = r"held-out frames, \d+ masked pixels: error [01]\..* would be a still picture"
    assert re.match(sentence, done["error"]["message"])
    assert (tmp_path / "checkpoint" / "cellmincer.ckpt").exists()
    record = json.loads((tmp_path / "checkpoint" / "training.json").read_text())
    assert "still picture" in record["evidence"]["failure"]


def test_a_failure_that_is_only_reported_is_said_by_training_and_prediction(tmp_path):
    """The same movie of noise alone."""
    noise = np.random.default_rng(2).normal(100, 5, (60, 32, 32)).astype(np.float32)
    path = write_movie(tmp_path / "noise.tif", noise)
    messages = run_here(job_of(tmp_path / "train", "train", SMOKE, train=(path,)))
    messages += run_here(job_of(tmp_path / "predict", "predict", SMOKE, noisy=(path,)))
    assert sum("would be a still picture" in line for line in messages) == 2


def test_the_mean_of_the_movie_comes_back_even_after_a_few_steps(tmp_path, movie):
    """Half a per cent is what the check of the baseline allows."""
    trained = job_of(tmp_path / "train", "train", SMOKE, train=(movie,))
    said = run_here(trained)
    job = job_of(tmp_path / "predict", "predict", SMOKE, noisy=(movie,))
    run_here(job)
    noisy = tifffile.imread(movie).mean()
    assert tifffile.imread(job.predictions / "movie.tif").mean() == pytest.approx(noisy, rel=0.005)
    assert any("baseline on held-out frames: the mean moves by" in line for line in said)


def test_leakage_is_said_of_predictions_too(tmp_path, movie, monkeypatch):
    """As with a checkpoint of upstream, which hid nothing beside a masked pixel; here all noise counts as copied."""
    run_here(job_of(tmp_path / "train", "train", SMOKE, train=(movie,)))
    monkeypatch.setattr(heldout, "_LEAK", 100.0)
    messages = run_here(job_of(tmp_path / "predict", "predict", SMOKE, noisy=(movie,)))
    assert any("movie.tif: leakage: where there is hardly any signal" in line for line in messages)


def test_two_movies_of_different_size_and_dtype_train_one_network(tmp_path, movie):
    """Compressed int16 beside uint16; masked windows fit the smaller one."""
    other = tmp_path / "other.tif"
    wide = np.random.default_rng(3).normal(-50, 5, (30, 20, 60)).astype(np.int16)
    tifffile.imwrite(other, wide, compression="zlib", metadata={"axes": "TYX"})
    run_here(job_of(tmp_path / "train", "train", SMOKE, train=(movie, other)))
    predict = job_of(tmp_path / "predict", "predict", SMOKE, noisy=(other, movie))
    run_here(predict)
    assert tifffile.imread(predict.predictions / "other.tif").shape == (30, 20, 60)


def test_training_starts_from_a_checkpoint_given_as_prior(tmp_path, movie):
    """Upstream's --pretrain: with a learning rate of almost 0 the network stays what it was."""
    first = job_of(tmp_path / "first" / "train", "train", SMOKE, train=(movie,))
    run_here(first)
    settings = SMOKE | {"lr_max": 1e-8, "optim_weight_decay": 0.0}
    prior = first.checkpoint / "cellmincer.ckpt"
    second = job_of(tmp_path / "second" / "train", "train", settings, train=(movie,))
    run_here(replace(second, inputs=replace(second.inputs, prior=(prior,))))
    losses = [json.loads((one.folder / "history.json").read_text())["loss"] for one in (first, second)]
    assert losses[1][0] < losses[0][0]


def test_movies_of_the_same_name_in_two_splits_keep_their_controls(tmp_path, movie):
    """Predicted one after the other into folders side by side, as `calm run` does for a data set with splits."""
    run_here(job_of(tmp_path / "train", "train", SMOKE, train=(movie,)))
    other = tmp_path / "other"
    other.mkdir()
    write_movie(other / "movie.tif", tifffile.imread(movie)[:20])
    for split, path in (("train", movie), ("val", other / "movie.tif")):
        predict = job_of(tmp_path / f"predict-{split}", "predict", SMOKE, noisy=(path,))
        run_here(replace(predict, predictions=tmp_path / "predictions" / split))
    controls = tmp_path / "predictions" / "extra" / "trend_only"
    assert [len(tifffile.imread(controls / split / "movie.tif")) for split in ("train", "val")] == [40, 20]


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"occlusion_radius": 3, "occlusion_frames": 1}, "3 x 3 pixels and 1 frames"), ({}, "0 x 0 pixels and 0 frames")],
)
def test_the_hidden_box_is_the_one_given_or_the_one_estimated(tmp_path, movie, given, expected):
    """The noise of the movie is white; what is hidden is said and kept in the checkpoint."""
    job = job_of(tmp_path / "train", "train", SMOKE | given, train=(movie,))
    events = run_here(job)
    assert any(f"hidden with each masked pixel: {expected}" in line for line in events)
    box = load(job.checkpoint / "cellmincer.ckpt", SMOKE).occlusion
    assert (box.x, box.y, box.t) == ((3, 3, 1) if given else (0, 0, 0))


def test_compat_upstream_runs_from_end_to_end(tmp_path, movie):
    settings = SMOKE | {"compat": "upstream", "poly_order": 0, "n_frames_fit_left": 10, "n_frames_fit_right": 25}
    events = run_here(job_of(tmp_path / "train", "train", settings, train=(movie,)))
    assert not any("hidden with" in line for line in events)
    predict = job_of(tmp_path / "predict", "predict", settings, noisy=(movie,))
    run_here(predict)
    found = tifffile.imread(predict.predictions / "movie.tif")
    assert np.array_equal(found[0] - found[3], found[3] - found[3])
