"""The record of a run: everything that made it what it is."""

from __future__ import annotations

import os
import platform
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.engines import Engine
    from orchestrator.runs.plan import Plan

_OF_A_JOB = ("seconds", "files", "peak_memory_bytes", "peak_gpu_bytes", "clipped_pixels")


def record_of(
    plan: Plan, engine: Engine, results: Mapping[str, Mapping[str, Any]], *, began_s: float, memory_bytes: int
) -> dict[str, Any]:
    """Return the provenance record of a run, the content of its run.json."""
    return {
        **_what_was_asked(plan),
        **_what_was_found(plan, engine, list(results.values())[-1]),
        "began_s": round(began_s, 3),
        "command_line": sys.argv,
        "jobs": {name: {field: result[field] for field in _OF_A_JOB} for name, result in results.items()},
        "memory_limit_bytes": memory_bytes,
        "network_parameters": results["train"]["network_parameters"],
        "seconds": round(time.time() - began_s, 3),
    }


def _what_was_asked(plan: Plan) -> dict[str, Any]:
    settings = plan.settings
    return {
        "algorithm": plan.algorithm.name,
        "axes": plan.axes,
        "choice": plan.source.choice.document(),
        "dataset": plan.source.name,
        "environment": plan.algorithm.environment,
        "experiment": plan.experiment,
        "frame_rate_hz": plan.source.frame_rate_hz,
        "inputs": dict(plan.inputs),
        "key": plan.key,
        "movies": {
            f"{movie.split}/{movie.noisy.name}": {
                "noisy": str(movie.noisy),
                "target": None if movie.target is None else str(movie.target),
                "truth": None if movie.truth is None else str(movie.truth),
                "shape": plan.facts[movie.noisy].shape,
                "dtype": plan.facts[movie.noisy].dtype,
                "recording": plan.source.recordings[movie.noisy].document(),
            }
            for movie in plan.source.movies
        },
        "output_dtype": settings.output_dtype,
        "params": dict(plan.params),
        "precision": settings.precision,
        "preset": settings.preset,
        "prior": list(map(str, plan.prior)),
        "seed": settings.seed,
        "threads": settings.threads,
    }


def _what_was_found(plan: Plan, engine: Engine, last: Mapping[str, Any]) -> dict[str, Any]:
    """Return software and hardware, as the last job and the engine tell of them."""
    return {
        "device": {"asked": plan.settings.device, "found": last["device"]},
        "engine": {"name": engine.name, "version": engine.check(), "promises": dict(engine.promises())},
        "hardware": {"machine": platform.machine(), "system": platform.platform(), "cpus": os.cpu_count()},
        "image": {
            "digest": plan.image.digest,
            "engine_identifier": engine.find(plan.image),
            "variant": plan.image.variant,
        },
        "python": last["python"],
        "upstream": last["upstream"],
        "versions": last["versions"],
    }
