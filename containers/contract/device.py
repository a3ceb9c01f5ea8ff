"""The device a job names, or an error; torch is imported only here and only when asked."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from contract.errors import DeviceMissing, JobRefused, OutOfMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from contract.events import Events
    from contract.job import Job


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
    asked = gib
    while True:
        try:
            attempt(gib)
        except torch.OutOfMemoryError:
            events.message(f"{name}: the GPU is out of memory with {gib:g} GiB, going on with {gib / 2:g}")
            gib /= 2
        except JobRefused as error:
            if gib == asked:
                raise
            message = f"{name}: the GPU ran out of memory with {asked:g} GiB, and with less: {error}"
            raise OutOfMemory(message) from error
        else:
            return
        torch.cuda.empty_cache()  # what the failed attempt held is free by now


def _check_free(job: Job, name: str, gib: float) -> None:
    """Refuse a job that asks for more memory than its GPU has free; on a CPU do nothing."""
    if job.device != "cuda":
        return
    import torch  # noqa: PLC0415 - only where the image has it

    free, total = (count / 2**30 for count in torch.cuda.mem_get_info())
    if gib > free:
        message = f"{name}: expected at most the {free:.1f} of {total:.1f} GiB that are free on the GPU, got {gib:g}"
        raise OutOfMemory(message)
