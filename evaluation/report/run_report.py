"""The report of runs on the same movies, written where it is older than a score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.files import atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.domain import Algorithm
    from orchestrator.run import Run


def report_runs(runs: Sequence[Run], algorithms: Mapping[str, Algorithm], target: Path | None = None) -> str:
    """Write the HTML report of scored runs, the first being its subject, where it is older than a score.

    Parameters
    ----------
    runs : sequence of Run
        Subject, then what stands beside it.
    algorithms : mapping of str to Algorithm
        Titles and roles by name.
    target : Path, optional
        HTML file; by default that of the subject's run, with the tables as text beside it.

    Returns
    -------
    str
        The tables of the report as text.
    """
    subject = runs[0].folder
    newest = max(run.folder.scores.stat().st_mtime_ns for run in runs)
    if target is None and subject.table.exists() and subject.table.stat().st_mtime_ns >= newest:
        return subject.table.read_text()
    from evaluation.report.gather import report_of  # noqa: PLC0415 - a reported run needs no SciPy
    from evaluation.report.page import write_report  # noqa: PLC0415
    from evaluation.report.text import text_table  # noqa: PLC0415

    report = report_of(runs, algorithms)
    write_report(report, target or subject.report)
    table = text_table(report)
    if target is None:
        with atomic(subject.table) as part:
            part.write_text(table + "\n")
    return table
