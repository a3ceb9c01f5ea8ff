"""Score and verdict tables as plain text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.report.scores import score_tables
from evaluation.report.standings import standing_tables
from evaluation.study.table_1 import agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluation.metrics import Summary
    from evaluation.report.content import Leaderboard, Report
    from evaluation.report.scores import Cell, Row, ScoreTable
    from evaluation.report.standings import StandingCell, StandingRow, StandingTable
    from evaluation.scores.catalogue import Metric
    from evaluation.study.table_1 import Table1Verdict

GAP = "  "
COLUMNS = 4  # metrics side by side, to stay near 100 characters
NARROW_SPACE = "\u202f"  # not every terminal font has it


def text_table(report: Report) -> str:
    """Write the score tables of a report as aligned text."""
    return "\n\n".join(_score_block(table) for table in score_tables(report)) or "No scores."


def verdict_table(board: Leaderboard) -> str:
    """Write a leaderboard as aligned text: for every entry and metric ours, published, difference and verdict.

    Parameters
    ----------
    board : Leaderboard
        The same content that `write_leaderboard` takes.

    Returns
    -------
    str
        One block for each dataset and split, without final newline.
    """
    return "\n\n".join(_verdict_block(table) for table in standing_tables(board)) or "No entries."


def aligned(rows: Sequence[Sequence[str]], right_from: int) -> str:
    """Pad cells to columns: left-aligned before column `right_from`, right-aligned from there on."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < right_from else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(GAP.join(cells).rstrip().replace(NARROW_SPACE, " "))
    return "\n".join(lines)


def _score_block(table: ScoreTable) -> str:
    kind = "scores against the target" if table.reference else "scores without reference"
    starts = range(0, len(table.columns), COLUMNS)
    parts = [_score_part(table, slice(start, start + COLUMNS)) for start in starts]
    title = f"Split {table.split}: {kind}, mean ± sample sd, difference to noisy below; * best"
    return "\n".join([title, "\n\n".join(parts)])


def _score_part(table: ScoreTable, part: slice) -> str:
    columns = table.columns[part]
    titles = ["", "", *(column.metric.title for column in columns)]
    units = ["", "", *(_unit(column.metric) for column in columns)]
    counts = ["", "", *(column.n for column in columns)]
    rows = [line for row in table.rows for line in _score_rows(row, row.cells[part])]
    return aligned([titles, units, counts, *rows], right_from=2)


def _score_rows(row: Row, cells: Sequence[Cell]) -> list[list[str]]:
    label = row.role if row.status == "ok" else f"{row.role}, {row.status}"
    first = [row.name, label, *(_cell_text(cell) for cell in cells)]
    gains = ["", "", *((cell.gain + "  " if cell.gain else "") for cell in cells)]
    return [first, gains] if any(cell.gain for cell in cells) else [first]


def _cell_text(cell: Cell) -> str:
    n = f" ({cell.n})" if cell.n else ""
    return f"{cell.text}{n}{' *' if cell.best else '  '}"


def _unit(metric: Metric) -> str:
    better = "" if metric.better == "neither" else f"{metric.better} is better"
    return ", ".join(part for part in (metric.unit, better) if part)


def _outcome(row: StandingRow, cell: StandingCell) -> str:
    failed = "" if row.status == "ok" else f"{row.status}: {row.reason}" if row.reason else row.status
    return ", ".join(part for part in (cell.verdict, failed) if part)


def _verdict_block(table: StandingTable) -> str:
    head = ["entry", "metric", "ours", "published", "difference", "verdict"]
    rows = [
        [row.title, column.heading, cell.ours, cell.published or "none", cell.difference, _outcome(row, cell)]
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    ]
    return f"{table.dataset}, split {table.split}\n{aligned([head, *rows], right_from=2)}"


def table_1_text(verdicts: Sequence[Table1Verdict]) -> str:
    """Write rows as aligned text: ours, published, difference and verdict, and the row without copies."""
    head = ["experiment", "gain ± sd (n), dB", "published", "difference", "verdict", "without copies"]
    rows = [
        [
            one.experiment,
            _cell(one.ours),
            "none" if one.published is None else f"{one.published.mean:.6f} ± {one.published.sd:.6f}",
            "" if one.published is None else f"{one.ours.mean - one.published.mean:+.1e}",
            one.judgement.verdict,
            _cell(one.unique),
        ]
        for one in verdicts
    ]
    table = aligned([head, *rows], right_from=1)
    equal, cells = agreement(verdicts)
    count = f"{equal} of {cells} cells (mean and sd) equal the published ones in every printed digit."
    return f"Table 1: gain in SI-PSNR, mean ± sample sd over files\n{table}\n{count}"


def _cell(summary: Summary) -> str:
    return f"{summary.mean:.6f} ± {summary.sd:.6f} ({summary.n})"
