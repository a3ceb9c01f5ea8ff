"""The tables of a page as plain text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.report.table import tables_of
from evaluation.study.table_1 import agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluation.metrics import Summary
    from evaluation.report.content import Page
    from evaluation.report.table import Cell, Table, TableRow
    from evaluation.study.table_1 import Table1Verdict

_GAP = "  "
_COLUMNS = 4  # metrics side by side, to stay near 100 characters
_NARROW_SPACE = "\u202f"  # not every terminal font has it


def text_of(page: Page) -> str:
    """Write the tables of a page as aligned text: a line for each row and metric where the study has a word on them."""
    return "\n\n".join(_judged(one) if one.published else _scored(one) for one in tables_of(page)) or "No scores."


def reasons(page: Page) -> tuple[str, ...]:
    """Return in what each row ran and why each verdict is as it is, a line each, in the order of the rows."""
    lines: dict[str, None] = {}
    for row in page.rows:
        if row.environment:
            lines[f"{row.title}: ran as {row.environment}"] = None
        for part, scores in row.scores.items():
            for metric, score in scores.items():
                if score.study is not None and score.study.reason:
                    where = f" {part.split} {metric}" if score.study.published else ""
                    lines[f"{row.title}{where}: {score.study.verdict}: {score.study.reason}"] = None
    return tuple(lines)


def aligned(rows: Sequence[Sequence[str]], right_from: int) -> str:
    """Pad cells to columns: left-aligned before column `right_from`, right-aligned from there on."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < right_from else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(_GAP.join(cells).rstrip().replace(_NARROW_SPACE, " "))
    return "\n".join(lines)


def _scored(table: Table) -> str:
    title = f"{table.part.title}: mean ± sample sd, difference to noisy below; * best"
    return "\n".join([title, "\n\n".join(map(_block, table.blocks(_COLUMNS)))])


def _block(table: Table) -> str:
    titles = ["", "", *(column.heading for column in table.columns)]
    aims = ["", "", *(column.aim for column in table.columns)]
    counts = ["", "", *(column.n for column in table.columns)]
    return aligned([titles, aims, counts, *(line for row in table.rows for line in _lines(row))], right_from=2)


def _lines(row: TableRow) -> list[list[str]]:
    label = row.role if row.row.status == "ok" else f"{row.role}, {row.row.status}"
    first = [row.row.name, label, *(_cell(cell) for cell in row.cells)]
    gains = ["", "", *((cell.gain.partition(" (")[0] + "  " if cell.gain else "") for cell in row.cells)]
    return [first, gains] if any(cell.gain for cell in row.cells) else [first]


def _cell(cell: Cell) -> str:
    n = f" ({cell.n})" if cell.n else ""
    return f"{cell.text}{n}{' *' if cell.best else '  '}"


def _judged(table: Table) -> str:
    head = ["row", "metric", "ours", "published", "difference", "verdict"]
    rows = [
        [row.row.title, column.heading, _ours(cell, column.n), cell.published, cell.difference, _outcome(row, cell)]
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    ]
    return f"{table.part.title}\n{aligned([head, *rows], right_from=2)}"


def _ours(cell: Cell, n: str) -> str:
    count = (cell.n or n).rpartition(" ")[0]
    return f"{cell.text} (n = {count})" if count and "score" not in cell.text else cell.text


def _outcome(row: TableRow, cell: Cell) -> str:
    one = row.row
    failed = "" if one.status == "ok" else f"{one.status}: {one.reason}" if one.reason else one.status
    return ", ".join(part for part in (cell.verdict, failed) if part)


def table_1_text(verdicts: Sequence[Table1Verdict]) -> str:
    """Write rows as aligned text: ours, published, difference and verdict, and the row without copies."""
    head = ["experiment", "gain ± sd (n), dB", "published", "difference", "verdict", "without copies"]
    rows = [
        [
            one.experiment,
            _six(one.ours),
            "none" if one.published is None else f"{one.published.mean:.6f} ± {one.published.sd:.6f}",
            "" if one.published is None else f"{one.ours.mean - one.published.mean:+.1e}",
            one.judgement.verdict,
            _six(one.unique),
        ]
        for one in verdicts
    ]
    equal, cells = agreement(verdicts)
    count = f"{equal} of {cells} cells (mean and sd) equal the published ones in every printed digit."
    return f"Table 1: gain in SI-PSNR, mean ± sample sd over files\n{aligned([head, *rows], right_from=1)}\n{count}"


def _six(summary: Summary) -> str:
    return f"{summary.mean:.6f} ± {summary.sd:.6f} ({summary.n})"
