"""The base image: pinned by digest where a registry is reached, made from Debian packages where none is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from contract.files import write_json
from orchestrator.engines import process
from orchestrator.errors import AlgorithmFailed, BadInput

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.paths import Layout

_REPOSITORY, _TAG = "python", "3.11-slim-bookworm"
_LOCAL_REPOSITORY = "calm-base"


def base_image(client: DockerClient, layout: Layout) -> str:
    """Return the reference of the image that every image is built on.

    The environment variable CALM_BASE names any local image.
    Otherwise it is python:3.11-slim-bookworm by the digest in containers/base/base.lock.json; the first pull writes
    that digest, no one invents it.
    Where no registry is reached, it is made from Debian packages by containers/base/make-base.sh.
    """
    chosen = os.environ.get("CALM_BASE")
    if chosen:
        return chosen
    return _pulled(client, layout.containers / "base" / "base.lock.json") or _made(client, layout)


def _pulled(client: DockerClient, lock: Path) -> str | None:
    import docker.errors  # noqa: PLC0415 - the docker package takes 0.2 s to import

    digest = json.loads(lock.read_text(encoding="utf-8"))["digest"] if lock.exists() else None
    reference = f"{_REPOSITORY}@{digest}" if digest else f"{_REPOSITORY}:{_TAG}"
    try:
        client.images.get(reference)
        if digest:
            return reference
    except docker.errors.ImageNotFound:
        pass
    try:
        image = client.images.pull(_REPOSITORY, tag=digest or _TAG)
    except docker.errors.APIError:
        return None
    found = image.attrs["RepoDigests"][0].partition("@")[2]
    if digest is None:
        write_json(lock, {"digest": found, "reference": f"{_REPOSITORY}:{_TAG}"})
    elif found != digest:
        message = f"base image: expected {digest}, as locked in {lock}, got {found}"
        raise AlgorithmFailed(message, "Ask who changed the registry; do not build on this image.")
    return f"{_REPOSITORY}@{found}"


def _made(client: DockerClient, layout: Layout) -> str:
    try:
        printed = process.run(
            ["bash", str(layout.containers / "base" / "make-base.sh")],
            environment=os.environ | {"CALM_HOME": str(layout.home)},
        )
    except (AlgorithmFailed, BadInput) as error:
        message = f"base image: no registry answers, and none could be made from Debian packages: {error.message}"
        raise AlgorithmFailed(message, "Name a local image with CALM_BASE, or install mmdebstrap.") from error
    archive = Path(printed.strip().splitlines()[-1])
    tag = archive.name.split(".", maxsplit=1)[0][-16:]
    reference = f"{_LOCAL_REPOSITORY}:{tag}"
    if not client.images.list(name=reference):
        # The tag is part of the name, because Podman takes no notice of a tag of its own.
        client.api.import_image_from_file(str(archive), repository=reference)
    return reference
