"""Exact prediction: upstream's tiles, gains and truncation to the bit, a window of frames at a time."""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from contract.batches import Batches
from contract.errors import JobRefused
from contract.pipeline import ahead, behind, depth_for
from contract.transfer import leaving, ready_for
from intensities import mean_for_prediction
from patch_grid import check_exact_tiles, exact_tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.events import Events
    from contract.job import Job
    from contract.predictions import Prediction
    from contract.stacks import Stack
    from patch_grid import Tile
    from settings import Settings

_UPSTREAM_RANGES = {"uint16": (0, 65535), "int16": (-32767, 32767), "uint8": (0, 255)}  # test_collection.py, 315-329
_INT32_LIMIT = 2**31  # upstream stores every other dtype, float32 included, as int32


def predict_exactly(  # noqa: PLR0913, PLR0917 - one argument per role
    stack: Stack, prediction: Prediction, network: torch.nn.Module, settings: Settings, job: Job, events: Events
) -> None:
    """Predict a movie with upstream's result, in upstream's grey levels: whole numbers, clipped and cut off.

    Time is the outer loop, so only `patch_t` frames are in memory; upstream's result does not depend on that order.
    On a GPU the next tiles are cut and the last ones finished by threads of the program while the network works.

    Parameters
    ----------
    stack, prediction : Stack, Prediction
        Movie of shape (T, Y, X) and where its prediction goes.
    network : torch.nn.Module
        On the device of the job, in evaluation mode.
    settings : Settings
        Patch sizes and test_overlap_factor.
    job, events : Job, Events
        Names the device; is told how many tiles it takes together.

    Raises
    ------
    JobRefused
        Where upstream would silently write zeros.
    """
    check_exact_tiles(stack, settings)
    mean, overlap = mean_for_prediction(stack), settings.test_overlap_factor
    times, rows, columns = (
        exact_tiles(length, patch, overlap)
        for length, patch in zip(stack.shape, (settings.patch_t, settings.patch_y, settings.patch_x), strict=True)
    )

    def cut() -> Iterator[_Cut]:
        for time in times:
            frames = stack.frames(time.read_start, time.read_stop)
            for row, column in product(rows, columns):
                window = frames[:, row.read_start : row.read_stop, column.read_start : column.read_stop]
                centred = window.astype(np.float32) - mean
                yield _Cut((time, row, column), centred, ready_for(job.device, centred[None]))

    sent: deque[_Cut] = deque()

    def sending() -> Iterator[torch.Tensor]:
        for one in ahead(cut(), depth_for(job.device)):
            sent.append(one)
            yield one.tensor

    assembly = _Assembly(stack, prediction, mean, len(rows) * len(columns))
    with behind(assembly.add, depth_for(job.device)) as hand_over:
        for output in Batches(job.device, events.message, partial(_forward, network)).over(sending()):
            hand_over((sent.popleft(), leaving(output)))


class _Cut(NamedTuple):
    """A tile on its way: where it lies, its grey levels minus the mean, and the same as the network takes it."""

    place: tuple[Tile, Tile, Tile]
    centred: np.ndarray
    tensor: torch.Tensor


def _forward(network: torch.nn.Module, tiles: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(tiles)


class _Assembly:
    """Finishes tiles with upstream's arithmetic, which is numpy's, and writes the frames that are complete."""

    def __init__(self, stack: Stack, prediction: Prediction, mean: np.float32, tiles: int) -> None:
        self._stack, self._prediction, self._mean, self._tiles = stack, prediction, mean, tiles
        self._made, self._kept = 0, np.empty((0, 0, 0), np.float32)

    def add(self, tile: tuple[_Cut, Callable[[], np.ndarray]]) -> None:
        """Wait for a tile and put its core into its place."""
        one, arrived = tile
        time, row, column = one.place
        if not self._made:
            self._kept = np.empty((time.kept_stop - time.start, *self._stack.shape[1:]), np.float32)
        core = _core(one, arrived()[0], self._mean)
        self._kept[:, row.start : row.kept_stop, column.start : column.kept_stop] = core[
            : len(self._kept), : row.kept_stop - row.start, : column.kept_stop - column.start
        ]
        self._made += 1
        if self._made == self._tiles:
            self._prediction.write(_as_upstream_stores(self._kept, self._stack))
            self._made = 0


def _core(one: _Cut, output: np.ndarray, mean: np.float32) -> np.ndarray:
    """Scale the core of a predicted tile, with upstream's operations in its order (test_collection.py, 237-298)."""
    core = tuple(slice(tile.start - tile.read_start, tile.stop - tile.read_start) for tile in one.place)
    predicted, raw = output[core] + mean, one.centred[core] + mean
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.sum(raw) / np.sum(predicted))
    if not (math.isfinite(ratio) and ratio > 0):
        where = ", ".join(f"{axis} {tile.start}-{tile.stop}" for axis, tile in zip("TYX", one.place, strict=True))
        message = (
            f"mode exact: tile {where}: expected sums of input and output of the same sign, got {np.sum(raw)} and "
            f"{np.sum(predicted)}; upstream would write zeros. Add an offset to the movie or use mode fast"
        )
        raise JobRefused(message)
    return predicted * np.float32(ratio**0.5)


def _as_upstream_stores(frames: np.ndarray, stack: Stack) -> np.ndarray:
    """Clip and cut off as upstream does before it writes; the numbers stay float32, which holds them all exactly."""
    if stack.dtype.name in _UPSTREAM_RANGES:
        return np.trunc(np.clip(frames, *_UPSTREAM_RANGES[stack.dtype.name]))
    if np.abs(frames).max() >= _INT32_LIMIT:
        message = f"{stack.path}: mode exact: expected results within int32, which upstream stores; use mode fast"
        raise JobRefused(message)
    return np.trunc(frames)
