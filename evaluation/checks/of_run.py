"""The checks of a finished run: of every prediction against its raw movie, kept in checks.json."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.files import write_json
from contract.stacks import open_stack
from evaluation.checks.lights import Band, Check, Light, Topic, Verdict
from evaluation.scores.score import StackFrames
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.paths import RunFolder

VERSION = 1  # of the checks; a change checks every run again
_LEAST_FRAMES = 2


def check_run(folder: RunFolder) -> dict[str, Verdict]:
    """Check every prediction of a run and write checks.json; a run checked before is left alone.

    Parameters
    ----------
    folder : RunFolder
        A finished run.

    Returns
    -------
    dict of str to Verdict
        By the name of the movie; single images, which have no time, are left out.

    Raises
    ------
    BadInput
        When a movie of the run is no longer where it was.
    """
    record = json.loads(folder.record.read_text())
    basis = _basis(record)
    known = read_checks(folder, basis)
    if known is not None:
        return known
    verdicts = {
        name: _verdict(Path(movie["noisy"]), folder.prediction(name))
        for name, movie in sorted(record["movies"].items())
        if movie["shape"][0] >= _LEAST_FRAMES
    }
    movies = {name: _document(verdict) for name, verdict in verdicts.items()}
    write_json(folder.checks, {"basis": basis, "movies": movies})
    return verdicts


def read_checks(folder: RunFolder, basis: Mapping[str, Any] | None = None) -> dict[str, Verdict] | None:
    """Return the checks that a run holds, or None where it holds none (or none of `basis`)."""
    try:
        document = json.loads(folder.checks.read_text())
    except (OSError, ValueError):
        return None
    if document["basis"]["version"] != VERSION or basis not in (None, document["basis"]):
        return None
    return {name: _read(movie) for name, movie in document["movies"].items()}


def _basis(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the checks were computed from: digests of predictions, and size and time of the raw movies."""
    digests = {
        file["path"]: file["sha256"]
        for name, job in record["jobs"].items()
        if name.startswith("predict")
        for file in job["files"]
    }
    return {
        "predictions": {name: digests.get(name) for name in sorted(record["movies"])},
        "raw": {name: _state(Path(movie["noisy"])) for name, movie in sorted(record["movies"].items())},
        "version": VERSION,
    }


def _state(path: Path) -> list[Any]:
    try:
        state = path.stat()
    except OSError as error:
        message = f"{path}: expected the file this run was made with, got nothing"
        raise BadInput(message, "Put it back, or run the algorithm again on the new path.") from error
    return [str(path), state.st_size, state.st_mtime_ns]


def _verdict(raw: Path, prediction: Path) -> Verdict:
    from evaluation.checks.battery import check_movie  # noqa: PLC0415 - a checked run needs no SciPy

    with open_stack(raw) as before, open_stack(prediction) as after:
        return check_movie(StackFrames(before), StackFrames(after))


def _document(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON holds it: numbers that are not finite become null."""
    checks = [{name: _json(value) for name, value in asdict(check).items()} for check in verdict.checks]
    return {"checks": checks, "plain": list(verdict.plain), "seconds": verdict.seconds}


def _json(value: object) -> object:
    if isinstance(value, dict):
        return {name: _json(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(document: Mapping[str, Any]) -> Verdict:
    checks = tuple(_read_check(check) for check in document["checks"])
    return Verdict(checks=checks, plain=tuple(document["plain"]), seconds=document["seconds"])


def _read_check(check: Mapping[str, Any]) -> Check:
    low, high, fail_low, fail_high = (check["band"][name] for name in ("low", "high", "fail_low", "fail_high"))
    band = Band(
        low=-math.inf if low is None else low,
        high=math.inf if high is None else high,
        fail_low=-math.inf if fail_low is None else fail_low,
        fail_high=math.inf if fail_high is None else fail_high,
    )
    value, error = (math.nan if check[name] is None else check[name] for name in ("value", "error"))
    return Check(
        name=check["name"],
        topic=Topic(check["topic"]),
        light=Light(check["light"]),
        value=value,
        error=error,
        band=band,
        unit=check["unit"],
        sentence=check["sentence"],
    )
