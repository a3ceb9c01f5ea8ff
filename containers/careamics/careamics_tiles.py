"""Where careamics puts tiles along an axis, by the rule of whichever version is installed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from careamics_unet import VERSION
from without_init import STUDY

if VERSION == STUDY:
    from careamics.dataset.tiling.tiled_patching import _compute_crop_and_stitch_coords_1d
else:
    from careamics.dataset.patching.tiled_patching import TiledPatching


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One stretch of one axis.

    Parameters
    ----------
    read : slice
        What the network sees.
    crop : slice
        Which part of its output is kept.
    stitch : slice
        Where that goes; the stretches of all tiles cover the axis once.
    """

    read: slice
    crop: slice
    stitch: slice


def place_tiles(length: int, size: int, overlap_share: float) -> list[Tile]:
    """Place tiles along one axis.

    Parameters
    ----------
    length, size : int
        Pixels of the axis and of a tile.
    overlap_share : float
        Overlap of neighbouring tiles as a share of their size.

    Returns
    -------
    list of Tile
        In order; one alone, shorter than `size`, where the axis is no longer than a tile.
    """
    if length <= size:
        whole = slice(0, length)
        return [Tile(read=whole, crop=whole, stitch=whole)]
    return _as_the_study(length, size, overlap_share) if VERSION == STUDY else _as_now(length, size, overlap_share)


def _as_now(length: int, size: int, overlap_share: float) -> list[Tile]:
    overlap = 2 * int(size * overlap_share / 2)  # even, as half of it is cropped on each side
    return [
        Tile(
            read=slice(tile["coords"][0], tile["coords"][0] + size),
            crop=slice(tile["crop_coords"][0], tile["crop_coords"][0] + tile["crop_size"][0]),
            stitch=slice(tile["stitch_coords"][0], tile["stitch_coords"][0] + tile["crop_size"][0]),
        )
        for tile in TiledPatching([(1, 1, length)], [size], [overlap]).tile_specs
    ]


def _as_the_study(length: int, size: int, overlap_share: float) -> list[Tile]:
    """With an odd overlap two tiles claim the same pixel, and the later one, written over the other, has it."""
    reads, stitches, crops = _compute_crop_and_stitch_coords_1d(length, size, int(size * overlap_share))
    nexts = [after[0] for _, after in pairwise(stitches)] + [length]
    return [
        Tile(
            read=slice(*read),
            crop=slice(crop[0], crop[0] + end - stitch[0]),
            stitch=slice(stitch[0], end),
        )
        for read, stitch, crop, end in zip(reads, stitches, crops, nexts, strict=True)
    ]
