"""How large a block may be so that predicting it stays within a memory budget, at the least repeated halo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from contract.blocks import axis_blocks
from contract.errors import JobRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

_GIB = 2**30
_FRAME_BYTES = 8  # per pixel of the movie and frame of a block: what was read, and what will be written
_MOST_CUTS = 64  # per axis; more would leave blocks of halo only


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """Memory of a network at work, measured with torch 2.13.0 on x86-64.

    Parameters
    ----------
    pixel_bytes : int
        Per pixel of a block, however many frames it has.
    voxel_bytes : int
        Per pixel and frame of a block.
    default_gib : float
        Budget where a job names none.
    """

    pixel_bytes: int
    voxel_bytes: int
    default_gib: float


TILE_VOXEL_BYTES = 1200  # of a network given whole tiles; 1120 (2D) and 893 (3D) measured, rounded up
GPU_DEFAULT_GIB = 4.0  # of a GPU, where a job names none: the same on every card, as the bits may depend on it
FOOTPRINTS = {  # by dimensions of the network; the 3D one goes through the frames chunk by chunk
    2: Footprint(pixel_bytes=0, voxel_bytes=1200, default_gib=0.75),
    3: Footprint(pixel_bytes=18_000, voxel_bytes=12, default_gib=1.6),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cut:
    core: int
    window: int  # longest block with its halo
    cost: float  # pixels computed per pixel of the axis


def plan_core(
    shape: tuple[int, int, int],
    *,
    halo: tuple[int, int, int],
    multiple: tuple[int, int, int],
    footprint: Footprint,
    gib: float | None,
) -> tuple[int, int, int]:
    """Choose the block size for `contract.blocks.stream`.

    Parameters
    ----------
    shape : (int, int, int)
        (T, Y, X) of the movie.
    halo, multiple : (int, int, int)
        As for `contract.blocks.stream`.
    footprint : Footprint
        Memory of the network.
    gib : float or None
        Memory to stay within, GiB; None for the default of the footprint.

    Returns
    -------
    (int, int, int)
        Core in frames, rows and columns with the least computed in all, and of those the fewest cuts.

    Raises
    ------
    JobRefused
        When not even the smallest block fits.
    """
    budget_bytes = (footprint.default_gib if gib is None else gib) * _GIB
    best: tuple[float, tuple[int, int, int]] | None = None
    for rows in _cuts(shape[1], halo[1], multiple[1]):
        for columns in _cuts(shape[2], halo[2], multiple[2]):
            area = rows.window * columns.window
            frame_bytes = area * footprint.voxel_bytes + shape[1] * shape[2] * _FRAME_BYTES
            frames = int((budget_bytes - area * footprint.pixel_bytes) // frame_bytes)
            time = _longest(shape[0], frames, halo[0], multiple[0])
            if time is not None and (best is None or rows.cost * columns.cost * time.cost < best[0]):
                best = rows.cost * columns.cost * time.cost, (time.core, rows.core, columns.core)
    if best is None:
        message = (
            f"predict_memory_gib: expected enough for one block of a {shape[1]} x {shape[2]} movie, "
            f"got {budget_bytes / _GIB:.2f} GiB"
        )
        raise JobRefused(message)
    return best[1]


def _cuts(length: int, halo: int, multiple: int) -> Iterator[_Cut]:
    """Cut an axis into 1, 2, ... blocks of about equal length."""
    for count in range(1, min(_MOST_CUTS, -(-length // multiple)) + 1):
        yield _cut(length, -(-length // count), halo, multiple)


def _longest(length: int, window: int, halo: int, multiple: int) -> _Cut | None:
    """Return the longest core whose block has at most `window` frames, None where there is none."""
    whole = -(-length // multiple) * multiple
    core = whole if whole <= window else (window - 2 * halo) // multiple * multiple
    return _cut(length, core, halo, multiple) if core > 0 else None


@cache
def _cut(length: int, core: int, halo: int, multiple: int) -> _Cut:
    sizes = [block.read_stop - block.read_start + block.pad for block in axis_blocks(length, core, halo, multiple)]
    return _Cut(core=core, window=max(sizes), cost=sum(sizes) / length)
