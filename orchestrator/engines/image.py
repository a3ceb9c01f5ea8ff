"""An image as files: the lock, the wheelhouse and a folder of code from which every engine makes its environment."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

import contract
from contract.files import sha256
from orchestrator.domain import SYSTEM, Image
from orchestrator.engines.platforms import host, lock_for
from orchestrator.engines.progress import SILENT
from orchestrator.engines.stamps import changes, files_below
from orchestrator.engines.system import packages, system_python
from orchestrator.engines.wheelhouse import check_wheelhouse, fill_wheelhouse
from orchestrator.errors import EngineFailed
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.domain import Algorithm, Device
    from orchestrator.engines.progress import Progress
    from orchestrator.paths import Layout

# Files of an algorithm folder that say something about the image but are not in it.
_NOT_IN_IMAGE = ("README.md", "experiments.yaml", "algorithm.yaml", "Dockerfile")
_ABOUT = "algorithm/algorithm.json"


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
        Its digest covers the lock, the contract package, the code of the algorithm, its Dockerfile and the base.
    """
    lock = lock_for(algorithm, variant, host())
    python = system_python() if algorithm.environment == SYSTEM else None
    files = {name: sha256(path) for name, path in _code(algorithm)} | {_ABOUT: _sum(_about(algorithm))}
    digest = _digest_of(files, layout.base, lock, python)
    name = f"{algorithm.folder_name}-{variant}-{digest[:12]}"
    lock_digest = sha256(lock)[:12] if lock.exists() else "none"
    return Image(
        algorithm=algorithm.name,
        variant=variant,
        digest=digest,
        lock=lock,
        wheelhouse=layout.wheels / f"{variant}-{lock_digest}",
        context=layout.contexts / name,
        files=files,
        labels=_labels(algorithm),
        python=python,
    )


def _digest_of(files: Mapping[str, str], base: Path, lock: Path, python: Path | None) -> str:
    digest = hashlib.sha256()
    for name, found in sorted(files.items()):
        digest.update(f"{name} {found}\n".encode())
    for path in sorted(base.iterdir()):
        digest.update(f"base/{path.name} {sha256(path)}\n".encode())
    digest.update(sha256(lock).encode() if lock.exists() else b"")
    digest.update(packages(python).encode() if python else b"")
    return digest.hexdigest()


def prepare(algorithm: Algorithm, image: Image, layout: Layout, progress: Progress = SILENT) -> None:
    """Fill the wheelhouse and lay out the context of an image, where they are not there yet, and check both."""
    for folder in (image.wheelhouse, image.context):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(image.wheelhouse.with_suffix(".lock")), FileLock(image.context.with_suffix(".lock")):
        if not image.python and not image.wheelhouse.exists():
            fill_wheelhouse(image.lock, image.wheelhouse, progress)
        if not image.context.exists():
            _lay_out(algorithm, image)
        check_caches(image, layout)


def check_caches(image: Image, layout: Layout) -> None:
    """Compare wheelhouse and context of an image, where they are there, with lock and code of the checkout.

    Raises
    ------
    EngineFailed
        With the first file that is missing, extra or altered.
    """
    check_wheelhouse(image, layout)
    if not image.context.exists():
        return
    for compiled in image.context.rglob("__pycache__"):  # Python would believe it, and makes it anew
        shutil.rmtree(compiled, ignore_errors=True)
    there = {name: sha256(path) for name, path in files_below(image.context).items()}
    found = next(changes(image.files, there), None)
    if found is not None:
        message = f"{image.context}: expected the code of this checkout, got other code: {found}"
        hint = f"Delete it: rm -r {shlex.quote(str(image.context))}; the same command makes it again."
        raise EngineFailed(message, hint)


def _labels(algorithm: Algorithm) -> dict[str, str]:
    """Return what an image says of itself."""
    version = _version()
    upstream = algorithm.upstream
    return {
        "org.opencontainers.image.title": algorithm.title,
        "org.opencontainers.image.description": algorithm.summary,
        "org.opencontainers.image.licenses": algorithm.licence,
        "org.opencontainers.image.source": f"containers/{algorithm.folder.name} of calm {version}",
        "org.opencontainers.image.version": version,
        "org.calm.upstream": f"{upstream.name} {upstream.version}",
    }


@cache
def _version() -> str:
    return metadata.version("calm")


def _about(algorithm: Algorithm) -> bytes:
    """Return the content of algorithm.json."""
    return (json.dumps(algorithm.document, indent=2, sort_keys=True) + "\n").encode()


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _lay_out(algorithm: Algorithm, image: Image) -> None:
    with scratch(image.context.parent) as made:
        folder = made / "context"
        for name, path in _code(algorithm):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        (folder / _ABOUT).write_bytes(_about(algorithm))
        folder.rename(image.context)


def _code(algorithm: Algorithm) -> Iterator[tuple[str, Path]]:
    """Yield name in the context and path of every file of code."""
    yield "Dockerfile", algorithm.folder / "Dockerfile"
    package = Path(contract.__file__).parent
    for pattern in ("*.py", "*.json", "*.sh"):
        yield from ((f"contract/{path.name}", path) for path in package.glob(pattern))
    own = (path for path in algorithm.folder.iterdir() if path.is_file())
    for path in (*own, *algorithm.shares):
        if path.name not in _NOT_IN_IMAGE and not path.name.startswith("requirements"):
            yield f"algorithm/{path.name}", path
