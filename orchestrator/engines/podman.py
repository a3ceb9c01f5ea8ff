"""Podman: its Docker-compatible socket, served by calm itself where nobody serves one."""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import time
import weakref
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.engines import process
from orchestrator.engines.settings import Flavour, server_info
from orchestrator.engines.sockets import refusal
from orchestrator.errors import EngineMissing
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import DockerClient

_TIMEOUT_S = 600
_PING_TIMEOUT_S = 5
_READY_S = 20.0
_PAUSE_S = 0.1
_IDLE_S = 300  # an own server ends after this time without a request, should calm be killed before it can end it
_MOST_FILES = 20_000  # with more, Python's subprocess and others slow down that close every possible descriptor
_MOST_PROCESSES = 32_768  # Podman 4.3 refuses more


class PodmanServer:
    """The socket that CONTAINER_HOST names, the user's, root's, or one served by calm while it runs."""

    name: Literal["podman"] = "podman"
    unusable = '"\n'  # Podman 4.3 writes mounts down as comma-separated values and reads them again

    def __init__(self) -> None:
        self._client: DockerClient | None = None
        self._served = ExitStack()

    def client(self) -> DockerClient:
        """Return a client whose server answered once."""
        if self._client is None:
            for address in addresses(os.environ, os.getuid()):
                self._client = self._client or _connected(address)
            self._client = self._client or self._serve()
            weakref.finalize(self, self._client.close)
        return self._client

    def flavour(self) -> Flavour:
        """Return what the server says of itself."""
        limits = {
            "nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            "nproc": resource.getrlimit(resource.RLIMIT_NPROC)[1],
        }
        return flavour_of(self.client().info(), limits)

    def _serve(self) -> DockerClient:
        """Serve a socket in a private folder until calm ends; not where the user named one that does not answer."""
        _check_can_serve()
        folder = self._served.enter_context(scratch())
        atexit.register(self._served.close)
        address = f"unix://{folder}/podman.sock"
        command = ["podman", "system", "service", f"--time={_IDLE_S}", address]
        server = self._served.enter_context(process.served(command, cwd=folder))
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and server.alive():
            client = _connected(address)
            if client is not None:
                return client
            time.sleep(_PAUSE_S)
        self._served.close()
        message = f"podman: expected `podman system service` to answer, got: {server.said()}"
        raise EngineMissing(message, "Start it by hand to see more, or use another --engine.")


def addresses(environment: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """Return where Podman's socket may be, the likeliest first."""
    if "CONTAINER_HOST" in environment:
        return (environment["CONTAINER_HOST"],)
    runtime = environment.get("XDG_RUNTIME_DIR", f"/run/user/{uid}")
    own = f"unix://{runtime}/podman/podman.sock"
    return ("unix:///run/podman/podman.sock",) if uid == 0 else (own,)


def flavour_of(info: Mapping[str, Any], hard_limits: Mapping[str, int]) -> Flavour:
    """Read from the server's description what is special about it."""
    said = server_info(info, "podman")
    limits_here = not said.is_rootless or said.cgroup_version != "1"  # which gives no limits to users who are not root
    most = {"nofile": _MOST_FILES, "nproc": _MOST_PROCESSES}
    limits = {name: min(top, top if hard_limits[name] < 0 else hard_limits[name]) for name, top in most.items()}
    return Flavour(
        name="podman",
        init=False,  # needs the program catatonit, which not every installation has
        ulimits=limits,
        reports_memory_kills=False,  # Podman 4.3 never does with cgroup v1
        limits_memory=limits_here and bool(said.memory_limit),
        limits_pids=limits_here and bool(said.pids_limit),
        cdi=True,
        rootless=said.is_rootless,
    )


def _connected(address: str) -> DockerClient | None:
    import docker  # noqa: PLC0415 - takes 0.2 s to import
    import docker.errors  # noqa: PLC0415
    import requests  # noqa: PLC0415

    if refusal(address) is not None:
        return None
    try:
        with closing(docker.DockerClient(base_url=address, timeout=_PING_TIMEOUT_S)) as tried:
            tried.ping()
        return docker.DockerClient(base_url=address, timeout=_TIMEOUT_S)
    except (docker.errors.DockerException, requests.exceptions.RequestException):
        return None


def _check_can_serve() -> None:
    """Refuse where the user named a server that does not answer, and where there is no program to serve."""
    if "CONTAINER_HOST" in os.environ:
        message = f"podman: expected a server that answers at {os.environ['CONTAINER_HOST']}, got none"
        raise EngineMissing(message, "Start it, or unset CONTAINER_HOST.")
    if shutil.which("podman") is None:
        message = "podman: expected a socket or the program podman, got neither"
        raise EngineMissing(message, "Install podman, or use another --engine.")
