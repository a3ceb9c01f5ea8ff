"""How torch takes memory from the system; the bits of a result do not depend on it."""

from __future__ import annotations

import os

import torch


def prepare_allocation() -> None:
    """Make allocations cheap; to be called before the first large tensor, where torch looks at the variable.

    A layer of the network fills some hundred MiB that are given back at once. In pages of 4 KiB handing them out
    takes up to a third of all time; torch asks Linux for pages of 2 MiB where this variable says so.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Deterministic algorithms also fill new tensors with NaN, to make use of unset values visible; there is none here.
    torch.utils.deterministic.fill_uninitialized_memory = False
