"""From scores on disk to verdicts: what counts, what stops everything, and what the exit code follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from run_records import JOB, write_run, write_scores

from evaluation.report.gather import page_of
from evaluation.report.runs import entries_of_attempts
from evaluation.report.text import reasons
from evaluation.study.judge import deviates, judged, passed
from orchestrator.algorithms.experiments import Attempt
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.reproduce.attempts import Request, prior_files, with_anchors
from orchestrator.reproduce.published import load_experiments
from orchestrator.reproduce.reproduce import Reproduction

CONTAINERS = Path(__file__).parents[3] / "containers"
LOW, N2N, N2V_2 = "MOUSENEU_LP_LOWSNR", "MOUSENEU_LP_N2N_1", "MOUSENEU_LP_N2V_2"


@pytest.fixture(scope="module")
def experiments():
    return load_experiments(CONTAINERS)


@pytest.fixture
def run_of(tmp_path, experiments):
    """Return a function that writes a finished run whose scores are the published ones plus a shift."""

    def write(name, shift=0.0, seed=42):
        splits = {}
        for one in experiments[name].published:
            splits.setdefault(one.split, {})[one.metric] = {"mean": one.mean + shift, "sd": one.sd, "n": one.n}
        one = experiments[name]
        upstream = {"name": "careamics", "version": "0.0.5"}
        run = write_run(
            tmp_path / name / str(seed),
            algorithm=one.algorithm,
            environment=one.environment,
            upstream=upstream,
            jobs={"train": {**JOB, "seconds": 60.0}},
            seed=seed,
            threads=2,
        )
        write_scores(run, splits)
        run.folder.frames.write_text("movie,frame,si_psnr\n")
        return run

    return write


def _verdicts(attempt, experiments):
    return {one.verdict for split in judged(attempt, experiments).values() for one in split.values()}


def _request(**more):
    plain = {"names": (N2N,), "seeds": 1, "first_seed": 42, "threads": 1, "device": "cpu", "preset": None}
    return Request(**(plain | {"overrides": {}} | more))


def test_the_noisy_rows_are_reproduced_to_the_printed_digits(experiments, run_of):
    attempt = Attempt(experiment=experiments[LOW], runs=(run_of(LOW, shift=0.0004),))
    assert _verdicts(attempt, experiments) == {"reproduced"}
    assert passed([attempt], experiments)


def test_a_noisy_row_that_differs_in_the_last_digit_deviates(experiments, run_of):
    attempt = Attempt(experiment=experiments[LOW], runs=(run_of(LOW, shift=0.001),))
    assert deviates(attempt, experiments)
    assert not passed([attempt], experiments)


def test_nothing_is_trained_on_data_whose_noisy_rows_deviate(experiments, run_of, monkeypatch):
    anchor = Attempt(experiment=experiments[LOW], runs=(run_of(LOW, shift=0.1),))
    tried = []

    def attempt(_, experiment, __):
        tried.append(experiment.name)
        return anchor

    monkeypatch.setattr(Reproduction, "_attempt", attempt)
    work = Reproduction(
        session=None,
        request=_request(),
        progress=None,
        score=None,
        deviates=lambda one: deviates(one, experiments),
    )
    first, second = work.attempts(with_anchors(experiments, [N2N]))
    assert tried == [LOW]
    assert first is anchor
    assert second.status == "failed"
    assert "the noisy files do not score as published" in second.reason
    assert _verdicts(second, experiments) == {"deviates"}


def test_a_trained_experiment_is_judged_with_its_tolerance_and_its_environment_is_named(experiments, run_of):
    attempt = Attempt(experiment=experiments[N2N], runs=(run_of(N2N),))
    assert _verdicts(attempt, experiments) == {"reproduced"}
    page = page_of(entries_of_attempts([attempt], load_algorithms(CONTAINERS)), experiments)
    ran = "; run in environment study with careamics 0.0.5; the study ran CAREamics 0.0.9 or before"
    lines = reasons(page)
    assert lines[0] == f"{N2N}: ran as n2n, careamics 0.0.5, environment study"
    assert all(ran in line for line in lines[1:])
    (row,) = page.rows
    assert row.environment == "n2n, careamics 0.0.5, environment study"
    assert row.resources.train_s == 60.0


def test_an_attempt_without_a_run_has_a_row_with_its_reason(experiments):
    attempt = Attempt(experiment=experiments[N2N], status="failed", reason="it broke")
    (row,) = page_of(entries_of_attempts([attempt], load_algorithms(CONTAINERS)), experiments).rows
    assert (row.status, row.reason) == ("failed", "it broke")
    assert {score.study.verdict for part in row.scores.values() for score in part.values()} == {"deviates"}


def test_three_seeds_that_scatter_around_the_published_value_are_within_their_spread(experiments, run_of):
    runs = tuple(run_of(N2N, shift, seed) for seed, shift in enumerate((0.06, 0.16, 0.11)))
    attempt = Attempt(experiment=experiments[N2N], runs=runs)
    assert _verdicts(attempt, experiments) == {"within seed spread"}
    assert not passed([attempt], experiments)


def test_changed_settings_are_not_comparable_and_say_what_was_changed(experiments, run_of):
    request = _request(preset="quick", overrides={"num_epochs": "2"})
    changes = request.changes(experiments[N2N])
    attempt = Attempt(experiment=experiments[N2N], runs=(run_of(N2N, shift=1.0),), changes=changes)
    assert changes == "run with preset quick, num_epochs=2 in place of the published settings"
    assert _verdicts(attempt, experiments) == {"not comparable"}


def test_the_scatter_of_three_seeds_is_told_even_where_nothing_is_comparable(experiments, run_of):
    runs = tuple(run_of(N2N, shift, seed) for seed, shift in enumerate((0.0, 0.1, 0.2)))
    attempt = Attempt(experiment=experiments[N2N], runs=runs, changes="run with another preset")
    told = [one.reason for split in judged(attempt, experiments).values() for one in split.values()]
    assert told == ["run with another preset; the means of our 3 seeds scatter with a sample sd of 0.1"] * 8


def test_changed_parameters_do_not_touch_priors_nor_the_noisy_rows(experiments):
    request = _request(names=("REFINED_HDN_3",), overrides={"max_epochs": "2"})
    assert request.changes(experiments["REFINED_HDN_3"])
    assert not request.changes(experiments["REFINED_N2V_3"])
    assert not request.changes(experiments[LOW])


def test_an_experiment_that_did_not_converge_deviates_with_the_reason(experiments):
    attempt = Attempt(experiment=experiments[N2N], status="did not converge", reason="seed 42: loss is NaN")
    judgements = judged(attempt, experiments)
    assert {one.reason for split in judgements.values() for one in split.values()} == {
        "did not converge: seed 42: loss is NaN"
    }
    assert _verdicts(attempt, experiments) == {"deviates"}


def test_where_the_study_failed_too_nothing_is_comparable(experiments):
    attempt = Attempt(experiment=experiments[N2V_2], status="failed", reason="seed 42: out of memory")
    assert _verdicts(attempt, experiments) == {"not comparable"}
    assert passed([attempt], experiments)


def test_an_experiment_with_pictures_that_fails_here_deviates(experiments):
    for status in ("failed", "did not converge"):
        attempt = Attempt(experiment=experiments["REFINED_DEEPCAD_1"], status=status, reason="seed 42: it broke")
        assert _verdicts(attempt, experiments) == {"deviates"}
        assert not passed([attempt], experiments)


def test_a_crash_fails_the_command_also_where_changed_settings_forbid_comparing(experiments):
    attempt = Attempt(experiment=experiments[N2N], changes="run with preset quick", status="failed", reason="it broke")
    assert _verdicts(attempt, experiments) == {"not comparable"}
    assert not passed([attempt], experiments)


def test_private_data_are_not_comparable_and_what_was_never_run_is_not_published(experiments):
    absent = Attempt(experiment=experiments["REFINED_N2N_1"], absent="its data are private and not here")
    assert _verdicts(absent, experiments) == {"not comparable"}
    never_run = Attempt(experiment=experiments["REFINED_N2V_2"])
    assert _verdicts(never_run, experiments) == {"not published"}
    assert not passed([never_run], experiments)


def test_the_noisy_files_of_every_dataset_come_first(experiments):
    order = [one.name for one in with_anchors(experiments, ["NIDDL_N2V_1", N2N])]
    assert order == [LOW, "NIDDL_LOWSNR", "NIDDL_N2V_1", N2N]


def test_a_prior_is_the_prediction_with_the_same_position_among_the_seeds(experiments, run_of):
    runs = tuple(run_of("REFINED_N2V_3", seed=seed) for seed in (42, 43))
    for run in runs:
        run.folder.predictions("train").mkdir(parents=True)
        (run.folder.predictions("train") / "a.tif").touch()
    done = {"REFINED_N2V_3": Attempt(experiment=experiments["REFINED_N2V_3"], runs=runs, reason="seed 44: killed")}
    assert prior_files(experiments["REFINED_HDN_3"], done, 1) == (runs[1].folder.predictions("train") / "a.tif",)
    assert "did not end well: seed 44: killed" in prior_files(experiments["REFINED_HDN_3"], done, 2)


def test_settings_are_the_published_ones_unless_a_preset_is_given(experiments):
    algorithms = load_algorithms(CONTAINERS)
    algorithm = replace(algorithms["mean"], kind="algorithm")
    experiment = experiments["NIDDL_N2V_3"]
    published = _request().settings(experiment, algorithm, 7)
    assert (published.preset, published.seed, published.overrides) == ("published", 7, experiment.overrides)
    quick = _request(preset="quick").settings(experiment, algorithm, 7)
    assert (quick.preset, quick.overrides) == ("quick", {})
