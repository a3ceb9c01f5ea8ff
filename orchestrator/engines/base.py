"""The base image: pinned by digest where a registry is reached, made from Debian packages where none is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from orchestrator.documents import Document, read_json
from orchestrator.engines import process
from orchestrator.errors import AlgorithmFailed, BadInput

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.paths import Layout

_ABSENT = "manifest unknown"  # what registries say of a digest that they do not have
_LOCAL_REPOSITORY = "calm-base"


class _Lock(Document, frozen=True, kw_only=True):
    """Which base was chosen, and the digest of its manifest."""

    digest: Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
    reference: Annotated[str, Meta(pattern="^[a-z0-9./_-]+:[A-Za-z0-9._-]+$")]


def base_image(client: DockerClient, layout: Layout) -> str:
    """Return the reference of the image that every image is built on.

    The environment variable CALM_BASE names any local image.
    Otherwise it is python:3.11-slim-bookworm by the digest in containers/base/base.lock.json.
    Where no registry is reached, it is made from Debian packages by containers/base/make-base.sh.
    """
    chosen = os.environ.get("CALM_BASE")
    if chosen:
        return chosen
    return _pulled(client, layout.base / "base.lock.json") or _made(client, layout)


def _pulled(client: DockerClient, path: Path) -> str | None:
    """Return the locked image, pulled where it is not here; None where no registry is reached."""
    import docker.errors  # noqa: PLC0415 - the docker package takes 0.2 s to import

    lock = read_json(path, _Lock, hint="Check it out again: git checkout containers/base.")
    name = lock.reference.partition(":")[0]
    reference = f"{name}@{lock.digest}"
    said = ""
    try:
        client.images.get(reference)
    except docker.errors.ImageNotFound:
        said = _pull(client, name, lock.digest)
    if _ABSENT in said:
        message = f"base image: expected {lock.reference} with {lock.digest}, as locked in {path}, got: {said}"
        raise AlgorithmFailed(message, "Look at the mirror that was asked, or name a local image with CALM_BASE.")
    return None if said else reference


def _pull(client: DockerClient, name: str, digest: str) -> str:
    """Pull an image by its digest and return what went wrong; Docker refuses, Podman says it on the way."""
    import docker.errors  # noqa: PLC0415 - the docker package takes 0.2 s to import

    try:
        return "".join(one.get("error", "") for one in client.api.pull(name, tag=digest, stream=True, decode=True))
    except docker.errors.APIError as error:
        return str(error)


def _made(client: DockerClient, layout: Layout) -> str:
    try:
        printed = process.run(
            ["bash", str(layout.base / "make-base.sh")],
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
