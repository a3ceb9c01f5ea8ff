"""A device that programs take for a GPU and torch for the CPU, so that what a GPU is given runs where there is none.

Reading ahead, writing behind, losses that wait, and tiles computed together are done as on a GPU; only pinned memory
and copies that go on behind the program's back are not.
"""

from __future__ import annotations

from typing import Self

import torch


class PretendGpu(str):
    """Text "cpu" for torch, which is equal to "cuda", too."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __new__(cls) -> Self:
        return super().__new__(cls, "cpu")

    def __eq__(self, other: object) -> bool:
        return other in {"cpu", "cuda"}

    def __ne__(self, other: object) -> bool:
        return not self == other


def pretend(monkeypatch, free_bytes=8 * 2**30, tile_bytes=2**28):
    """Return the device; there seems to be a GPU with so much free memory, of which a tile takes so much."""
    pinned = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free_bytes, 2 * free_bytes))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 0)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: tile_bytes)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(1) or self.clone())
    return PretendGpu(), pinned
