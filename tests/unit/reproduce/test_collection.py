"""Any runs on one page: what belongs to an experiment, what stands beside it, and what is pictured together."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import tifffile

from evaluation.report.content import NOISY, STUDY
from evaluation.report.gather import page_of
from evaluation.report.report import report_runs
from evaluation.report.runs import entries_of, with_controls
from evaluation.scores.score import score_run
from evaluation.study.protocol import score_study
from orchestrator.algorithms.experiments import PRESET
from orchestrator.algorithms.folders import in_environment, resolve_params
from orchestrator.documents import convert, write_sealed
from orchestrator.errors import AlgorithmFailed
from orchestrator.records import run as records
from orchestrator.records.record import Scores
from orchestrator.records.run import read_run

MOVIE = "movie.tif"
LOW = "MOUSENEU_LP_LOWSNR"


@pytest.fixture
def gathered(experiments, algorithms):
    """Return a function that scores runs and gathers the page about them and the controls beside them."""

    def page(runs):
        found = with_controls(runs, algorithms)
        for run in found:
            score_run(run, algorithms)
        entries = entries_of(found, experiments, algorithms)
        for entry in entries:
            if any(one.attempt for one in entries):
                score_study(entry.runs[0], "movies", algorithms)
        return page_of(entries, experiments)

    return page


def entries(runs, experiments, algorithms):
    found = entries_of(runs, experiments, algorithms)
    studied = {one.name: list(one.runs) for one in found if one.attempt}
    return studied, [one.runs[0] for one in found if not one.attempt]


def test_runs_with_published_settings_belong_to_the_experiment_and_others_do_not(experiments, algorithms, run_of):
    experiment = experiments["MOUSENEU_LP_N2V_1"]
    params = resolve_params(in_environment(algorithms["n2v"], "study"), PRESET, experiment.overrides)
    published = run_of("n2v", "a", params=params, environment="study")
    changed = run_of("n2v", "b", params={**params, "num_epochs": 2}, environment="study")
    found, others = entries((published, changed), experiments, algorithms)
    assert found == {experiment.name: [published]}
    assert others == [changed]


def test_a_second_run_with_the_same_seed_is_no_further_draw_and_is_not_lost(experiments, algorithms, run_of):
    runs = [run_of("identity", key) for key in ("a", "b")]
    assert entries(runs, experiments, algorithms) == ({LOW: [runs[0]]}, [runs[1]])
    third = run_of("identity", "c", seed=43)
    assert entries([*runs, third], experiments, algorithms)[0] == {LOW: [runs[0], third]}


def test_controls_stand_in_the_table_of_the_study_and_in_the_pictures(gathered, run_of):
    page = gathered([run_of("identity", "a"), run_of("mean", "b")])
    protocols = {row.title: [part.protocol for part in row.scores] for row in page.rows}
    assert protocols == {LOW: ["", STUDY], "Running mean (control), default": ["", STUDY]}
    verdicts = [score.study for row in page.rows[1:] for part in row.scores.values() for score in part.values()]
    assert set(verdicts) == {None}  # nobody published the control, and nobody is told so
    (movie,) = page.movies
    assert list(movie.predictions) == ["mean"]


def test_controls_on_the_same_movies_are_found_among_the_outputs(gathered, run_of):
    run_of("mean", "b"), run_of("identity", "a")
    page = gathered([run_of("n2v", "c")])
    assert [row.role for row in page.rows] == [NOISY, "control", "algorithm"]


def test_runs_on_the_same_movie_share_its_pictures(gathered, run_of):
    page = gathered([run_of("identity", "a"), run_of("n2v", "b"), run_of("n2n", "c")])
    (movie,) = page.movies
    assert list(movie.predictions) == ["n2v", "n2n"]
    assert list(movie.frame_scores) == ["n2v", "n2n", NOISY]


def test_two_runs_of_one_algorithm_are_told_apart(gathered, run_of):
    page = gathered([run_of("n2v", "b1"), run_of("n2v", "c2")])
    assert [row.name for row in page.rows] == ["n2v b1", "n2v c2"]
    assert len({row.title for row in page.rows}) == 2


def test_runs_on_other_files_of_the_same_name_are_not_compared(gathered, run_of, tmp_path):
    first, other = run_of("n2v", "b"), tmp_path / "other.tif"
    tifffile.imwrite(other, tifffile.imread(first.record.movies[f"val/{MOVIE}"].noisy) + 1)
    page = gathered([first, run_of("n2n", "c", noisy=other)])
    assert {part.movies for row in page.rows for part in row.scores} == {"mouseneu_lp (1)", "mouseneu_lp (2)"}


def test_a_target_ten_times_brighter_is_shown_on_the_scale_of_the_noisy_movie(gathered, run_of):
    (movie,) = gathered([run_of("identity", "a"), run_of("mean", "b")]).movies
    assert movie.fit_target


@pytest.fixture
def report(experiments, algorithms, containers):
    """Return a function that reports runs, each read anew."""

    def write(*runs):
        return report_runs([read_run(one.folder.path) for one in runs], algorithms, lambda: experiments, containers)

    return write


@pytest.mark.slow
def test_a_report_is_written_again_where_its_runs_have_changed_and_only_there(report, run_of):
    first, second = run_of("n2v", "b"), run_of("n2n", "c")
    page, alone = first.folder.report, report(first)
    written = page.stat().st_mtime_ns
    assert report(first) == alone
    assert page.stat().st_mtime_ns == written
    both = report(first, second)  # the table of the first is newer than all scores
    assert "n2n" in both
    assert "n2n" not in alone
    assert report(first) == alone
    page.write_text("something else")
    report(first)
    assert "SI-PSNR" in page.read_text()


def test_a_report_is_written_again_where_a_score_has_changed_though_its_time_has_not(report, run_of):
    run = run_of("n2v", "b")
    report(run)
    scores = run.folder.scores
    document = json.loads(scores.read_text())
    document["splits"]["val"]["si_psnr"]["mean"] = 99.0
    times = scores.stat()
    write_sealed(scores, convert(document, Scores, "a test"))
    os.utime(scores, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "99.00" in report(run)


def test_controls_are_looked_for_once_for_all_runs_on_the_same_movies(algorithms, run_of, monkeypatch):
    runs = [run_of("n2v", f"k{index}", seed=index) for index in range(6)]
    run_of("mean", "m")
    reads = []
    monkeypatch.setattr(records, "read_run", lambda path: reads.append(path) or read_run(path))
    assert len(with_controls(runs, algorithms)) == 7
    assert len(reads) == 1


def test_a_control_of_an_older_calm_that_nobody_named_is_passed_over(algorithms, run_of):
    old = run_of("mean", "a").folder.record
    old.write_text(json.dumps({"algorithm": "mean"}))
    run_of("mean", "b")
    found = with_controls([run_of("n2v", "c")], algorithms)
    assert [run.folder.path.name for run in found if run.record.algorithm == "mean"] == ["b"]


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
