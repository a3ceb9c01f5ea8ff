"""Tables, headline and terminal text; expected texts are worked out by hand."""

from __future__ import annotations

import math

import pytest

from evaluation.metrics import Summary
from evaluation.report.content import Page, Part, Row, Score
from evaluation.report.headline import headline
from evaluation.report.numbers import duration, gibibytes, number, signed, summary_text
from evaluation.report.table import best_value, tables_of, verdict_counts
from evaluation.report.text import text_of
from evaluation.scores.catalogue import METRICS as ALL
from evaluation.scores.catalogue import Metric
from evaluation.study.verdict import Comparison

PSNR = Metric(name="psnr", title="PSNR", unit="dB", better="higher")
ERROR = Metric(name="error", title="Error", unit="", better="lower", decimals=3)
RATIO = Metric(name="ratio", title="Ratio", unit="", better="neither", reference=False, aim="1 is right")
METRICS = (PSNR, ERROR, RATIO)
TEST = Part(movies="demo", split="test")


def score(mean, sd=0.5, n=200, **more):
    return Score(value=Summary(mean=mean, sd=sd, n=n), **more)


def run(name, role, psnr=None, error=None, **changes):
    values = {"psnr": psnr, "error": error}
    scores = {TEST: {key: score(mean) for key, mean in values.items() if mean is not None}}
    return Row(**{"name": name, "title": name, "role": role, "scores": scores, **changes})


def report(*rows):
    return Page(title="t", subtitle="s", metrics=METRICS, rows=rows)


NOISY = run("noisy", "noisy", 12.0, 0.5)
IDENTITY = run("identity", "control", 12.0, 0.5)
MEAN = run("mean", "control", 15.0, 0.3)
N2V = run("n2v", "algorithm", 17.5, 0.4)


def test_the_best_value_of_a_column_follows_its_direction_and_may_be_a_control():
    (table,) = tables_of(report(NOISY, IDENTITY, MEAN, N2V))
    best = {row.row.name: [cell.best for cell in row.cells] for row in table.rows}
    assert best == {"noisy": [False, False], "identity": [False, False], "mean": [False, True], "n2v": [True, False]}


def test_a_supervised_run_is_never_best_and_the_headline_calls_it_a_ceiling():
    page = report(NOISY, MEAN, N2V, run("care", "supervised", 21.0, 0.1))
    (table,) = tables_of(page)
    best = {row.row.name: [cell.best for cell in row.cells] for row in table.rows}
    assert best == {"noisy": [False, False], "mean": [False, True], "n2v": [True, False], "care": [False, False]}
    assert table.rows[-1].role == "supervised"
    (sentence,) = headline(page)
    assert sentence.startswith("n2v improves PSNR")
    assert "The supervised ceiling, care, reaches 21.00 dB (+9.00 dB): it learned from clean targets" in sentence


@pytest.mark.parametrize(("value", "better"), [(21.0, None), (17.5, None), (16.0, "n2v"), (14.0, "n2v")])
def test_a_ceiling_that_lies_below_another_is_called_none(value, better):
    (sentence,) = headline(report(NOISY, MEAN, N2V, run("care", "supervised", value)))
    ends = "without them." if better is None else f"Trained like this it is no ceiling: {better} does better."
    assert sentence.endswith(ends)


def test_a_supervised_run_alone_is_no_subject_of_the_headline():
    (sentence,) = headline(report(NOISY, MEAN, run("care", "supervised", 21.0)))
    assert sentence.startswith("mean improves PSNR")
    assert "The supervised ceiling, care" in sentence


def test_the_gain_is_the_difference_of_means_unless_paired_gains_are_given():
    paired = {"psnr": score(17.5, gain=Summary(mean=5.5, sd=0.31, n=200, low=5.4, high=5.6)), "error": score(0.4)}
    (table,) = tables_of(report(NOISY, N2V, run("n2n", "algorithm", scores={TEST: paired})))
    gains = [row.cells[0].gain for row in table.rows]
    assert gains == ["", "+5.50", "+5.50 ± 0.31 (95 % +5.40 to +5.60)"]
    assert [row.cells[1].gain for row in table.rows] == ["", "\u22120.100", "\u22120.100"]


def test_n_stands_in_the_heading_when_all_rows_share_it_and_in_the_cells_when_not():
    (table,) = tables_of(report(NOISY, N2V))
    assert [column.n for column in table.columns] == ["200 frames"] * 2
    other = run("n2v", "algorithm", scores={TEST: {"psnr": score(17.0, n=6500)}})
    (table,) = tables_of(report(NOISY, other))
    assert table.columns[0].n == ""
    assert [row.cells[0].n for row in table.rows] == ["200 frames", "6\u202f500 frames"]


def test_a_run_without_scores_keeps_its_row():
    failed = run("hdn", "algorithm", status="did not converge", reason="loss is not a number", scores={})
    (table,) = tables_of(report(NOISY, failed))
    assert [cell.text for cell in table.rows[1].cells] == ["no score", "no score"]
    assert math.isnan(table.rows[1].cells[0].value)


def test_a_metric_whose_value_alone_says_nothing_has_no_best_and_says_what_it_aims_at():
    scores = {TEST: {"ratio": score(1.0, sd=math.nan, n=1), "psnr": score(1.0, sd=math.nan, n=1)}}
    (table,) = tables_of(report(run("noisy", "noisy", scores=scores), run("n2v", "algorithm", scores=scores)))
    assert [cell.best for cell in table.rows[0].cells] == [True, False]
    assert [column.aim for column in table.columns] == ["higher is better", "1 is right"]


def test_no_heading_contradicts_its_explanation():
    """A metric that is best at a value says so in its heading, where its explanation warns of being away from it."""
    for metric in ALL:
        warns = any(word in metric.explanation for word in ("away from", "below 1"))
        assert not (warns and metric.better == "neither" and not metric.aim), metric.name


def test_movies_to_test_on_come_before_those_that_were_trained_on_and_parts_have_words():
    parts = [Part(movies="demo", split=split) for split in ("train", "extra", "val", "test")]
    scores = {part: {"psnr": score(1.0)} for part in parts}
    tables = tables_of(report(run("n2v", "algorithm", scores=scores)))
    titles = ["demo, test movies", "demo, validation movies", "demo, training movies", "demo, extra"]
    assert [table.part.title for table in tables] == titles
    assert Part(movies="mine", split="train", own=True).title == "mine"


def test_the_few_columns_that_decide_hold_the_mean_shift():
    scores = {TEST: {metric.name: score(1.0) for metric in ALL}}
    (table,) = tables_of(Page(title="", subtitle="", metrics=ALL, rows=(run("n2v", "algorithm", scores=scores),)))
    names = [column.metric.name for column in table.deciding().columns]
    assert names == ["si_psnr", "temporal_correlation", "roi_correlation", "gain", "mean_shift"]


def judged(mean, published, verdict):
    theirs = None if published is None else Summary(mean=published, sd=0.5, n=200)
    study = Comparison(ours=None, published=theirs, verdict=verdict, reason="tolerance 0.25 dB")
    return {TEST: {"psnr": score(mean, study=study)}}


def test_a_cell_shows_what_the_study_published_the_difference_and_the_verdict():
    rows = run("n2n", "algorithm", scores=judged(16.0, 17.0, "deviates")), run("b", "algorithm", 12.0)
    (table,) = tables_of(report(*rows))
    cell = table.rows[0].cells[0]
    assert (cell.text, cell.published, cell.difference) == ("16.00 ± 0.50", "17.00 ± 0.50 (n = 200)", "\u22121.00")
    assert (cell.verdict, cell.reason) == ("deviates", "tolerance 0.25 dB")
    assert (table.rows[1].cells[0].verdict, table.published) == (None, True)
    assert verdict_counts(report(*rows)) == {"deviates": 1}


def test_the_terminal_has_a_line_for_each_row_and_metric_where_the_study_has_a_word():
    lost = run("hdn", "algorithm", scores=judged(15.0, None, "not published"), status="failed", reason="it broke")
    lines = text_of(report(run("n2n", "algorithm", scores=judged(16.0, 17.0, "deviates")), lost)).splitlines()
    assert lines[0] == "demo, test movies"
    assert lines[2].split()[:8] == ["n2n", "PSNR", "(dB)", "16.00", "±", "0.50", "(n", "="]
    assert lines[2].split()[-2:] == ["\u22121.00", "deviates"]
    assert lines[3].endswith("not published, failed: it broke")


def test_durations_and_sizes_have_units():
    assert [duration(one) for one in (None, 0.44, 59.9, 154.2, 3599.7, 7384.0)] == [
        "not measured",
        "0.4 s",
        "59.9 s",
        "2 min 34 s",
        "1 h 0 min",
        "2 h 3 min",
    ]
    assert (gibibytes(3 * 2**29), gibibytes(None)) == ("1.50 GiB", "not measured")


def test_numbers_that_are_not_finite_are_words():
    assert number(math.nan, 2) == "not a number"
    assert number(math.inf, 2) == "∞"
    assert signed(-math.inf, 2) == "\u2212∞"
    assert signed(0.0, 2) == "+0.00"
    assert number(-0.0001, 2) == "0.00"
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
                "n2v improves PSNR on demo, test movies from 12.00 to 17.50 dB (+5.50 dB, 200 frames). "
                "It beats the best control, mean (15.00 dB, difference +2.50 dB)."
            ),
        ),
        (
            (NOISY, MEAN, run("n2v", "algorithm", 14.0)),
            (
                "n2v improves PSNR on demo, test movies from 12.00 to 14.00 dB (+2.00 dB, 200 frames). "
                "It does not beat the best control, mean (15.00 dB, difference \u22121.00 dB)."
            ),
        ),
        (
            (NOISY, run("n2v", "algorithm", 11.0)),
            "n2v worsens PSNR on demo, test movies from 12.00 to 11.00 dB (\u22121.00 dB, 200 frames).",
        ),
        (
            (NOISY, IDENTITY, run("n2v", "algorithm", 12.0)),
            (
                "n2v leaves PSNR on demo, test movies from 12.00 to 12.00 dB (+0.00 dB, 200 frames). "
                "The best control, identity, scores the same (12.00 dB)."
            ),
        ),
        (
            (NOISY, N2V, run("n2n", "algorithm", 18.0)),
            "Best of 2, n2n improves PSNR on demo, test movies from 12.00 to 18.00 dB (+6.00 dB, 200 frames).",
        ),
        (
            (NOISY, run("hdn", "algorithm", scores={}, status="did not converge", reason="the loss is not a number.")),
            "hdn did not converge: the loss is not a number. demo, test movies: nothing to compare has a PSNR.",
        ),
        ((run("noisy", "noisy", scores={}),), "There are no scores."),
    ],
)
def test_the_headline_says_what_came_out(runs, expected):
    assert " ".join(headline(report(*runs))) == expected


def test_the_headline_of_a_lower_is_better_metric_calls_a_fall_an_improvement():
    only = Page(title="t", subtitle="s", metrics=(ERROR,), rows=(NOISY, N2V))
    (text,) = headline(only)
    assert text.startswith("n2v improves Error on demo, test movies from 0.500 to 0.400 (\u22120.100, 200 frames")


def test_the_headline_without_target_promises_nothing():
    scores = {TEST: {"ratio": score(1.0, n=9)}}
    (text,) = headline(report(run("noisy", "noisy", scores=scores), run("n2v", "algorithm", scores=scores)))
    assert "there is no clean target" in text


def test_the_terminal_table_has_the_same_cells_in_aligned_columns():
    text = text_of(report(NOISY, MEAN, N2V))
    lines = text.splitlines()
    assert lines[0].startswith("demo, test movies")
    assert any(line.split() == ["n2v", "algorithm", "17.50", "±", "0.50", "*", "0.400", "±", "0.500"] for line in lines)
    rows = [line for line in lines if "±" in line and not line.startswith("demo")]
    assert len({line.index("±") for line in rows}) == 1


def test_a_terminal_table_of_many_metrics_goes_on_below():
    metrics = tuple(Metric(name=f"m{index}", title=f"M{index}", unit="dB", better="higher") for index in range(6))
    scores = {TEST: {metric.name: score(1.0, n=3) for metric in metrics}}
    runs = (run("noisy", "noisy", scores=scores),)
    lines = text_of(Page(title="t", subtitle="s", metrics=metrics, rows=runs)).splitlines()
    assert [line.split() for line in lines if "M" in line] == [
        ["M0", "(dB)", "M1", "(dB)", "M2", "(dB)", "M3", "(dB)"],
        ["M4", "(dB)", "M5", "(dB)"],
    ]
    assert max(len(line) for line in lines) <= 100


def test_the_terminal_table_of_a_report_without_scores_says_so():
    assert text_of(report(run("noisy", "noisy", scores={}))) == "No scores."
