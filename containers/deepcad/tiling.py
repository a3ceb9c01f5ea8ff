"""Cut a movie into the tiles that waste least within a given memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from contract.blocks import Block, axis_blocks
from contract.errors import JobRefused

ALIGNMENT = 8  # three poolings by 2: the network is equivariant to shifts by 8 frames or pixels only
HALO = 16  # frames and pixels of context on each side; README.md says what less or more would change
_BYTES_PER_FRAME_PIXEL = 8  # of frames read (up to 4 bytes) and of the block of results (float32)
_SMALLEST_CORE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiling:
    """How a movie is cut; the cores of all blocks cover it exactly.

    Parameters
    ----------
    times, rows, columns : tuple of Block
        Blocks along T, Y and X.
    """

    times: tuple[Block, ...]
    rows: tuple[Block, ...]
    columns: tuple[Block, ...]


def best_tiling(shape: tuple[int, ...], memory_bytes: float, bytes_per_voxel: float) -> Tiling:
    """Find the tiles that compute the fewest voxels twice.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    memory_bytes : float
        For the network's activations on one tile, the frames read and the frames predicted at a time.
    bytes_per_voxel : float
        Activations of the network per voxel of a tile.

    Returns
    -------
    Tiling
        Of those that compute equally many voxels the one with the fewest tiles.

    Raises
    ------
    JobRefused
        When not even the smallest tile fits.
    """
    frame_bytes = shape[1] * shape[2] * _BYTES_PER_FRAME_PIXEL
    choices = []
    for cuts in product(*(_cuts(length) for length in shape)):
        voxels, computed = math.prod(cut.longest for cut in cuts), math.prod(cut.total for cut in cuts)
        needs = voxels * bytes_per_voxel + cuts[0].longest * frame_bytes
        choices.append((needs > memory_bytes, computed, -voxels, needs, cuts))
    too_large, *_, (times, rows, columns) = min(choices, key=lambda choice: choice[:3])
    if too_large:
        least = min(choice[3] for choice in choices) / 2**30
        message = f"memory_gib: expected at least {least:.2f} for a movie of {shape}, got {memory_bytes / 2**30:.2f}"
        raise JobRefused(message)
    return Tiling(times=times.blocks, rows=rows.blocks, columns=columns.blocks)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cut:
    """One way to cut an axis, the length of its longest block and of all blocks together."""

    blocks: tuple[Block, ...]
    longest: int
    total: int


def _cuts(length: int) -> list[_Cut]:
    """Return the ways to cut an axis into 1, 2, 3 ... cores of nearly equal length."""
    most = max(1, -(-length // _SMALLEST_CORE))
    cores = {_aligned(-(-length // count)) for count in range(1, most + 1)}
    return [_cut(axis_blocks(length, core, HALO, ALIGNMENT)) for core in sorted(cores)]


def _cut(blocks: tuple[Block, ...]) -> _Cut:
    lengths = [block.read_stop - block.read_start + block.pad for block in blocks]
    return _Cut(blocks=blocks, longest=max(lengths), total=sum(lengths))


def _aligned(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT
