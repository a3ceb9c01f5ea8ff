"""The checks of a run are kept beside its scores, with what they were computed from, and said in words."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from run_records import JOB, write_run

from contract.files import sha256
from evaluation.checks.lights import Light, Topic
from evaluation.checks.of_run import check_run, raw_movies, read_checks
from evaluation.checks.words import SHAPES, lights_text, reason
from orchestrator.errors import BadInput
from orchestrator.paths import RunFolder
from orchestrator.records.regions import Regions, keep_regions

MOVIE = "val/movie.tif"
REGIONS = Regions(origin="1 region of cells.json", names=("soma",), pixels=(np.array([[9, 9], [9, 10]]),))


@pytest.fixture
def run(tmp_path):
    """Return a run whose prediction is its raw movie, beside a single image."""
    raw = np.random.default_rng(0).poisson(20, (60, 40, 40)).astype(np.uint16)
    folder = RunFolder(path=tmp_path / "outputs" / "n2v-own-default" / "key")
    folder.predictions("val").mkdir(parents=True)
    movies = {}
    for name, frames in {MOVIE: raw, "val/image.tif": raw[:1]}.items():
        tifffile.imwrite(tmp_path / name[4:], frames)
        tifffile.imwrite(folder.prediction(name), frames.astype(np.float32))
        movies[name] = {
            "noisy": tmp_path / name[4:],
            "target": None,
            "truth": None,
            "shape": list(frames.shape),
            "dtype": "uint16",
        }
    return write_run(
        folder.path,
        algorithm="n2v",
        environment="current",
        experiment="n2v-own-default",
        frame_rate_hz=30.0,
        inputs=dict.fromkeys(movies, "ab" * 32),
        jobs={"predict-val": JOB},
        movies=movies,
        params={},
        dataset="own",
    )


def test_what_is_read_back_is_what_was_found(run):
    found = check_run(run)
    assert list(found) == [MOVIE]  # an image has no activity
    assert read_checks(run.folder).movies == found


def test_what_inspect_says_of_the_raw_movie_is_kept_with_the_checks(run):
    check_run(run)
    (lines,) = raw_movies(run).values()
    assert lines[0].startswith("60 frames of 40 x 40 pixels")
    assert "Detector: no faults found." in lines


def test_a_checked_run_is_not_checked_again(run):
    check_run(run)
    before = run.folder.checks.stat().st_mtime_ns
    check_run(run)
    assert run.folder.checks.stat().st_mtime_ns == before


def test_a_changed_raw_movie_is_checked_again(run):
    check_run(run)
    before = run.folder.checks.stat().st_mtime_ns
    os.utime(run.record.movies[MOVIE].noisy, ns=(1, 1))
    check_run(run)
    assert run.folder.checks.stat().st_mtime_ns > before


def test_a_run_that_is_given_regions_is_checked_again_once(run):
    check_run(run)
    keep_regions(run.folder, REGIONS)
    check_run(run)
    before = run.folder.checks.stat().st_mtime_ns
    assert read_checks(run.folder).basis.regions == sha256(run.folder.regions)
    check_run(run)
    assert run.folder.checks.stat().st_mtime_ns == before


def test_a_missing_raw_movie_is_named(run):
    run.record.movies[MOVIE].noisy.unlink()
    with pytest.raises(BadInput, match=r"movie\.tif: expected the file this run was made with"):
        check_run(run)


def test_a_damaged_document_is_told_in_one_sentence(run):
    check_run(run)
    run.folder.checks.write_text('{"basis": {"version": 3}, "movies": []}')
    with pytest.raises(BadInput, match=r"checks\.json"):
        check_run(run)


def test_a_check_that_asks_yes_or_no_is_told_without_a_number(run):
    checks = {check.name: check for check in check_run(run)[MOVIE].checks}
    moves = replace(checks["moves"], value=0.0, sentence="The output stands still.")
    assert reason(moves) == "The output stands still. (moves)"


def test_every_light_is_said_in_words_and_by_a_shape_of_its_own(run):
    text = lights_text(check_run(run))
    assert "It did not denoise" in text
    assert all(f"{topic}:" in text for topic in Topic)
    assert len(set(SHAPES.values())) == len(Light)
    assert "Checks took" in text
