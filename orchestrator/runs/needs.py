"""What a run needs before anything is started: a device, targets, a prior, disk, and a folder to write to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.errors import BadInput, DeviceMissing
from orchestrator.paths import existing_parent, free_bytes_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.data.movies import Source
    from orchestrator.domain import Algorithm, Device
    from orchestrator.runs.plan import Plan


def check_device(algorithm: Algorithm, device: Device) -> None:
    """Refuse a device that an algorithm cannot use.

    Raises
    ------
    DeviceMissing
        With those it can use.
    """
    if device not in algorithm.devices:
        message = f"{algorithm.name}: expected a device of {', '.join(algorithm.devices)}, got {device}"
        raise DeviceMissing(message, f"Use --device {algorithm.devices[0]}.")


def check_prior_taken(algorithm: Algorithm, prior: Sequence[Path]) -> None:
    """Refuse a prior that the algorithm would not use."""
    if prior and algorithm.prior is None:
        message = f"{algorithm.name}: expected no prior, as it uses none, got {prior[0]}"
        raise BadInput(message, "Leave --prior out; `calm list ALGORITHM` says what an algorithm takes.")


def check_disk(plans: Sequence[Plan], outputs: Path) -> None:
    """Refuse to start when a disk is too small for the predictions and the stacks that are still to be made."""
    needed = {existing_parent(outputs): sum(plan.needed_bytes for plan in plans if not plan.folder.record.exists())}
    for stack, recording in plans[0].source.recordings.items() if plans else ():
        folder = existing_parent(stack.parent)
        place = next((one for one in needed if one.stat().st_dev == folder.stat().st_dev), folder)
        needed[place] = needed.get(place, 0) + recording.copy_bytes
    for place, needed_bytes in needed.items():
        free = free_bytes_at(place)
        if needed_bytes > free:
            sizes = f"{needed_bytes / 1e9:.1f} GB of free disk for this run, got {free / 1e9:.1f} GB"
            message = f"{place}: expected {sizes}"
            raise BadInput(message, "Free some space, or choose another disk with CALM_OUTPUTS.")


def check_prior(plan: Plan) -> None:
    """Refuse to start without a prior that the algorithm needs; a plan may be made before its prior is.

    Raises
    ------
    BadInput
        With what it needs it for.
    """
    use = plan.algorithm.prior
    why = None if plan.prior or use is None else use.why(plan.params)
    if use is not None and why is not None:
        message = f"{plan.algorithm.name}: expected a prior, which it needs {why}, got none"
        raise BadInput(message, f"--prior: {use.help}.")


def check_writable(outputs: Path) -> None:
    """Refuse to start when the output folder cannot be written to.

    Raises
    ------
    BadInput
        With the folder.
    """
    existing = existing_parent(outputs)
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        message = f"{outputs}: expected a folder that can be written to, got one that cannot"
        raise BadInput(message, "Choose another folder with CALM_OUTPUTS.")


def check_targets(algorithm: Algorithm, source: Source) -> None:
    """Refuse movies without targets to an algorithm that learns from them."""
    learned = (*source.of("train"), *source.of("val")) if algorithm.supervised else ()
    missing = next((movie for movie in learned if movie.target is None), None)
    if missing is not None:
        message = (
            f"{algorithm.name}: expected a clean target for every movie to learn from, got none for {missing.noisy}"
        )
        hint = "It is a ceiling for datasets with targets; `calm list` shows what learns from noisy movies alone."
        raise BadInput(message, hint)
