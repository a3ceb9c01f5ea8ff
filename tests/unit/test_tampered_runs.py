"""A finished run is compared with its record whenever it is found, scored, reported or used by another."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import tifffile

PREDICTION = "predictions/train/tampered.tif"


@pytest.fixture(scope="module")
def original(shared_calm, tmp_path_factory):
    """Return a finished and reported run of the control mean, and its movie."""
    movie = tmp_path_factory.mktemp("movies") / "tampered.tif"
    tifffile.imwrite(movie, np.random.default_rng(0).poisson(100, (20, 32, 40)).astype(np.uint16))
    assert shared_calm("run", "mean", "--input", movie, "--engine", "venv").returncode == 0
    return shared_calm.outputs, movie


@pytest.fixture
def run(calm, original):
    """Return the folder of a copy of that run, with its times, among the outputs of `calm`."""
    outputs, _ = original
    for experiment in sorted(outputs.glob("*-tampered-default")):
        shutil.copytree(experiment, calm.outputs / experiment.name)
    return calm.run_folder("mean-tampered-default")


@pytest.fixture
def commands(original, run):
    """Return every command that reads a finished run, by name."""
    _, movie = original
    return {
        "run": ("run", "mean", "--input", movie, "--engine", "venv"),
        "evaluate": ("evaluate", run),
        "report": ("report", run),
        "crate": ("crate", run),
    }


def _sevens(path):
    """Replace a prediction by a movie of sevens, of the same size on disk."""
    shape = tifffile.imread(path).shape
    data = tifffile.memmap(path)
    data[:] = np.full(shape, 7)
    data.flush()


def _edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


TAMPERINGS = {
    "another movie": (PREDICTION, _sevens),
    "no movie": (PREDICTION, os.unlink),
    "a cut movie": (PREDICTION, lambda path: os.truncate(path, 1000)),
    "other params": ("run.json", lambda path: _edit(path, lambda document: document["params"].update(window=3))),
    "another device": ("run.json", lambda path: _edit(path, lambda document: document["device"].update(found="H200"))),
    "another seed": ("run.json", lambda path: _edit(path, lambda document: document.update(seed=7))),
}


@pytest.mark.parametrize("name", ["run", "evaluate", "report", "crate"])
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_was_changed_is_refused_and_named_by_every_command(calm, run, commands, tampering, name):
    where, tamper = TAMPERINGS[tampering]
    tamper(run / where)
    before = {path: path.stat().st_mtime_ns for path in calm.outputs.rglob("*")}
    done = calm(*commands[name])
    assert done.returncode == 2, done.stdout + done.stderr
    assert str(run / where) in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in calm.outputs.rglob("*")} == before


def test_a_copy_with_other_times_is_compared_by_content_and_found(calm, run, commands):
    os.utime(run / PREDICTION)
    assert calm(*commands["run"]).stdout.startswith("Found: ")


def test_content_with_the_old_time_is_found_out_on_check(calm, run, commands):
    state = (run / PREDICTION).stat()
    _sevens(run / PREDICTION)
    os.utime(run / PREDICTION, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert calm(*commands["run"]).returncode == 0
    for name in ("run", "evaluate", "report"):
        done = calm(*commands[name], "--check")
        assert done.returncode == 2
        assert str(run / PREDICTION) in done.stderr


def test_an_edited_score_and_a_table_of_other_scores_are_refused(calm, run, commands):
    edited = (run / "frames.csv").read_text().replace("0.", "1.", 1)
    (run / "frames.csv").write_text(edited)
    assert str(run / "frames.csv") in calm(*commands["report"]).stderr
    _edit(run / "scores.json", lambda document: document["splits"]["train"]["residual_sd"].update(mean=0.0))
    done = calm(*commands["report"])
    assert done.returncode == 2
    assert str(run / "scores.json") in done.stderr


def test_scores_belong_to_one_run_and_those_of_another_are_not_shown(calm, run, commands, original):
    _, movie = original
    assert calm("run", "mean", "--input", movie, "--engine", "venv", "--param", "window=3").returncode == 0
    (other,) = (path.parent for path in run.parent.glob("*/run.json") if path.parent != run)
    true = json.loads((run / "scores.json").read_text())
    for name in ("scores.json", "frames.csv"):
        shutil.copy(other / name, run / name)
    assert calm(*commands["evaluate"]).returncode == 0
    assert json.loads((run / "scores.json").read_text()) == true


def test_a_run_in_the_folder_of_another_is_not_found_for_it(calm, run, commands, original):
    _, movie = original
    assert calm("run", "mean", "--input", movie, "--engine", "venv", "--param", "window=3").returncode == 0
    (other,) = (path.parent for path in run.parent.glob("*/run.json") if path.parent != run)
    shutil.rmtree(run)
    shutil.copytree(other, run)
    done = calm(*commands["run"])
    assert done.returncode == 2
    assert str(run) in done.stderr


def test_a_changed_prediction_is_refused_as_the_prior_of_another_run(calm, run, original):
    _, movie = original
    _sevens(run / PREDICTION)
    done = calm("run", "hdn", "--input", movie, "--engine", "venv", "--earlier", run / PREDICTION)
    assert done.returncode == 2
    assert str(run / PREDICTION) in done.stderr
    assert not list(calm.outputs.glob("hdn*"))


def test_a_movie_that_was_moved_is_found_where_it_lies_now(calm, run, original, tmp_path):
    """The run was found and then ended for want of the movie at its old place, again and again."""
    _, movie = original
    before, scores = (tmp_path / "before" / movie.name), json.loads((run / "scores.json").read_text())
    before.parent.mkdir()
    shutil.copy2(movie, before)
    assert calm("run", "mean", "--input", before, "--engine", "venv").returncode == 0
    after = tmp_path / "after" / movie.name
    after.parent.mkdir()
    before.rename(after)
    done = calm("run", "mean", "--input", after, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    assert f"Found: {run}" in done.stdout
    record = json.loads((run / "run.json").read_text())
    assert record["movies"]["train/tampered.tif"]["noisy"] == str(after)
    assert json.loads((run / "scores.json").read_text())["movies"] == scores["movies"]
    assert calm("report", run).returncode == 0


def test_a_run_is_not_compared_with_another_movie_at_the_place_of_its_own(calm, run, tmp_path):
    movie = tmp_path / "tampered.tif"
    own = json.loads((run / "run.json").read_text())["movies"]["train/tampered.tif"]["noisy"]
    shutil.copy2(own, movie)
    assert calm("run", "mean", "--input", movie, "--engine", "venv").returncode == 0
    tifffile.imwrite(movie, np.random.default_rng(1).poisson(100, (20, 32, 40)).astype(np.uint16))
    for command in ("evaluate", "report"):
        done = calm(command, run)
        assert done.returncode == 2
        assert f"{movie}: expected the movie this run was made with, got another" in done.stderr
