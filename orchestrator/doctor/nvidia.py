"""What `nvidia-smi` prints, read into data, and whether a driver and a GPU fit what a lock holds. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = ("index", "name", "driver_version", "memory.total", "compute_cap")
QUERY = ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")

# Oldest driver branch for each major version of CUDA:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
_OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
# What the CUDA build of each version of torch is compiled for, as its wheel says: torch.cuda.get_arch_list().
ARCHITECTURES = {"2.13.0": ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")}
_ARCHITECTURE = re.compile(r"(?P<kind>sm|compute)_(?P<major>\d+)(?P<minor>\d)")
_MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU."""

    index: int
    name: str
    driver: str
    memory_bytes: int | None
    capability: tuple[int, int] | None

    def sentence(self) -> str:
        """Return the GPU in words."""
        memory = "" if self.memory_bytes is None else f", {self.memory_bytes / 2**30:.0f} GiB"
        capability = (
            "" if self.capability is None else f", compute capability {self.capability[0]}.{self.capability[1]}"
        )
        return f"{self.index}: {self.name}{memory}{capability}, driver {self.driver}"


def read_gpus(printed: str) -> tuple[Gpu, ...]:
    """Read what the command QUERY printed."""
    lines = ([word.strip() for word in line.split(",")] for line in printed.splitlines())
    return tuple(_gpu(words) for words in lines if len(words) == len(FIELDS) and words[0].isdecimal())


@dataclass(frozen=True, kw_only=True, slots=True)
class CudaBuild:
    """What programs of a lock are compiled for."""

    cuda: str
    torch: str

    def sentence(self) -> str:
        """Return the build in words."""
        if not self.torch:
            return f"CUDA {self.cuda} without torch"
        architectures = " ".join(ARCHITECTURES.get(self.torch, ("GPUs that are not known here",)))
        return f"CUDA {self.cuda} with torch {self.torch} for {architectures}"


def cuda_build(versions: Mapping[str, str]) -> CudaBuild | None:
    """Find CUDA and torch among the packages of a lock."""
    runtimes = [version for name, version in versions.items() if name.startswith("nvidia-cuda-runtime")]
    return CudaBuild(cuda=runtimes[0], torch=versions.get("torch", "")) if runtimes else None


def misfit(gpu: Gpu, build: CudaBuild) -> str | None:
    """Say why a GPU cannot run the programs of a lock."""
    major = int(build.cuda.split(".", maxsplit=1)[0])
    branch = int(re.split(r"\D", gpu.driver, maxsplit=1)[0] or 0)
    oldest, architectures = _OLDEST_DRIVER.get(major), ARCHITECTURES.get(build.torch)
    if oldest is not None and branch < oldest:
        return f"CUDA {major} needs driver {oldest} or newer, GPU {gpu.index} has {gpu.driver}"
    if architectures is None or gpu.capability is None or runs_on(gpu.capability, architectures):
        return None
    capability = ".".join(map(str, gpu.capability))
    return (
        f"torch {build.torch} holds no code for GPU {gpu.index} ({gpu.name}, compute capability {capability}); "
        f"it is compiled for {' '.join(architectures)}"
    )


def runs_on(capability: tuple[int, int], architectures: tuple[str, ...]) -> bool:
    """Say whether a GPU runs a program."""
    for match in filter(None, map(_ARCHITECTURE.fullmatch, architectures)):
        kind, *numbers = match.group("kind", "major", "minor")
        built = tuple(map(int, numbers))
        if built <= capability and (kind == "compute" or built[0] == capability[0]):
            return True
    return False


def _gpu(words: list[str]) -> Gpu:
    index, name, driver, memory, capability = words
    major, _, minor = capability.partition(".")
    return Gpu(
        index=int(index),
        name=name,
        driver=driver,
        memory_bytes=int(memory) * _MIB if memory.isdecimal() else None,
        capability=(int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None,
    )
