"""What a run needs before anything is started: a prior, disk, and a folder to write to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.errors import BadInput
from orchestrator.paths import existing_parent, free_bytes_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.runs.plan import Plan


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
        message = f"{plan.algorithm.name}: expected an earlier result, which it needs {why}, got none"
        raise BadInput(message, f"--earlier: {use.help}.")


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
