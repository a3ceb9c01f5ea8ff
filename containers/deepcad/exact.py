"""Exact prediction: upstream's tiles, gains and truncation to the bit, a window of frames at a time."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.errors import JobRefused
from intensities import mean_for_prediction
from patch_grid import check_exact_tiles, exact_tiles

if TYPE_CHECKING:
    from contract.predictions import Prediction
    from contract.stacks import Stack
    from patch_grid import Tile
    from settings import Settings

_UPSTREAM_RANGES = {"uint16": (0, 65535), "int16": (-32767, 32767), "uint8": (0, 255)}  # test_collection.py, 315-329
_INT32_LIMIT = 2**31  # upstream stores every other dtype, float32 included, as int32


def predict_exactly(
    stack: Stack, prediction: Prediction, network: torch.nn.Module, settings: Settings, device: torch.device
) -> None:
    """Predict a movie with upstream's result, in upstream's grey levels: whole numbers, clipped and cut off.

    Time is the outer loop, so only `patch_t` frames are in memory; upstream's result does not depend on that order.

    Parameters
    ----------
    stack, prediction : Stack, Prediction
        Movie of shape (T, Y, X) and where its prediction goes.
    network : torch.nn.Module
        On `device`, in evaluation mode.
    settings : Settings
        Patch sizes and test_overlap_factor.
    device : torch.device
        Where to compute.

    Raises
    ------
    JobRefused
        Where upstream would silently write zeros.
    """
    check_exact_tiles(stack, settings)
    mean = mean_for_prediction(stack)
    overlap = settings.test_overlap_factor
    rows = exact_tiles(stack.shape[1], settings.patch_y, overlap)
    columns = exact_tiles(stack.shape[2], settings.patch_x, overlap)
    for times in exact_tiles(stack.shape[0], settings.patch_t, overlap):
        frames = stack.frames(times.read_start, times.read_stop)
        kept = np.empty((times.kept_stop - times.start, *stack.shape[1:]), np.float32)
        for row, column in product(rows, columns):
            window = frames[:, row.read_start : row.read_stop, column.read_start : column.read_stop]
            core = _core(window, mean, (times, row, column), network, device)
            kept[:, row.start : row.kept_stop, column.start : column.kept_stop] = core[
                : len(kept), : row.kept_stop - row.start, : column.kept_stop - column.start
            ]
        prediction.write(_as_upstream_stores(kept, stack))


def _core(
    window: np.ndarray, mean: np.float32, tiles: tuple[Tile, Tile, Tile], network: torch.nn.Module, device: torch.device
) -> np.ndarray:
    """Predict one tile and scale its core, with upstream's operations in its order (test_collection.py, 237-298)."""
    centred = window.astype(np.float32) - mean
    with torch.inference_mode():
        output = network(torch.from_numpy(centred)[None, None].to(device)).cpu().numpy()[0, 0]
    core = tuple(slice(tile.start - tile.read_start, tile.stop - tile.read_start) for tile in tiles)
    predicted, raw = output[core] + mean, centred[core] + mean
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.sum(raw) / np.sum(predicted))
    if not (math.isfinite(ratio) and ratio > 0):
        where = ", ".join(f"{axis} {tile.start}-{tile.stop}" for axis, tile in zip("TYX", tiles, strict=True))
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
