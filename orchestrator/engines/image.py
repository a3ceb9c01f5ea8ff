"""An image as files: the lock, the wheelhouse and a folder of code from which every engine makes its environment."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

import contract
from contract.files import sha256, write_json
from orchestrator.domain import SYSTEM, Image
from orchestrator.engines.locks import fill_wheelhouse
from orchestrator.engines.system import packages, system_python
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.domain import Algorithm, Device
    from orchestrator.paths import Layout

# Files of an algorithm folder that say something about the image but are not in it.
_NOT_IN_IMAGE = ("README.md", "experiments.yaml", "algorithm.yaml", "Dockerfile")


def image_of(algorithm: Algorithm, variant: Device, layout: Layout) -> Image:
    """Describe the image of an algorithm; nothing is made yet.

    Parameters
    ----------
    algorithm : Algorithm
        Which algorithm, in which environment.
    variant : {"cpu", "cuda"}
        Which lock.
    layout : Layout
        Where caches are.

    Returns
    -------
    Image
        Its digest covers the lock, the contract package and the code of the algorithm.
    """
    lock = algorithm.lock(variant)
    digest = hashlib.sha256()
    for name, path in _code(algorithm):
        digest.update(f"{name} {sha256(path)}\n".encode())
    digest.update(json.dumps(algorithm.document, sort_keys=True).encode())
    python = system_python() if algorithm.environment == SYSTEM else None
    digest.update(sha256(lock).encode() if lock.exists() else b"")
    digest.update(packages(python).encode() if python else b"")
    name = f"{algorithm.folder_name}-{variant}-{digest.hexdigest()[:12]}"
    lock_digest = sha256(lock)[:12] if lock.exists() else "none"
    return Image(
        algorithm=algorithm.name,
        variant=variant,
        digest=digest.hexdigest(),
        lock=lock,
        wheelhouse=layout.wheels / f"{variant}-{lock_digest}",
        context=layout.contexts / name,
        python=python,
    )


def prepare(algorithm: Algorithm, image: Image) -> None:
    """Fill the wheelhouse and lay out the context of an image, where they are not there yet."""
    if image.context.exists() and (image.python or image.wheelhouse.exists()):
        return
    for folder in (image.wheelhouse, image.context):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(image.wheelhouse.with_suffix(".lock")), FileLock(image.context.with_suffix(".lock")):
        if not image.python and not image.wheelhouse.exists():
            fill_wheelhouse(image.lock, image.wheelhouse)
        if not image.context.exists():
            _lay_out(algorithm, image)


def _lay_out(algorithm: Algorithm, image: Image) -> None:
    image.context.parent.mkdir(parents=True, exist_ok=True)
    with scratch(image.context.parent) as made:
        folder = made / "context"
        for name, path in _code(algorithm):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        write_json(folder / "algorithm" / "algorithm.json", algorithm.document)
        if not image.python:
            shutil.copyfile(image.wheelhouse / "requirements.lock", folder / "requirements.lock")
        shutil.copyfile(algorithm.folder / "Dockerfile", folder / "Dockerfile")
        folder.rename(image.context)


def _code(algorithm: Algorithm) -> Iterator[tuple[str, Path]]:
    """Yield name in the image and path of every file of code, sorted."""
    package = Path(contract.__file__).parent
    for path in sorted((*package.glob("*.py"), *package.glob("*.json"))):
        yield f"contract/{path.name}", path
    own = (path for path in algorithm.folder.iterdir() if path.is_file())
    for path in sorted((*own, *algorithm.shares), key=lambda one: one.name):
        if path.name not in _NOT_IN_IMAGE and not path.name.startswith("requirements"):
            yield f"algorithm/{path.name}", path
