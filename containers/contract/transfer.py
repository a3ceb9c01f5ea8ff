"""Arrays on their way to a GPU and back, through pinned memory, so that neither side waits; on a CPU nothing is copied.

torch is imported only here and only when asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def ready_for(device: str, array: np.ndarray) -> Any:  # noqa: ANN401 - torch is optional for the contract
    """Return an array as a tensor in main memory from which a device can copy while the program goes on.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        Of the job.
    array : ndarray
        Shared with the tensor on a CPU, copied to pinned memory for a GPU.
    """
    import torch  # noqa: PLC0415 - only where the image has it

    tensor = torch.from_numpy(array)
    return tensor.pin_memory() if device == "cuda" else tensor


def leaving(tensor: Any) -> Callable[[], np.ndarray]:  # noqa: ANN401 - torch is optional for the contract
    """Begin to copy a tensor to main memory, and return a function that waits for it and returns the array."""
    if not tensor.is_cuda:
        array: np.ndarray = tensor.numpy()
        return lambda: array
    import torch  # noqa: PLC0415 - only where the image has it

    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def arrived() -> np.ndarray:
        copied.synchronize()
        there: np.ndarray = host.numpy()
        return there

    return arrived
