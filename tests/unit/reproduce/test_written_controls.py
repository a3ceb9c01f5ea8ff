"""A control that prediction writes beside its result is scored like it, and stands above it wherever scores are shown.

The runs are of cellmincer, whose control is the trend alone; here it is the prediction with less added to it, and so
better than the prediction itself in PSNR, which is what a reader must see.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from msgspec.structs import replace

from evaluation.metrics import si_psnr
from evaluation.report.collection import collect
from evaluation.report.gather import report_of
from evaluation.report.headline import headline
from evaluation.report.text import text_table
from evaluation.scores.score import score_run
from evaluation.scores.tables import read_frames
from orchestrator.algorithms import in_environment, resolve_params
from orchestrator.documents import plain
from orchestrator.experiments import PRESET
from orchestrator.run import Run

MOVIE = "val/movie.tif"
CONTROL = "trend_only"
TITLE = "Trend alone (control of CellMincer, default)"


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


def test_a_control_that_a_parameter_left_out_has_no_row(algorithms, run_of):
    run = run_of("cellmincer", "c")
    assert score_run(run, algorithms).controls == {}
    assert [row.role for row in report_of([run], algorithms).runs] == ["noisy", "algorithm"]


def test_it_stands_directly_above_its_algorithm_with_its_gain_over_noisy(algorithms, run_of, written):
    runs = [written, run_of("mean", "b"), run_of("identity", "a")]
    for run in runs:
        score_run(run, algorithms)
    report = report_of(runs, algorithms)
    rows = [(row.name, row.role) for row in report.runs]
    assert rows[1:] == [("mean", "control"), ("cellmincer-trend_only", "control"), ("cellmincer", "algorithm")]
    control = report.runs[2]
    assert control.title == TITLE
    noisy, own = (row.scores["val"]["si_psnr"].mean for row in (report.runs[0], control))
    assert control.gains["val"]["si_psnr"].mean == pytest.approx(own - noisy)
    (movie,) = report.movies
    assert list(movie.predictions) == ["cellmincer", "cellmincer-trend_only", "mean"]
    assert "cellmincer-trend_only" in movie.frame_scores
    lines = text_table(report).splitlines()
    assert any(line.split()[:2] == ["cellmincer-trend_only", "control"] for line in lines)


def test_the_headline_counts_it_among_the_controls(algorithms, run_of, written):
    runs = [written, run_of("identity", "a")]
    for run in runs:
        score_run(run, algorithms)
    assert f"It does not beat the best control, {TITLE} (" in headline(report_of(runs, algorithms))


def test_without_a_target_it_has_the_scores_that_need_none(algorithms, written):
    movie = replace(written.record.movies[MOVIE], target=None)
    written = Run(folder=written.folder, record=replace(written.record, movies={MOVIE: movie}))
    noisy = tifffile.imread(movie.noisy)
    removed = noisy - tifffile.imread(written.folder.control(CONTROL, MOVIE)).astype(float)
    found = score_run(written, algorithms).controls[CONTROL].splits["val"]
    assert found["residual_sd"].mean == pytest.approx(removed.std(), rel=1e-5)


def test_a_leaderboard_of_runs_has_it_above_its_run(experiments, algorithms, written):
    entries = collect([written], experiments, algorithms).entries
    run = "cellmincer-mouseneu_lp-default c"
    assert [(entry.title, entry.role) for entry in entries] == [
        (f"trend_only (control of {run})", "control"),
        (run, "algorithm"),
    ]
    assert entries[0].comparisons["si_psnr"].ours.mean > entries[1].comparisons["si_psnr"].ours.mean
    assert entries[0].resources is None


def test_a_leaderboard_has_it_beside_a_published_experiment_in_the_corrected_table(experiments, algorithms, run_of):
    experiment = experiments["MOUSENEU_LP_CELLMINCER_1"]
    algorithm = in_environment(algorithms["cellmincer"], experiment.environment)
    params = resolve_params(algorithm, PRESET, experiment.overrides)
    run = run_of("cellmincer", "c", params=params, controls={CONTROL: np.copy})
    entries = collect([run], experiments, algorithms).entries
    (control,) = (entry for entry in entries if entry.title == f"trend_only (control of {experiment.name})")
    (own,) = (entry for entry in entries if entry.title == experiment.name and entry.dataset == control.dataset)
    assert control.dataset == "mouseneu_lp, corrected protocol"
    assert control.role == "control"
    assert control.comparisons["si_psnr"].ours.mean == own.comparisons["si_psnr"].ours.mean
