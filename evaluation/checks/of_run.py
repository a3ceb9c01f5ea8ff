"""The checks of a finished run: of every prediction against its raw movie, kept in checks.json.

What further predictions and trainings say (`--checks full`) lies in checks-full.json and joins the same lights.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from contract.files import sha256
from contract.stacks import open_stack
from evaluation.checks.lights import Check, Verdict
from evaluation.scores.score import StackFrames, state_of
from orchestrator.documents import Count, Document, Sealed, Seconds, Sha256, write_sealed
from orchestrator.records.record import FileState
from orchestrator.records.regions import kept_regions
from orchestrator.records.run import read_versioned

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.paths import RunFolder
    from orchestrator.records.run import Run

CHECKS_VERSION = 3  # a change checks every run again
_LEAST_FRAMES = 2
_HINT = "Delete it; `calm report RUN` checks the run again."
_FULL_HINT = "Delete it; the same command with --checks full makes it again."


class ChecksBasis(Document, frozen=True, kw_only=True):
    """What checks were computed from: digests of predictions and regions, and raw movies by path, size and time."""

    predictions: dict[str, Sha256 | None]
    raw: dict[str, FileState]
    regions: Sha256 | None
    version: Count


class Added(Document, frozen=True, kw_only=True):
    """What further predictions and trainings say of a movie, and what they took."""

    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    seconds: Seconds

    def joined(self, verdict: Verdict) -> Verdict:
        """Return a verdict with these checks among the others."""
        return replace(
            verdict,
            checks=(*verdict.checks, *self.checks),
            notes=(*verdict.notes, *self.notes),
            seconds=verdict.seconds + self.seconds,
        )


class FullChecks(Sealed, frozen=True, kw_only=True):
    """checks-full.json: by the name of the movie."""

    basis: ChecksBasis
    movies: dict[str, Added]


class Checks(Sealed, frozen=True, kw_only=True):
    """checks.json: by the name of the movie; single images, which have no time, are left out.

    `raw` is what `calm inspect` says of the raw movies, in words.
    """

    basis: ChecksBasis
    movies: dict[str, Verdict]
    raw: dict[str, tuple[str, ...]]


def check_run(run: Run) -> dict[str, Verdict]:
    """Check every prediction of a run and write checks.json; a run checked before is left alone.

    What checks-full.json says of the same predictions is joined to it.

    Parameters
    ----------
    run : Run
        A finished run.

    Returns
    -------
    dict of str to Verdict
        By the name of the movie, SPLIT/NAME.

    Raises
    ------
    BadInput
        When a movie of the run is no longer where it was, or checks.json is damaged.
    """
    run.check()
    basis = _basis(run)
    known = read_checks(run.folder)
    if known is not None and known.basis == basis:
        return _with_added(known.movies, run)
    regions = kept_regions(run.folder)
    middles = None if regions is None else regions.middles
    found = {
        name: _looked_at(movie.noisy, run.folder.prediction(name), middles)
        for name, movie in sorted(run.record.movies.items())
        if movie.shape[0] >= _LEAST_FRAMES
    }
    verdicts = {name: verdict for name, (verdict, _) in found.items()}
    raw = {name: lines for name, (_, lines) in found.items()}
    write_sealed(run.folder.checks, Checks(basis=basis, movies=verdicts, raw=raw))
    return _with_added(verdicts, run)


def raw_movies(run: Run) -> Mapping[str, tuple[str, ...]]:
    """Return what `calm inspect` says of the raw movies of a checked run, in words, by SPLIT/NAME."""
    known = read_checks(run.folder)
    return {} if known is None else known.raw


def read_checks(folder: RunFolder) -> Checks | None:
    """Return what checks.json holds; None where a run was not checked, or by an older calm."""
    return read_versioned(folder.checks, Checks, CHECKS_VERSION, _HINT)


def read_full_checks(run: Run) -> FullChecks | None:
    """Return what checks-full.json says of a run; None where it is of other predictions, or by an older calm."""
    found = read_versioned(run.folder.full_checks, FullChecks, CHECKS_VERSION, _FULL_HINT)
    return found if found is not None and found.basis == _basis(run) else None


def keep_full_checks(run: Run, movies: Mapping[str, Added]) -> None:
    """Write checks-full.json of a run."""
    write_sealed(run.folder.full_checks, FullChecks(basis=_basis(run), movies=dict(movies)))


def _with_added(verdicts: Mapping[str, Verdict], run: Run) -> dict[str, Verdict]:
    full = read_full_checks(run)
    added = {} if full is None else full.movies
    return {name: added[name].joined(one) if name in added else one for name, one in verdicts.items()}


def _basis(run: Run) -> ChecksBasis:
    jobs = (job for name, job in run.record.jobs.items() if name != "train")
    digests = {file.path: file.sha256 for job in jobs for file in job.files}
    return ChecksBasis(
        predictions={name: digests.get(name) for name in run.record.movies},
        raw={name: state_of(movie.noisy) for name, movie in run.record.movies.items()},
        regions=sha256(run.folder.regions) if run.folder.regions.exists() else None,
        version=CHECKS_VERSION,
    )


def _looked_at(raw: Path, prediction: Path, middles: NDArray[np.int64] | None) -> tuple[Verdict, tuple[str, ...]]:
    """Check a prediction, and say what the raw movie is like."""
    from contract.detector import find_faults  # noqa: PLC0415 - a checked run needs no SciPy
    from evaluation.checks.advice import raw_movie_text  # noqa: PLC0415
    from evaluation.checks.battery import verdict_of  # noqa: PLC0415
    from evaluation.checks.evidence import gather  # noqa: PLC0415
    from evaluation.checks.raw_movie import look_at  # noqa: PLC0415

    began_s = time.perf_counter()
    with open_stack(raw) as before, open_stack(prediction) as after:
        frames = StackFrames(before)
        evidence = gather(frames, StackFrames(after), middles)
        found = look_at(frames, evidence if middles is None else None)
        lines = raw_movie_text(found, find_faults(before, gaps=True))
        return replace(verdict_of(evidence), seconds=time.perf_counter() - began_s), lines
