"""What `nvidia-smi` prints, read into data, and whether a driver and a GPU fit a version of CUDA. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass

FIELDS = ("index", "name", "driver_version", "memory.total", "compute_cap")
QUERY = ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")

# Oldest driver branch for each major version of CUDA:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
_OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
# Oldest compute capability that each major version still compiles for, from the release notes of CUDA 11.0, 12.0, 13.0.
_OLDEST_CAPABILITY = {11: (3, 5), 12: (5, 0), 13: (7, 5)}
_MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU.

    Parameters
    ----------
    index : int
        Its number, as CUDA_VISIBLE_DEVICES takes it.
    name : str
        Product name.
    driver : str
        Version of the driver.
    memory_bytes : int or None
        Size of its memory; None where it shares that of the machine.
    capability : tuple of int or None
        Compute capability, major and minor; None where the driver is too old to tell.
    """

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
    """Read what the command QUERY printed.

    Parameters
    ----------
    printed : str
        One line for each GPU. Other lines, such as "No devices were found", are passed over.

    Returns
    -------
    tuple of Gpu
        Empty where nothing was found.
    """
    lines = ([word.strip() for word in line.split(",")] for line in printed.splitlines())
    return tuple(_gpu(words) for words in lines if len(words) == len(FIELDS) and words[0].isdecimal())


def misfit(gpu: Gpu, cuda: str) -> str | None:
    """Say why a GPU cannot run programs of a version of CUDA.

    Parameters
    ----------
    gpu : Gpu
        The GPU and its driver.
    cuda : str
        Version of the CUDA runtime in a lock, for instance 13.0.96.

    Returns
    -------
    str or None
        None where they fit, or where nothing is known of that version.
    """
    major = int(cuda.split(".", maxsplit=1)[0])
    branch = int(re.split(r"\D", gpu.driver, maxsplit=1)[0] or 0)
    oldest, capability = _OLDEST_DRIVER.get(major), _OLDEST_CAPABILITY.get(major)
    if oldest is not None and branch < oldest:
        return f"CUDA {major} needs driver {oldest} or newer, GPU {gpu.index} has {gpu.driver}"
    if capability is not None and gpu.capability is not None and gpu.capability < capability:
        needed, found = (f"{one[0]}.{one[1]}" for one in (capability, gpu.capability))
        return f"CUDA {major} holds no code for compute capability {found} ({gpu.name}); it begins at {needed}"
    return None


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
