"""What a training depends on, and the finished training that is equal: what only prediction reads does not count."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.errors import BadInput
from orchestrator.records.run import runs_in

if TYPE_CHECKING:
    from orchestrator.domain import Algorithm
    from orchestrator.records.record import KeyParts
    from orchestrator.records.run import Run
    from orchestrator.runs.plan import Plan

_READ = ("train/", "val/", "target/", "prior/")  # begin the names of inputs that a training reads


def training_key(parts: KeyParts, algorithm: Algorithm) -> str:
    """Return what runs share that have one training, whatever they predict and however."""
    return replace(
        parts,
        inputs={name: digest for name, digest in parts.inputs.items() if name.startswith(_READ)},
        output_dtype="float32",
        params={name: value for name, value in parts.params.items() if name not in algorithm.prediction_params},
    ).key


def equal_training(plan: Plan) -> Run | None:
    """Return a finished run beside a plan that trained as the plan would; None where a plan needs none."""
    if plan.trained is not None or not plan.algorithm.needs_training or plan.folder.job("train").exists():
        return None
    key = training_key(plan.key_parts, plan.algorithm)
    for run in runs_in(plan.folder.path.parents[1], f"{plan.algorithm.folder_name}-*"):
        one = run.record
        alike = (one.algorithm, one.environment, one.image.digest) == (
            plan.algorithm.name,
            plan.algorithm.environment,
            plan.image.digest,
        )
        if (
            alike
            and not isinstance(one.trained, Path)
            and training_key(one.key_parts, plan.algorithm) == key
            and _whole(run)
        ):
            return run
    return None


def _whole(run: Run) -> bool:
    """Return whether the files of a run are those that it made; one that was changed is no training to take over."""
    try:
        run.check()
    except BadInput:
        return False
    return True
