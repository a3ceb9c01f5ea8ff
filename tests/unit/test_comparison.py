"""`calm diff` and `calm verify`: the layer that changed is named first, the first differing frame is found."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil

import pytest
import tifffile
from run_records import JOB, record_with, write_run

from orchestrator.documents import convert, plain
from orchestrator.paths import RunFolder
from orchestrator.records.record import Record
from orchestrator.records.run import read_run
from orchestrator.runs.compare import explain, first_difference, is_untouched

RECORD = plain(
    record_with(
        inputs={"train/a.tif": "aa" * 32},
        network_parameters=333729,
        params={"num_epochs": 2, "batch_size": 16},
        versions={"torch": "2.13.0", "numpy": "2.4.6"},
    )
)

CHANGES = [
    ("inputs", ("inputs", "train/a.tif"), "bb" * 32),
    ("params", ("params", "num_epochs"), 3),
    ("seed", ("seed",), 43),
    ("network", ("network_parameters",), 509217),
    ("packages", ("versions", "torch"), "2.11.0"),
    ("image content", ("image", "digest"), "d2"),
    ("device", ("device", "found"), "NVIDIA H200"),
    ("threads", ("threads",), 4),
    ("hardware", ("hardware", "cpus"), 8),
    ("image build", ("image", "engine_identifier"), "sha256:2"),  # the same code and lock on another base image
    ("engine", ("engine", "name"), "docker"),
]


def _changed(path, value, record=RECORD):
    record = copy.deepcopy(record)
    where = record
    for part in path[:-1]:
        where = where[part]
    where[path[-1]] = value
    return record


def _causes(one, other):
    return explain(*(convert(record, Record, "a test") for record in (one, other)))


@pytest.mark.parametrize(("layer", "path", "value"), CHANGES)
def test_one_change_is_explained_by_its_layer_alone(layer, path, value):
    (cause,) = _causes(RECORD, _changed(path, value))
    assert cause.layer == layer
    assert path[-1] in cause.details[0]
    assert str(value) in cause.details[0]


def test_causes_are_ranked_by_how_likely_they_change_bits():
    """All layers at once, changed from the least likely to the likeliest, come in the order of the list above."""
    other = RECORD
    for _, path, value in reversed(CHANGES):
        other = _changed(path, value, other)
    ranked = [cause.layer for cause in _causes(RECORD, other)]
    assert ranked == [layer for layer, _, _ in CHANGES]


def test_equal_records_have_nothing_to_explain():
    assert _causes(RECORD, copy.deepcopy(RECORD)) == ()


@pytest.fixture
def run(calm, movie):
    """Return a finished identity run."""
    assert calm("run", "identity", "--input", movie, "--engine", "venv").returncode == 0
    return calm.run_folder("identity-movie-default")


def _tamper(run, frame, pixel, by):
    path = run / "predictions" / "train" / "movie.tif"
    data = tifffile.memmap(path)
    data[frame, *pixel] += by
    data.flush()


def test_a_tampered_prediction_is_named_with_frame_and_size(calm, run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    assert first_difference(RunFolder(path=run), RunFolder(path=other)) is None
    _tamper(other, 17, (3, 4), 2.5)
    difference = first_difference(RunFolder(path=run), RunFolder(path=other))
    assert (difference.frame, difference.pixels, difference.largest) == (17, 1, 2.5)
    assert is_untouched(read_run(run)) is None
    assert is_untouched(read_run(other)).file == "train/movie.tif"
    done = calm("diff", run, other)
    assert done.returncode == 1
    assert "frame 17 differs in 1 pixels, by up to 2.5 grey levels" in done.stdout


def test_what_lies_beside_predictions_is_compared_too_though_it_be_no_movie(tmp_path):
    name = "extra/train/settling/movie.tif.json"
    listed = {"path": name, "sha256": hashlib.sha256(b"1").hexdigest(), "bytes": 1}
    jobs = {"predict-train": {**JOB, "files": [listed]}}
    runs = [write_run(tmp_path / which, jobs=jobs) for which in ("one", "other")]
    for run, content in zip(runs, (b"1", b"2"), strict=True):
        path = run.folder.prediction(name)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    assert is_untouched(runs[0]) is None
    assert is_untouched(runs[1]).file == name
    assert first_difference(*(run.folder for run in runs)).sentence() == f"{name}: other bytes"


def test_verify_makes_a_run_again_and_finds_a_tampered_one(calm, run):
    done = calm("verify", run, "--engines", "venv")
    assert done.returncode == 0, done.stderr
    assert "venv: the same predictions, byte for byte" in done.stdout
    _tamper(run, 5, (0, 0), 1.0)
    done = calm("verify", run, "--engines", "venv")
    assert done.returncode == 1
    assert "frame 5 differs" in done.stdout


def test_a_run_whose_input_changed_cannot_be_verified(calm, run, movie):
    data = tifffile.memmap(movie)
    data[0, 0, 0] += 1
    data.flush()
    done = calm("verify", run, "--engines", "venv")
    assert done.returncode == 2
    assert "expected the inputs and code of that run" in done.stderr


def test_the_record_of_a_run_is_complete(run):
    record = json.loads((run / "run.json").read_text())
    for field in ("command_line", "engine", "hardware", "image", "inputs", "key", "params", "seed", "versions"):
        assert record[field] not in (None, ""), field
    assert len(record["inputs"]["train/movie.tif"]) == 64
