"""Docker: how its daemon is reached, and what is special about it."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.engines.settings import Flavour, server_info
from orchestrator.engines.sockets import refusal
from orchestrator.errors import EngineMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import DockerClient

_DEFAULT = "unix:///var/run/docker.sock"
_TIMEOUT_S = 600  # a build step may say nothing for minutes


class DockerServer:
    """The daemon that DOCKER_HOST names, by default the one of this machine."""

    name: Literal["docker"] = "docker"
    unusable = ""

    def __init__(self) -> None:
        self._client: DockerClient | None = None

    def client(self) -> DockerClient:
        """Return a client whose daemon answered once."""
        import docker  # noqa: PLC0415 - takes 0.2 s to import
        import docker.errors  # noqa: PLC0415

        if self._client is None:
            address = os.environ.get("DOCKER_HOST", _DEFAULT)
            refused = refusal(address)
            if refused is not None:
                raise _missing(address, refused)
            try:
                client = docker.from_env(timeout=_TIMEOUT_S)
                weakref.finalize(self, client.close)
                client.ping()
            except docker.errors.DockerException as error:
                raise _missing(address, str(error)) from error
            self._client = client
        return self._client

    def flavour(self) -> Flavour:
        """Return what the daemon says of itself."""
        return flavour_of(self.client().info())


def flavour_of(info: Mapping[str, Any]) -> Flavour:
    """Read from the daemon's description what is special about it."""
    said = server_info(info, "docker")
    nvidia = "nvidia" in (said.runtimes or {})
    found = [device.id for device in said.discovered_devices or ()]
    return Flavour(
        name="docker",
        init=True,
        limits_memory=bool(said.memory_limit),
        limits_pids=bool(said.pids_limit),
        rootless=said.is_rootless,
        cdi=not nvidia and any(identifier.startswith("nvidia.com/gpu") for identifier in found),
    )


def _missing(address: str, got: str) -> EngineMissing:
    message = f"docker: expected a daemon that answers at {address}, got {got}"
    hint = "Start it (systemctl start docker), add yourself to the docker group, or use --engine venv."
    return EngineMissing(message, hint)
