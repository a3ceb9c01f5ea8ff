"""Snakemake in an environment of its own, from a lock with hashes like every other environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from contract.files import sha256
from orchestrator.domain import Image
from orchestrator.engines.downloads import download_of
from orchestrator.engines.progress import SILENT
from orchestrator.engines.stamps import files_below
from orchestrator.engines.venv import VenvEngine
from orchestrator.engines.wheelhouse import fill_wheelhouse

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.engines.progress import Progress
    from orchestrator.paths import Layout


def snakemake_image(layout: Layout) -> Image:
    """Describe the environment; it is no image of an algorithm, so its context is the folder of the workflow."""
    lock = layout.workflow / "requirements.lock"
    digest = sha256(lock)
    return Image(
        algorithm="snakemake",
        variant="cpu",
        digest=digest,
        lock=lock,
        wheelhouse=layout.wheels / f"cpu-{digest[:12]}",
        context=layout.workflow,
        files={name: sha256(path) for name, path in files_below(layout.workflow).items()},  # it is the checkout itself
    )


def fill_snakemake_wheels(layout: Layout, progress: Progress = SILENT) -> Path:
    """Return the wheelhouse of Snakemake, filled."""
    image = snakemake_image(layout)
    image.wheelhouse.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(image.wheelhouse.with_suffix(".lock")):
        if not image.wheelhouse.exists():
            fill_wheelhouse(image.lock, image.wheelhouse, progress)
    return image.wheelhouse


def snakemake(layout: Layout, say: Callable[[str], None], progress: Progress = SILENT) -> Path:
    """Return the program, in its environment, which is made where it is not there."""
    image, engine = snakemake_image(layout), VenvEngine(layout)
    found = engine.find(image)
    if found is None:
        say(f"Building the environment of Snakemake, once for each lock; {download_of([image], layout)}.")
        fill_snakemake_wheels(layout, progress)
        found = engine.build(image, progress)
    return Path(found) / "bin" / "snakemake"
