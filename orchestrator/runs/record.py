"""The record of a run: everything that made it what it is."""

from __future__ import annotations

import os
import platform
import sys
import time
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import replace

from contract import CONTRACT_VERSION
from contract.files import sha256
from orchestrator.records.record import (
    DeviceRecord,
    EngineRecord,
    FileRecord,
    HardwareRecord,
    ImageRecord,
    JobRecord,
    MovieName,
    MovieRecord,
    Record,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.engines import Engine
    from orchestrator.paths import RunFolder
    from orchestrator.records.record import Result
    from orchestrator.runs.plan import Plan

_DOCUMENTS = ("history.json", "figures.json")  # of a job, which reports read


def record_of(  # noqa: PLR0913 - everything that made a run
    plan: Plan,
    engine: Engine,
    results: Mapping[str, Result],
    *,
    began_s: float,
    memory_bytes: int,
    training_of: Path | None = None,
) -> Record:
    """Return the provenance record of a run, the content of its run.json."""
    return Record(
        **_what_was_asked(plan),
        **_what_was_found(plan, engine, list(results.values())[-1]),
        began_s=round(began_s, 3),
        command_line=tuple(sys.argv),
        contract=CONTRACT_VERSION,
        jobs={name: _job(plan.folder, name, result) for name, result in results.items()},
        memory_limit_bytes=memory_bytes,
        network_parameters=results["train"].network_parameters,
        seconds=round(time.time() - began_s, 3),
        training_of=UNSET if training_of is None else training_of,
        trained=UNSET if plan.trained is None else plan.trained.folder.path,
    )


def _job(folder: RunFolder, name: str, result: Result) -> JobRecord:
    below = folder.path if name == "train" else folder.path / "predictions"
    documents = (folder.path / name / document for document in _DOCUMENTS)
    return JobRecord(
        seconds=result.seconds,
        files=tuple(replace(file, mtime_ns=(below / file.path).stat().st_mtime_ns) for file in result.files),
        documents=tuple(_file(path, folder.path) for path in documents if path.exists()),
        peak_memory_bytes=result.peak_memory_bytes,
        peak_gpu_bytes=result.peak_gpu_bytes,
        clipped_pixels=result.clipped_pixels,
    )


def _file(path: Path, below: Path) -> FileRecord:
    state = path.stat()
    return FileRecord(
        path=str(path.relative_to(below)), sha256=sha256(path), bytes=state.st_size, mtime_ns=state.st_mtime_ns
    )


def movies_of(plan: Plan) -> dict[str, MovieRecord]:
    """Describe the movies of a plan."""
    return {
        str(MovieName(movie.split, movie.noisy.name)): MovieRecord(
            noisy=movie.noisy,
            target=movie.target,
            truth=movie.truth,
            shape=plan.facts[movie.noisy].shape,
            dtype=plan.facts[movie.noisy].dtype,
            recording=plan.source.recordings[movie.noisy].record(),
        )
        for movie in plan.source.movies
    }


def _what_was_asked(plan: Plan) -> dict[str, Any]:
    settings = plan.settings
    return {
        "algorithm": plan.algorithm.name,
        "axes": plan.axes,
        "choice": plan.source.choice,
        "dataset": plan.source.name,
        "environment": plan.algorithm.environment,
        "experiment": plan.experiment,
        "frame_rate_hz": plan.source.frame_rate_hz,
        "inputs": dict(plan.inputs),
        "key": plan.key,
        "movies": movies_of(plan),
        "output_dtype": settings.output_dtype,
        "params": dict(plan.params),
        "precision": settings.precision,
        "preset": settings.preset,
        "prior": plan.prior,
        "seed": settings.seed,
        "threads": settings.threads,
    }


def _what_was_found(plan: Plan, engine: Engine, last: Result) -> dict[str, Any]:
    """Return software and hardware, as the last job and the engine tell of them."""
    return {
        "device": DeviceRecord(asked=plan.settings.device, found=last.device),
        "engine": EngineRecord(name=engine.name, version=engine.check(), promises=dict(engine.promises())),
        "hardware": HardwareRecord(machine=platform.machine(), system=platform.platform(), cpus=os.cpu_count()),
        "image": ImageRecord(
            digest=plan.image.digest, engine_identifier=engine.find(plan.image), variant=plan.image.variant
        ),
        "python": last.python,
        "upstream": last.upstream,
        "versions": last.versions,
    }
