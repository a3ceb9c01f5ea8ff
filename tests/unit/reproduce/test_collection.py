"""Any runs on one leaderboard: what belongs to an experiment, what stands beside it, and what is pictured together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from orchestrator.collection import by_experiment, collect
from orchestrator.errors import AlgorithmFailed
from orchestrator.experiments import PRESET, load_experiments
from orchestrator.layout import RunFolder
from orchestrator.load import in_environment, load_algorithms, resolve_params
from orchestrator.study import score_study

CONTAINERS = Path(__file__).parents[3] / "containers"
MOVIE = "movie.tif"
LOW = "MOUSENEU_LP_LOWSNR"


@pytest.fixture(scope="module")
def experiments():
    return load_experiments(CONTAINERS)


@pytest.fixture(scope="module")
def algorithms():
    return load_algorithms(CONTAINERS)


@pytest.fixture
def run_of(tmp_path, algorithms):
    """Return a function that writes a finished run on a movie whose target is ten times brighter."""
    generator = np.random.default_rng(0)
    scene = generator.random((16, 16)) * (1 + np.arange(12) % 4)[:, None, None]
    movies = {"noisy": tmp_path / "low.tif", "target": tmp_path / "high.tif"}
    tifffile.imwrite(movies["target"], (1000 * scene).astype(np.uint16))
    tifffile.imwrite(movies["noisy"], (100 * scene + 5 * generator.random(scene.shape)).astype(np.uint16))

    def write(name, key, params=None, environment="current", seed=42):
        algorithm = in_environment(algorithms[name], environment)
        folder = RunFolder(path=tmp_path / "outputs" / f"{name}-mouseneu_lp-default" / key)
        folder.predictions("val").mkdir(parents=True)
        tifffile.imwrite(folder.predictions("val") / MOVIE, (100 * scene + 1).astype(np.float32))
        movie = {**{role: str(path) for role, path in movies.items()}, "truth": None, "shape": [12, 16, 16]}
        job = {"seconds": 1.0, "peak_memory_bytes": 2**20, "peak_gpu_bytes": 0, "clipped_pixels": {}}
        record = {
            "algorithm": name,
            "dataset": "mouseneu_lp",
            "device": {"asked": "cpu", "found": "x86_64 CPU"},
            "environment": environment,
            "experiment": folder.path.parent.name,
            "frame_rate_hz": 30.0,
            "inputs": {f"val/{MOVIE}": "ab" * 32},
            "jobs": {"train": job, "predict-val": job},
            "key": key,
            "movies": {f"val/{MOVIE}": movie},
            "params": resolve_params(algorithm, "default", {}) if params is None else params,
            "preset": "default",
            "seed": seed,
            "threads": 1,
            "upstream": {"name": "calm", "version": "1"},
        }
        folder.record.write_text(json.dumps(record))
        return folder

    return write


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
    runs = [run_of("identity", "a"), run_of("mean", "b")]
    for run in runs:  # of a dataset that no experiment is about
        record = json.loads(run.record.read_text())
        run.record.write_text(json.dumps({**record, "dataset": "other"}))
    (movie,) = collect(runs, experiments, algorithms).movies
    assert movie.fit_target


def test_a_prediction_that_the_study_could_not_cast_is_a_failure_of_the_algorithm(run_of):
    run = run_of("mean", "a")
    path = run.predictions("val") / MOVIE
    tifffile.imwrite(path, tifffile.imread(path) * np.float32(1e9))
    with pytest.raises(AlgorithmFailed, match="cannot be scored as the study did"):  # Reproduction puts it in the table
        score_study(run, "movies")
