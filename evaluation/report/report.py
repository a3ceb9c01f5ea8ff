"""The report of runs: a page and the same tables as text, written anew where anything they depend on has changed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from contract.files import atomic
from evaluation.checks.of_run import check_run, raw_movies
from evaluation.report.runs import with_controls
from evaluation.scores.score import score_run
from orchestrator.records.record import MovieName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.domain import Algorithm
    from orchestrator.paths import RunFolder
    from orchestrator.records.run import Run

_CODE = Path(__file__).parents[1]
_KEY = "key of this page: "  # begins the last line of the text, and a comment in the first of the page
_HEAD_BYTES = 1000  # of a page, within which its key is


def report_runs(  # noqa: PLR0913 - everything that decides on a page
    given: Sequence[Run],
    algorithms: Mapping[str, Algorithm],
    experiments: Callable[[], Mapping[str, Experiment]],
    containers: Path,
    target: Path | None = None,
    *,
    shared: bool = False,
) -> str:
    """Score runs where they are not scored, check the first, and write the page about them and their controls.

    A page whose key is still right is left alone. The key is a digest of the records and scores of all runs, of the
    descriptions of algorithms and experiments, and of the code that scores and draws: all that the content depends on.

    Parameters
    ----------
    given : sequence of Run
        Finished runs, of any datasets; those with the settings of a published experiment stand beside its values.
    algorithms : mapping of str to Algorithm
        All of them by name.
    experiments : callable
        Returns all published experiments by name; asked only where something is written.
    containers : Path
        Folder of the algorithm folders.
    target : Path, optional
        HTML file; by default that of the first run, with the tables as text beside it.
    shared : bool
        Whether files are named without their folders, for a page that is given to others.

    Returns
    -------
    str
        The tables as text.
    """
    runs = with_controls(given, algorithms)
    for run in runs:
        score_run(run, algorithms)
    first, verdicts = given[0].folder, check_run(given[0])
    if target is None and (known := _known(first, key_of(runs, containers))) is not None:
        return known
    from evaluation.report.gather import page_of  # noqa: PLC0415 - a reported run needs no SciPy
    from evaluation.report.page import write_page  # noqa: PLC0415
    from evaluation.report.runs import entries_of  # noqa: PLC0415
    from evaluation.report.text import text_of  # noqa: PLC0415
    from evaluation.study.protocol import score_experiment  # noqa: PLC0415

    published = experiments()
    entries = entries_of(runs, published, algorithms)
    studied = {one.movies: one.attempt.experiment for one in entries if one.attempt}
    for run, experiment in ((run, studied.get(entry.movies)) for entry in entries for run in entry.runs):
        if experiment is not None:
            score_experiment(run, experiment, algorithms)
    subject = next(entry.title for entry in entries if given[0] in entry.runs)
    believed = {f"{MovieName.of(name).file}, {subject}": verdict for name, verdict in verdicts.items()}
    raw = {MovieName.of(name).file: lines for name, lines in raw_movies(given[0]).items()}
    page = replace(page_of(entries, published), verdicts=believed, raw=raw, shared=shared)
    key = key_of(runs, containers)
    write_page(page, target or first.report, key)
    text = text_of(page)
    if target is None:
        with atomic(first.table) as part:
            part.write_text(f"{text}\n{_KEY}{key}\n", encoding="utf-8")
    return text


def tables_of_runs(given: Sequence[Run], algorithms: Mapping[str, Algorithm]) -> str:
    """Score runs where they are not scored, and return the tables of their page as text; no page is written."""
    from evaluation.report.gather import page_of  # noqa: PLC0415 - a reported run needs no SciPy
    from evaluation.report.runs import entries_of  # noqa: PLC0415
    from evaluation.report.text import text_of  # noqa: PLC0415

    runs = with_controls(given, algorithms)
    for run in runs:
        score_run(run, algorithms)
    return text_of(page_of(entries_of(runs, {}, algorithms), {}))


def key_of(runs: Sequence[Run], containers: Path) -> str:
    """Return the digest of all that a page about runs depends on."""
    digest = hashlib.sha256()
    folders = [run.folder for run in runs]
    names = ("record", "scores", "study_scores", "checks", "full_checks", "regions")
    own = [getattr(folder, name) for folder in folders for name in names]
    described = [path for name in ("algorithm", "experiments") for path in sorted(containers.rglob(f"{name}.yaml"))]
    code = sorted(path for path in _CODE.rglob("*") if path.suffix in {".py", ".html", ".css", ".js"})
    for path in (*own, *described, *code):
        content = path.read_bytes() if path.exists() else b""
        digest.update(f"{path.name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _known(folder: RunFolder, key: str) -> str | None:
    """Return the text of a report whose page and text both have a key; None where one of them has not."""
    try:
        text, _, found = folder.table.read_text(encoding="utf-8").rstrip("\n").rpartition(f"\n{_KEY}")
        with folder.report.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return None
    return text if found == key and key.encode() in head else None
