"""Times on a device that works behind the back of the program."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUND_S = {"cpu": 0.2, "cuda": 0.5}  # of calls that are timed together
_MOST = 200


def wait(device: str) -> None:
    """Wait until the device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], object], device: str) -> float:
    """Return the seconds of one call: the mean of a round of them, after one that warms up."""
    call()
    wait(device)
    began_s = time.perf_counter()
    call()
    wait(device)
    count = max(1, min(_MOST, int(_ROUND_S[device] / max(1e-6, time.perf_counter() - began_s))))
    began_s = time.perf_counter()
    for _ in range(count):
        call()
    wait(device)
    return (time.perf_counter() - began_s) / count
