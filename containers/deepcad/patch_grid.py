"""Where upstream cuts movies: overlapping patches for training, tiles with kept cores for exact prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from contract.errors import JobRefused
from settings import gap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.stacks import Stack
    from settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingGrid:
    """Training patches of all movies, in upstream's order.

    Parameters
    ----------
    coordinates : list of dict
        For each patch init_s, end_s (frames), init_h, end_h (Y), init_w, end_w (X).
    stack_index : list of int
        For each patch the movie it lies in.
    """

    coordinates: list[dict[str, int]]
    stack_index: list[int]


def training_grid(stacks: Sequence[Stack], settings: Settings) -> TrainingGrid:
    """Cut movies into training patches (deepcad 1.2.0, train_collection.py lines 142-216).

    Parameters
    ----------
    stacks : sequence of Stack
        Movies of shape (T, Y, X).
    settings : Settings
        Patch sizes, overlap, wished number of patches.

    Returns
    -------
    TrainingGrid
        At least one patch for each movie.

    Raises
    ------
    JobRefused
        Where upstream would divide by zero or train on truncated patches; the message names a value that works.
    """
    coordinates: list[dict[str, int]] = []
    stack_index: list[int] = []
    for index, stack in enumerate(stacks):
        _check_size(stack, settings)
        found = _patches_of(stack, settings, len(stacks))
        coordinates += found
        stack_index += [index] * len(found)
    return TrainingGrid(coordinates=coordinates, stack_index=stack_index)


def used_frames(stack: Stack, settings: Settings) -> int:
    """Return how many frames of a movie are trained on."""
    return min(stack.shape[0], settings.select_img_num)


def _check_size(stack: Stack, settings: Settings) -> None:
    frames = used_frames(stack, settings)
    needed = (2 * settings.patch_t + 1, settings.patch_y, settings.patch_x)
    found = (frames, *stack.shape[1:])
    if any(length < least for length, least in zip(found, needed, strict=True)):
        largest = ((frames - 1) // 2, *stack.shape[1:])
        message = (
            f"{stack.path}: expected at least 2 * patch_t + 1 frames, patch_y rows and patch_x columns {needed}, got "
            f"{found}; patch_t, patch_y, patch_x of at most {largest} fit this movie"
        )
        raise JobRefused(message)


def _patches_of(stack: Stack, settings: Settings, movies: int) -> list[dict[str, int]]:
    gap_y, gap_x = _checked_gap(settings.patch_y, settings), _checked_gap(settings.patch_x, settings)
    rows = (stack.shape[1] - settings.patch_y) // gap_y + 1
    columns = (stack.shape[2] - settings.patch_x) // gap_x + 1
    window = 2 * settings.patch_t
    gap_t = _gap_t(stack, settings, rows * columns, movies, math.ceil(_wish(settings, rows, columns, movies)))
    times = (used_frames(stack, settings) - window) // gap_t + 1
    return [
        {
            "init_s": gap_t * time, "end_s": gap_t * time + window,
            "init_h": gap_y * row, "end_h": gap_y * row + settings.patch_y,
            "init_w": gap_x * column, "end_w": gap_x * column + settings.patch_x,
        }
        for row, column, time in product(range(rows), range(columns), range(times))
    ]  # fmt: skip


def _wish(settings: Settings, rows: int, columns: int, movies: int) -> float:
    """Return the wished time windows at each place; divided one by one as upstream does, which rounds differently."""
    return settings.train_datasets_size / columns / rows / movies


def _checked_gap(patch: int, settings: Settings) -> int:
    distance = gap(patch, settings.overlap_factor)
    if distance < 1:
        message = f"overlap_factor: expected patches of {patch} to be at least 1 apart, got {settings.overlap_factor}"
        raise JobRefused(message)
    return distance


def _gap_t(stack: Stack, settings: Settings, places: int, movies: int, windows: int) -> int:
    """Return the distance of time windows that comes closest to the wished number of patches."""
    spare = used_frames(stack, settings) - 2 * settings.patch_t
    if settings.mode == "fast":
        windows = min(max(windows, 2), spare + 1)  # as many as there can be instead of an error
    if not 1 <= windows - 1 <= spare:
        least, most = places * movies + 1, (spare + 1) * places * movies
        message = (
            f"{stack.path}: train_datasets_size: expected {least} to {most} patches for {movies} movies like this one "
            f"of shape {stack.shape} and patch_t {settings.patch_t}, got {settings.train_datasets_size}"
        )
        raise JobRefused(message)
    return spare // (windows - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One tile of one axis in exact prediction, in pixels or frames of the movie.

    Parameters
    ----------
    read_start, read_stop : int
        What the network sees.
    start, stop : int
        Core that upstream cuts out; its sums give the gain of the tile.
    kept_stop : int
        Where the next tile overwrites the core; ``start`` to ``kept_stop`` is what stays.
    """

    read_start: int
    read_stop: int
    start: int
    stop: int
    kept_stop: int


def exact_tiles(length: int, patch: int, overlap_factor: float) -> tuple[Tile, ...]:
    """Cut one axis as upstream does (deepcad 1.2.0, data_process.py lines 441-590).

    Upstream pastes the tiles in ascending order of all three axes, later ones over earlier ones, so what stays of a
    tile along one axis does not depend on the other two. Cores that fall on half a pixel are cut off downwards.

    Parameters
    ----------
    length : int
        Length of the axis, above `patch`, or equal to it where tiles do not overlap.
    patch : int
        Length of a tile.
    overlap_factor : float
        Overlap of neighbouring tiles, as a fraction of the tile.

    Returns
    -------
    tuple of Tile
        In order; what they keep covers the axis exactly.
    """
    distance = gap(patch, overlap_factor)
    cut = (patch - distance) // 2
    count = math.ceil((length - patch + distance) / distance)
    reads = [distance * index for index in range(count - 1)] + [length - patch]
    starts = [0] + [read + cut for read in reads[1:]]
    end = int(patch - (patch - distance) / 2)
    stops = [read + end for read in reads[:-1]] + [length]
    kept = [min(stop, start) for stop, start in zip(stops[:-1], starts[1:], strict=True)] + [length]
    return tuple(
        Tile(read_start=read, read_stop=read + patch, start=start, stop=stop, kept_stop=kept_stop)
        for read, start, stop, kept_stop in zip(reads, starts, stops, kept, strict=True)
    )


def check_exact_tiles(stack: Stack, settings: Settings) -> None:
    """Refuse movies that upstream predicts wrongly without a word.

    Raises
    ------
    JobRefused
        For an axis shorter than the patch, and for one as long as the patch, of which upstream leaves the end zero.
    """
    patches = (settings.patch_t, settings.patch_y, settings.patch_x)
    for axis, length, patch in zip("TYX", stack.shape, patches, strict=True):
        distance = gap(patch, settings.test_overlap_factor)
        if distance < 1:
            message = f"test_overlap_factor: expected below {1 - 1 / patch:.4f}, got {settings.test_overlap_factor}"
            raise JobRefused(message)
        if length < patch or (length == patch and distance < patch):
            message = (
                f"{stack.path}: mode exact: expected more than patch_{axis.lower()} = {patch} along {axis}, got "
                f"{length}; upstream would leave pixels zero there. Use a smaller patch or mode fast"
            )
            raise JobRefused(message)
