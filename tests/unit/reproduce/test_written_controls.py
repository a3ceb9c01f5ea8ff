"""A control that prediction writes beside its result is scored like it, and stands above it wherever scores are shown.

The runs are of cellmincer, whose control is the trend alone; here it is the prediction with less added to it, and so
better than the prediction itself in PSNR, which is what a reader must see.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import tifffile
from msgspec.structs import replace

from evaluation.metrics import si_psnr
from evaluation.report.content import STUDY
from evaluation.report.gather import page_of
from evaluation.report.headline import headline
from evaluation.report.runs import entries_of, with_controls
from evaluation.report.text import text_of
from evaluation.scores.score import score_run
from evaluation.scores.tables import read_frames
from evaluation.study.protocol import score_study
from orchestrator.algorithms.experiments import PRESET
from orchestrator.algorithms.folders import in_environment, resolve_params
from orchestrator.documents import plain
from orchestrator.records.run import Run

MOVIE = "val/movie.tif"
CONTROL = "trend_only"
TITLE = "Trend alone (control of CellMincer, default)"


def page_about(runs, algorithms, experiments):
    found = with_controls(runs, algorithms)
    for run in found:
        score_run(run, algorithms)
    return page_of(entries_of(found, experiments, algorithms), experiments)


@pytest.fixture
def written(run_of):
    """Return a run whose control is nearer to its target than its prediction, which is noisier than the movie."""
    noise = np.random.default_rng(2).normal(0, 20, (12, 16, 16)).astype(np.float32)
    controls = {CONTROL: lambda frames: frames + noise / 10}
    return run_of("cellmincer", "c", changed=lambda frames: frames + noise, controls=controls)


def test_its_scores_are_those_of_its_frames_against_the_target(algorithms, written):
    """The expected mean is taken over single frames here, by the metric that test_reference_parity checks."""
    target = tifffile.imread(written.record.movies[MOVIE].target)
    control = tifffile.imread(written.folder.control(CONTROL, MOVIE))
    expected = [si_psnr(*frames) for frames in zip(target, control, strict=True)]
    scores = score_run(written, algorithms)
    assert read_frames(written.folder.control_frames(CONTROL))[MOVIE]["si_psnr"] == pytest.approx(expected)
    found = scores.controls[CONTROL].splits["val"]["si_psnr"]
    assert (found.mean, found.n) == (pytest.approx(np.mean(expected)), len(expected))
    assert plain(found).keys() == plain(scores.splits["val"]["si_psnr"]).keys()
    assert scores.controls[CONTROL].splits["val"].keys() == scores.splits["val"].keys()


@pytest.mark.parametrize("target", [True, False])
def test_the_mean_shift_is_that_of_all_pixels_with_and_without_a_target(algorithms, written, target):
    movie = written.record.movies[MOVIE]
    if not target:
        movie = replace(movie, target=None)
        written = Run(folder=written.folder, record=replace(written.record, movies={MOVIE: movie}))
    shift = tifffile.imread(written.folder.prediction(MOVIE)).mean() - tifffile.imread(movie.noisy).mean()
    found = score_run(written, algorithms).splits["val"]["mean_shift"]
    assert found.mean == pytest.approx(shift, abs=1e-4)


def test_a_run_scored_before_its_control_was_declared_is_scored_anew(algorithms, written):
    unchanged = score_run(written, {})
    assert unchanged.controls == {}
    scores = score_run(written, algorithms)
    assert list(scores.controls) == [CONTROL]
    assert scores.splits == unchanged.splits
    before = written.folder.scores.stat().st_mtime_ns
    score_run(written, algorithms)
    assert written.folder.scores.stat().st_mtime_ns == before


def test_scores_of_a_calm_that_knew_no_such_controls_are_made_anew(algorithms, written):
    document = plain(score_run(written, algorithms))
    del document["controls"], document["basis"]["controls"]
    document["basis"]["version"] -= 1
    written.folder.scores.write_text(json.dumps(document))
    assert list(score_run(written, algorithms).controls) == [CONTROL]


def test_a_control_that_a_parameter_left_out_has_no_row(algorithms, experiments, run_of):
    run = run_of("cellmincer", "c")
    assert score_run(run, algorithms).controls == {}
    assert [row.role for row in page_about([run], algorithms, experiments).rows] == ["algorithm"]


def test_it_stands_directly_above_its_algorithm_with_its_gain_over_noisy(algorithms, experiments, run_of, written):
    other = dataclasses.replace(experiments["MOUSENEU_LP_LOWSNR"], dataset="another")  # nothing here is of the study
    page = page_about([written, run_of("mean", "b"), run_of("identity", "a")], algorithms, {"other": other})
    rows = [(row.name, row.role) for row in page.rows]
    assert rows[1:] == [("mean", "control"), ("cellmincer-trend_only", "control"), ("cellmincer", "algorithm")]
    control = page.rows[2]
    assert control.title == TITLE
    (part,) = control.scores
    noisy, own = (row.scores[part]["si_psnr"].value.mean for row in (page.rows[0], control))
    assert control.scores[part]["si_psnr"].gain.mean == pytest.approx(own - noisy)
    (movie,) = page.movies
    assert list(movie.predictions) == ["cellmincer", "cellmincer-trend_only", "mean"]
    assert "cellmincer-trend_only" in movie.frame_scores
    lines = text_of(page).splitlines()
    assert any(line.split()[:2] == ["cellmincer-trend_only", "control"] for line in lines)


def test_the_headline_counts_it_among_the_controls(algorithms, experiments, run_of, written):
    text = " ".join(headline(page_about([written, run_of("identity", "a")], algorithms, experiments)))
    assert f"It does not beat the best control, {TITLE} (" in text


def test_without_a_target_it_has_the_scores_that_need_none(algorithms, written):
    movie = replace(written.record.movies[MOVIE], target=None)
    written = Run(folder=written.folder, record=replace(written.record, movies={MOVIE: movie}))
    noisy = tifffile.imread(movie.noisy)
    removed = noisy - tifffile.imread(written.folder.control(CONTROL, MOVIE)).astype(float)
    found = score_run(written, algorithms).controls[CONTROL].splits["val"]
    assert found["residual_sd"].mean == pytest.approx(removed.std(), rel=1e-5)


def test_beside_a_published_experiment_it_stands_where_our_protocol_scores(experiments, algorithms, run_of):
    experiment = experiments["MOUSENEU_LP_CELLMINCER_1"]
    algorithm = in_environment(algorithms["cellmincer"], experiment.environment)
    params = resolve_params(algorithm, PRESET, experiment.overrides)
    run = run_of("cellmincer", "c", params=params, controls={CONTROL: np.copy})
    score_study(run, experiment.protocol, algorithms)
    control, own = page_about([run], algorithms, experiments).rows
    assert (control.title, control.role) == (f"Trend alone (control of {experiment.name})", "control")
    (part,) = control.scores
    assert part.protocol == ""
    assert {one.protocol for one in own.scores} == {"", STUDY}
    assert control.scores[part]["si_psnr"].value.mean == own.scores[part]["si_psnr"].value.mean
