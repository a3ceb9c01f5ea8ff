"""Leaderboard tables and their terminal text, on the example with published values of MOUSENEU_LP."""

from __future__ import annotations

import math

import pytest
from report_examples import board_of

from evaluation.metrics import Summary
from evaluation.report.content import Resources
from evaluation.report.resources import duration, gibibytes, resource_rows
from evaluation.report.standings import standing_tables, verdict_counts
from evaluation.report.text import verdict_table
from evaluation.study.verdict import Comparison


@pytest.fixture
def board(movie):
    return board_of(movie)


def test_every_dataset_and_split_has_one_table(board):
    (table,) = standing_tables(board)
    assert (table.dataset, table.split) == ("MOUSENEU_LP", "val")
    assert [column.heading for column in table.columns] == ["SI-PSNR (dB)", "SSIM"]
    assert len(table.rows) == 5


def test_a_cell_shows_ours_published_difference_and_verdict(board):
    (table,) = standing_tables(board)
    cell = table.rows[2].cells[0]
    assert cell.ours == "21.62 ± 0.48 (n = 6\u202f500)"
    assert cell.published == "22.52 ± 0.48 (n = 6\u202f500)"
    assert cell.difference == "\u22120.90"
    assert (cell.verdict, cell.reason) == ("deviates", "tolerance 0.25 dB")


def test_the_best_of_our_values_is_marked_once(board):
    (table,) = standing_tables(board)
    assert [row.cells[0].best for row in table.rows] == [False, False, False, True, False]


def test_a_value_that_was_not_published_has_no_difference(board):
    (table,) = standing_tables(board)
    cell = table.rows[4].cells[0]
    assert (cell.ours, cell.published, cell.difference, cell.verdict) == ("no score", "", "", "not published")
    assert math.isnan(cell.value)


def test_verdicts_are_counted_with_zeros(board):
    assert verdict_counts(board) == {
        "reproduced": 2,
        "within seed spread": 2,
        "deviates": 2,
        "not comparable": 2,
        "not published": 1,
    }


def test_a_published_value_without_sd_is_shown_alone(board):
    entry = board.entries[0]
    alone = Comparison(
        ours=Summary(mean=1.0, sd=0.1, n=3), published=Summary(mean=1.0, sd=math.nan, n=163), verdict="reproduced"
    )
    changed = type(entry)(
        run="x", title="x", role="algorithm", dataset="d", split="val", comparisons={"si_psnr": alone}
    )
    (table,) = standing_tables(board_of(board.movies[0], entries=(changed,)))
    assert table.rows[0].cells[0].published == "1.00 (n = 163)"


def test_the_terminal_table_has_one_line_for_each_entry_and_metric(board):
    lines = verdict_table(board).splitlines()
    assert lines[0] == "MOUSENEU_LP, split val"
    assert len(lines) == 2 + 5 * 2
    assert lines[5].split()[-4:] == ["+0.001", "within", "seed", "spread"]
    assert "did not converge: loss is not a number after step 1200" in lines[-1]


def test_a_leaderboard_without_entries_says_so(board):
    assert verdict_table(board_of(board.movies[0], entries=())) == "No entries."


def test_durations_and_sizes_have_units():
    assert [duration(one) for one in (None, 0.44, 59.9, 154.2, 3599.7, 7384.0)] == [
        "not measured",
        "0.4 s",
        "59.9 s",
        "2 min 34 s",
        "1 h 0 min",
        "2 h 3 min",
    ]
    assert gibibytes(3 * 2**29) == "1.50 GiB"
    assert gibibytes(None) == "not measured"


def test_runs_that_were_not_measured_have_no_row():
    rows = resource_rows([("a", None), ("b", Resources(train_s=1.0))])
    assert [row.title for row in rows] == ["b"]
    assert rows[0].cells[0] == ("1.0 s", 1.0)
