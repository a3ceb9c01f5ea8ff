"""The device a job names, or an error; torch is imported only here and only when asked."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.errors import DeviceMissing, JobRefused, OutOfMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from contract.events import Events
    from contract.job import Job

DEVICE_NODES = ("nvidia[0-9]*", "dxg")  # Linux, and Linux under Windows


def torch_device(job: Job) -> Any:  # noqa: ANN401 - torch is optional for the contract
    """Return the `torch.device` of a job.

    Raises
    ------
    DeviceMissing
        When the job asks for cuda and torch finds no usable GPU.
    """
    import torch  # noqa: PLC0415 - only where the image has it

    if job.device == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        found = f"CUDA {built} but no usable GPU or driver" if built else "a torch built without CUDA"
        message = f"device cuda was asked for, this environment has {found}"
        raise DeviceMissing(message)
    return torch.device(job.device)


def autocast(job: Job) -> AbstractContextManager[Any]:
    """Return the context in which the network runs: bfloat16 where the job says so, else float32."""
    if job.precision == "float32":
        return nullcontext()
    import torch  # noqa: PLC0415 - only where the image has it

    context: AbstractContextManager[Any] = torch.autocast(job.device, dtype=torch.bfloat16)
    return context


def within_gpu_memory(job: Job, events: Events, name: str, gib: float, attempt: Callable[[float], None]) -> None:
    """Do work that needs memory on the device; where the GPU runs out of it, go on with half, and say so.

    Parameters
    ----------
    job, events : Job, Events
        Names the device; is told of every halving.
    name : str
        The parameter that gives the memory.
    gib : float
        Memory, GiB; on a GPU it must be free.
    attempt : callable
        Does what is left of the work within so many GiB.

    Raises
    ------
    OutOfMemory
        When the GPU has less free memory than asked for, or too little for the smallest piece of work.
    """
    import torch  # noqa: PLC0415 - only where the image has it

    _check_free(job, name, gib)

    def attempt_in_room(gib: float) -> None:
        torch.cuda.empty_cache()  # what an attempt that failed held is free by now
        attempt(gib)

    halving(events, name, gib, attempt_in_room, torch.OutOfMemoryError)


def halving(events: Events, name: str, gib: float, attempt: Callable[[float], None], full: type[Exception]) -> None:
    """Do work that needs memory; where a GPU runs out of it, go on with half, and say so.

    Parameters
    ----------
    events, name, gib, attempt
        As in `within_gpu_memory`.
    full : type
        What the framework raises where memory runs out.

    Raises
    ------
    OutOfMemory
        When it runs out with too little for the smallest piece of work.
    """
    asked = gib
    while True:
        try:
            attempt(gib)
        except full:
            events.message(f"{name}: the GPU is out of memory with {gib:g} GiB, going on with {gib / 2:g}")
            gib /= 2
        except JobRefused as error:
            if gib == asked:
                raise
            message = f"{name}: the GPU ran out of memory with {asked:g} GiB, and with less: {error}"
            raise OutOfMemory(message) from error
        else:
            return


def _check_free(job: Job, name: str, gib: float) -> None:
    """Refuse a job that asks for more memory than its GPU has free; on a CPU do nothing."""
    if job.device != "cuda":
        return
    import torch  # noqa: PLC0415 - only where the image has it

    free, total = (count / 2**30 for count in (free_bytes(), torch.cuda.mem_get_info()[1]))
    if gib > free:
        message = f"{name}: expected at most the {free:.1f} of {total:.1f} GiB that are free on the GPU, got {gib:g}"
        raise OutOfMemory(message)


def free_bytes() -> int:
    """Return the memory of the GPU that a job can still take: what is free, and what torch keeps for itself unused."""
    import torch  # noqa: PLC0415 - only where the image has it

    unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return int(torch.cuda.mem_get_info()[0] + unused)


def visible_gpus(devices: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the GPUs that programs of this machine may use, as CUDA_VISIBLE_DEVICES names them.

    Parameters
    ----------
    devices : Path
        Folder of device nodes, which are counted where the variable is not set.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return tuple(name for name in chosen.split(",") if name.strip())
    nodes = [path for pattern in DEVICE_NODES for path in sorted(devices.glob(pattern))]
    return tuple(str(number) for number in range(len(nodes)))


def tell_idle_gpus(job: Job, events: Events) -> None:
    """Say so where a job leaves GPUs idle, as it uses one however many are visible."""
    names = visible_gpus() if job.device == "cuda" else ()
    if len(names) > 1:
        events.message(
            f"{len(names)} GPUs are visible and this job uses the first, {names[0]}; "
            "`calm sweep` runs one job on each at the same time"
        )
