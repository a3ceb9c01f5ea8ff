"""The checks of a finished run: of every prediction against its raw movie, kept in checks.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.files import sha256
from contract.stacks import open_stack
from evaluation.checks.lights import Verdict
from evaluation.scores.score import StackFrames, state_of
from orchestrator.documents import Count, Document, Sealed, Sha256, write_sealed
from orchestrator.records import FileState
from orchestrator.regions import kept_regions
from orchestrator.run import read_versioned

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.paths import RunFolder
    from orchestrator.run import Run

CHECKS_VERSION = 2  # a change checks every run again
_LEAST_FRAMES = 2
_HINT = "Delete it; `calm report RUN` checks the run again."


class ChecksBasis(Document, frozen=True, kw_only=True):
    """What checks were computed from: digests of predictions and regions, and raw movies by path, size and time."""

    predictions: dict[str, Sha256 | None]
    raw: dict[str, FileState]
    regions: Sha256 | None
    version: Count


class Checks(Sealed, frozen=True, kw_only=True):
    """checks.json: by the name of the movie; single images, which have no time, are left out."""

    basis: ChecksBasis
    movies: dict[str, Verdict]


def check_run(run: Run) -> dict[str, Verdict]:
    """Check every prediction of a run and write checks.json; a run checked before is left alone.

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
        return known.movies
    regions = kept_regions(run.folder)
    middles = None if regions is None else regions.middles
    verdicts = {
        name: _verdict(movie.noisy, run.folder.prediction(name), middles)
        for name, movie in sorted(run.record.movies.items())
        if movie.shape[0] >= _LEAST_FRAMES
    }
    write_sealed(run.folder.checks, Checks(basis=basis, movies=verdicts))
    return verdicts


def read_checks(folder: RunFolder) -> Checks | None:
    """Return what checks.json holds; None where a run was not checked, or by an older calm."""
    return read_versioned(folder.checks, Checks, CHECKS_VERSION, _HINT)


def _basis(run: Run) -> ChecksBasis:
    jobs = (job for name, job in run.record.jobs.items() if name != "train")
    digests = {file.path: file.sha256 for job in jobs for file in job.files}
    return ChecksBasis(
        predictions={name: digests.get(name) for name in run.record.movies},
        raw={name: state_of(movie.noisy) for name, movie in run.record.movies.items()},
        regions=sha256(run.folder.regions) if run.folder.regions.exists() else None,
        version=CHECKS_VERSION,
    )


def _verdict(raw: Path, prediction: Path, middles: NDArray[np.int64] | None) -> Verdict:
    from evaluation.checks.battery import check_movie  # noqa: PLC0415 - a checked run needs no SciPy

    with open_stack(raw) as before, open_stack(prediction) as after:
        return check_movie(StackFrames(before), StackFrames(after), middles)
