"""Score tables, headline and terminal text; expected texts are worked out by hand."""

from __future__ import annotations

import math

import pytest

from evaluation.metrics import Summary
from evaluation.report.content import Report, RunContent
from evaluation.report.headline import headline
from evaluation.report.scores import best_value, number, ordered_splits, score_tables, signed, summary_text
from evaluation.report.text import text_table
from evaluation.scores.catalogue import Metric

PSNR = Metric(name="psnr", title="PSNR", unit="dB", better="higher")
ERROR = Metric(name="error", title="Error", unit="", better="lower", decimals=3)
RATIO = Metric(name="ratio", title="Ratio", unit="", better="neither", reference=False)
METRICS = (PSNR, ERROR, RATIO)


def run(name, role, psnr=None, error=None, **changes):
    values = {"psnr": psnr, "error": error}
    scores = {key: Summary(mean=mean, sd=0.5, n=200) for key, mean in values.items() if mean is not None}
    return RunContent(**{"name": name, "title": name, "role": role, "scores": {"test": scores}, **changes})


def report(*runs):
    return Report(title="t", subtitle="s", metrics=METRICS, runs=runs)


NOISY = run("noisy", "noisy", 12.0, 0.5)
IDENTITY = run("identity", "control", 12.0, 0.5)
MEAN = run("mean", "control", 15.0, 0.3)
N2V = run("n2v", "algorithm", 17.5, 0.4)


def test_the_best_value_of_a_column_follows_its_direction_and_may_be_a_control():
    (table,) = score_tables(report(NOISY, IDENTITY, MEAN, N2V))
    best = {row.name: [cell.best for cell in row.cells] for row in table.rows}
    assert best == {"noisy": [False, False], "identity": [False, False], "mean": [False, True], "n2v": [True, False]}


def test_the_gain_is_the_difference_of_means_unless_paired_gains_are_given():
    paired = {"test": {"psnr": Summary(mean=5.5, sd=0.31, n=200)}}
    (table,) = score_tables(report(NOISY, N2V, run("n2n", "algorithm", 17.5, 0.4, gains=paired)))
    assert [row.cells[0].gain for row in table.rows] == ["", "+5.50", "+5.50 ± 0.31"]
    assert [row.cells[1].gain for row in table.rows] == ["", "\u22120.100", "\u22120.100"]


def test_n_stands_in_the_heading_when_all_rows_share_it_and_in_the_cells_when_not():
    (table,) = score_tables(report(NOISY, N2V))
    assert [column.n for column in table.columns] == ["n = 200 frames"] * 2
    other = run("n2v", "algorithm", scores={"test": {"psnr": Summary(mean=17.0, sd=0.5, n=6500)}})
    (table,) = score_tables(report(NOISY, other))
    assert table.columns[0].n == ""
    assert [row.cells[0].n for row in table.rows] == ["n = 200 frames", "n = 6\u202f500 frames"]


def test_a_run_without_scores_keeps_its_row():
    failed = run("hdn", "algorithm", status="did not converge", reason="loss is not a number", scores={})
    (table,) = score_tables(report(NOISY, failed))
    assert [cell.text for cell in table.rows[1].cells] == ["no score", "no score"]
    assert math.isnan(table.rows[1].cells[0].value)


def test_metrics_without_reference_get_a_table_of_their_own_without_best():
    scores = {"test": {"ratio": Summary(mean=1.0, sd=math.nan, n=1), "psnr": Summary(mean=1.0, sd=math.nan, n=1)}}
    tables = score_tables(report(run("noisy", "noisy", scores=scores)))
    assert [(table.reference, len(table.columns)) for table in tables] == [(True, 1), (False, 1)]
    assert not tables[1].rows[0].cells[0].best


def test_splits_come_in_the_order_test_val_train_others():
    assert ordered_splits(["train", "extra", "val", "test", "val"]) == ["test", "val", "train", "extra"]


def test_numbers_that_are_not_finite_are_words():
    assert number(math.nan, 2) == "not a number"
    assert number(math.inf, 2) == "∞"
    assert signed(-math.inf, 2) == "\u2212∞"
    assert signed(0.0, 2) == "+0.00"
    assert summary_text(Summary(mean=1.25, sd=math.nan, n=1), 2) == "1.25"
    assert summary_text(None, 2) == "no score"


def test_a_value_that_is_not_finite_is_never_best():
    assert best_value([math.nan, 3.0, math.inf, 2.0], "higher") == 3.0
    assert best_value([math.nan, 3.0, 2.0], "lower") == 2.0
    assert math.isnan(best_value([math.nan], "higher"))
    assert math.isnan(best_value([1.0], "neither"))


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (
            (NOISY, MEAN, N2V),
            (
                "n2v improves PSNR on split test from 12.00 to 17.50 dB (+5.50 dB, n = 200 frames). "
                "It beats the best control, mean (15.00 dB, difference +2.50 dB)."
            ),
        ),
        (
            (NOISY, MEAN, run("n2v", "algorithm", 14.0)),
            (
                "n2v improves PSNR on split test from 12.00 to 14.00 dB (+2.00 dB, n = 200 frames). "
                "It does not beat the best control, mean (15.00 dB, difference \u22121.00 dB)."
            ),
        ),
        (
            (NOISY, run("n2v", "algorithm", 11.0)),
            "n2v worsens PSNR on split test from 12.00 to 11.00 dB (\u22121.00 dB, n = 200 frames).",
        ),
        (
            (NOISY, IDENTITY, run("n2v", "algorithm", 12.0)),
            (
                "n2v leaves PSNR on split test from 12.00 to 12.00 dB (+0.00 dB, n = 200 frames). "
                "The best control, identity, scores the same (12.00 dB)."
            ),
        ),
        (
            (NOISY, N2V, run("n2n", "algorithm", 18.0)),
            "Best of 2 algorithms, n2n improves PSNR on split test from 12.00 to 18.00 dB (+6.00 dB, n = 200 frames).",
        ),
        (
            (NOISY, run("hdn", "algorithm", scores={}, status="did not converge", reason="the loss is not a number.")),
            "hdn did not converge: the loss is not a number. No algorithm has a PSNR on split test.",
        ),
        ((run("noisy", "noisy", scores={}),), "There are no scores."),
    ],
)
def test_the_headline_says_what_came_out(runs, expected):
    assert headline(report(*runs)) == expected


def test_the_headline_of_a_lower_is_better_metric_calls_a_fall_an_improvement():
    only = Report(title="t", subtitle="s", metrics=(ERROR,), runs=(NOISY, N2V))
    assert headline(only).startswith("n2v improves Error on split test from 0.500 to 0.400 (\u22120.100, n = 200")


def test_the_headline_without_target_promises_nothing():
    scores = {"test": {"ratio": Summary(mean=1.0, sd=0.1, n=9)}}
    text = headline(report(run("noisy", "noisy", scores=scores), run("n2v", "algorithm", scores=scores)))
    assert text.startswith("No clean target was given")


def test_the_terminal_table_has_the_same_cells_in_aligned_columns():
    text = text_table(report(NOISY, MEAN, N2V))
    lines = text.splitlines()
    assert lines[0].startswith("Split test")
    assert any(line.split() == ["n2v", "algorithm", "17.50", "±", "0.50", "*", "0.400", "±", "0.500"] for line in lines)
    rows = [line for line in lines if "±" in line and not line.startswith("Split")]
    assert len({line.index("±") for line in rows}) == 1


def test_a_terminal_table_of_many_metrics_goes_on_below():
    metrics = tuple(Metric(name=f"m{index}", title=f"M{index}", unit="dB", better="higher") for index in range(6))
    scores = {"test": {metric.name: Summary(mean=1.0, sd=0.1, n=3) for metric in metrics}}
    runs = (run("noisy", "noisy", scores=scores),)
    lines = text_table(Report(title="t", subtitle="s", metrics=metrics, runs=runs)).splitlines()
    assert [line.split() for line in lines if "M" in line] == [["M0", "M1", "M2", "M3"], ["M4", "M5"]]
    assert max(len(line) for line in lines) <= 100


def test_the_terminal_table_of_a_report_without_scores_says_so():
    assert text_table(report(run("noisy", "noisy", scores={}))) == "No scores."
