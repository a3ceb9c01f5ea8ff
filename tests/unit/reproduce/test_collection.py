"""Any runs on one leaderboard: what belongs to an experiment, what stands beside it, and what is pictured together."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.report.collection import by_experiment, collect
from evaluation.scores.score import score_run
from evaluation.study.protocol import score_study
from orchestrator.algorithms import in_environment, resolve_params
from orchestrator.errors import AlgorithmFailed
from orchestrator.experiments import PRESET

MOVIE = "movie.tif"
LOW = "MOUSENEU_LP_LOWSNR"


def test_runs_with_published_settings_belong_to_the_experiment_and_others_do_not(experiments, algorithms, run_of):
    experiment = experiments["MOUSENEU_LP_N2V_1"]
    params = resolve_params(in_environment(algorithms["n2v"], "study"), PRESET, experiment.overrides)
    published = run_of("n2v", "a", params=params, environment="study")
    changed = run_of("n2v", "b", params={**params, "num_epochs": 2}, environment="study")
    found, others = by_experiment((published, changed), experiments, algorithms)
    assert found == {experiment.name: (published,)}
    assert others == (changed,)


def test_a_second_run_with_the_same_seed_is_no_further_draw_and_is_not_lost(experiments, algorithms, run_of):
    runs = [run_of("identity", key) for key in ("a", "b")]
    found, others = by_experiment(runs, experiments, algorithms)
    assert found == {LOW: (runs[0],)}
    assert others == (runs[1],)
    third = run_of("identity", "c", seed=43)
    assert by_experiment([*runs, third], experiments, algorithms)[0] == {LOW: (runs[0], third)}


def test_controls_stand_in_the_table_of_the_study_and_in_the_pictures(experiments, algorithms, run_of):
    board = collect([run_of("identity", "a"), run_of("mean", "b")], experiments, algorithms)
    rows = {(entry.title, entry.dataset) for entry in board.entries}
    assert {(LOW, "mouseneu_lp"), ("mean (mouseneu_lp)", "mouseneu_lp")} <= rows
    (movie,) = board.movies
    assert list(movie.predictions) == ["mean (mouseneu_lp)"]


def test_runs_on_the_same_movie_share_its_pictures(experiments, algorithms, run_of):
    runs = [run_of("identity", "a"), run_of("n2v", "b"), run_of("n2n", "c")]
    (movie,) = collect(runs, experiments, algorithms).movies
    assert list(movie.predictions) == ["n2v-mouseneu_lp-default b", "n2n-mouseneu_lp-default c"]
    assert movie.frame_scores.keys() == movie.predictions.keys()


def test_a_target_ten_times_brighter_is_shown_on_the_scale_of_the_noisy_movie(experiments, algorithms, run_of):
    runs = [run_of(name, "a", dataset="other") for name in ("identity", "mean")]  # that no experiment is about
    (movie,) = collect(runs, experiments, algorithms).movies
    assert movie.fit_target


def test_a_prediction_that_the_study_could_not_cast_is_a_failure_of_the_algorithm(algorithms, run_of):
    run = run_of("mean", "a", changed=lambda frames: frames * np.float32(1e9))
    with pytest.raises(AlgorithmFailed, match="cannot be scored as the study did"):  # Reproduction puts it in the table
        score_study(run, "movies", algorithms)


def test_a_prediction_with_pixels_that_are_no_numbers_has_no_score(algorithms, run_of):
    def holed(frames):
        frames = frames.copy()
        frames[3, 2, 2] = np.nan
        return frames

    run = run_of("mean", "a", changed=holed)
    with pytest.raises(AlgorithmFailed, match="frame 3: expected finite numbers"):
        score_run(run, algorithms)
    assert not run.folder.scores.exists()
