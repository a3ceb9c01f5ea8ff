"""How a container of the Docker API is made: everything is off but what a job needs. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from orchestrator.documents import convert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.domain import EngineName, Launch

LABEL = "org.calm.image"
SHM_BYTES = 2**30
_PIDS = 1024
_TMP_BYTES = 2**30
_ALL_GPUS = "nvidia.com/gpu=all"  # name of all GPUs in NVIDIA's CDI specifications
_TMP = "/tmp"  # noqa: S108 - a private tmpfs inside the container

PROMISES: Mapping[str, bool] = {
    "capabilities_dropped": True,
    "clean_environment": True,
    "memory_limit": True,
    "no_network": True,
    "no_new_privileges": True,
    "pids_limit": True,
    "private_home_and_tmp": True,
    "private_shared_memory": True,
    "read_only_inputs": True,
    "read_only_root": True,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Flavour:
    """Where two servers of the Docker API differ."""

    name: EngineName
    init: bool
    ulimits: Mapping[str, int] = field(default_factory=dict)
    limits_memory: bool = True
    limits_pids: bool = True
    reports_memory_kills: bool = True
    cdi: bool = False
    rootless: bool = False


class FoundDevice(Struct, frozen=True, rename="upper"):
    """A device that a server has found."""

    id: str = ""


class ServerInfo(Struct, frozen=True, rename="pascal"):
    """What a server of the Docker API says of itself, as far as it matters here."""

    memory_limit: bool | None = True
    pids_limit: bool | None = True
    runtimes: dict[str, Any] | None = None
    security_options: list[str] | None = None
    cgroup_version: str | None = None
    rootless: bool | None = None
    discovered_devices: list[FoundDevice] | None = None

    @property
    def is_rootless(self) -> bool:
        """Whether it runs without root: Podman and Docker say it in different places."""
        return bool(self.rootless) or any("name=rootless" in one for one in self.security_options or ())


def server_info(info: Mapping[str, Any], name: EngineName) -> ServerInfo:
    """Read a server's description of itself."""
    return convert(dict(info), ServerInfo, f"{name} info", "Look at `docker info` or `podman info`.")


def container_settings(launch: Launch, flavour: Flavour, *, uid: int, gid: int) -> dict[str, Any]:
    """Return how the container of a launch is made, for `docker.models.containers.create`."""
    from docker.types import Mount, Ulimit  # noqa: PLC0415 - the docker package takes 0.2 s to import

    mounts = [Mount(str(path), str(path), type="bind", read_only=True) for path in launch.read_only]
    if launch.writable is not None:
        mounts.append(Mount(str(launch.writable), str(launch.writable), type="bind"))
    limits: dict[str, Any] = {}
    if flavour.limits_memory:
        limits |= {"mem_limit": launch.memory_bytes, "memswap_limit": launch.memory_bytes}
    if flavour.limits_pids:
        limits["pids_limit"] = _PIDS
    return limits | {
        "mounts": mounts,
        "environment": dict(launch.environment) | {"HOME": _TMP, "TMPDIR": _TMP},
        # Without root, the first user of a container is the caller outside, and every other one is somebody else.
        "user": "0:0" if flavour.rootless else f"{uid}:{gid}",
        "hostname": "calm",
        "init": flavour.init,
        "network_mode": "none",
        "read_only": True,
        "tmpfs": {_TMP: f"size={_TMP_BYTES},mode=1777"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "shm_size": SHM_BYTES,
        "ulimits": [Ulimit(name=name, soft=value, hard=value) for name, value in flavour.ulimits.items()],
        "device_requests": _gpus(launch, flavour),
        "labels": {LABEL: launch.image.digest},
    }


def promises_of(flavour: Flavour) -> Mapping[str, bool]:
    """Return what the settings above make the kernel enforce."""
    return {**PROMISES, "memory_limit": flavour.limits_memory, "pids_limit": flavour.limits_pids}


def _gpus(launch: Launch, flavour: Flavour) -> list[Any]:
    """Hand in every GPU of the machine; CUDA_VISIBLE_DEVICES, passed on by the launch, chooses among them."""
    from docker.types import DeviceRequest  # noqa: PLC0415 - the docker package takes 0.2 s to import

    if launch.device == "cpu":
        return []
    if flavour.cdi:
        return [DeviceRequest(driver="cdi", device_ids=[_ALL_GPUS])]
    return [DeviceRequest(count=-1, capabilities=[["gpu"]])]
