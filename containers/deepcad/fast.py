"""Fast prediction: tiles as large as the memory allows, aligned to the network's pooling, one gain for the movie."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.blocks import pad_by_reflection
from contract.device import autocast, torch_device
from intensities import mean_for_prediction
from lean import lean_forward
from tiling import best_tiling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contract.blocks import Block
    from contract.job import Job
    from contract.predictions import Prediction
    from contract.stacks import Stack
    from settings import Settings
    from tiling import Tiling

_SAMPLES = 8  # tiles on which the gain of a movie is measured
_ACTIVATIONS_BYTES = {"float32": 280, "bfloat16": 150}  # per voxel, with 16 feature maps; measured, see README.md
_MEASURED_FMAP = 16
_FLOATS_BESIDE = _SAMPLES + 3  # per voxel: tiles of known gain, what the network reads and gives, the core

Tile = tuple["Block", "Block", "Block"]


def predict_fast(stack: Stack, prediction: Prediction, network: torch.nn.Module, settings: Settings, job: Job) -> None:
    """Predict a movie in grey levels, float, neither rounded nor clipped.

    Parameters
    ----------
    stack, prediction : Stack, Prediction
        Movie of shape (T, Y, X) and where its prediction goes.
    network : torch.nn.Module
        On the device of the job, in evaluation mode.
    settings : Settings
        fmap and memory_gib.
    job : Job
        Device and precision.
    """
    tiler = _Tiler(stack, network.to(memory_format=torch.channels_last_3d), job)
    tiling = fast_tiling(stack.shape, settings.memory_gib, settings.fmap, job.precision)
    tiles = list(product(tiling.times, tiling.rows, tiling.columns))
    sample = {tiles[len(tiles) * number // _SAMPLES] for number in range(_SAMPLES)}
    known = {tile: tiler.predict(tile) for tile in sorted(sample, key=tiles.index)}
    gain = _gain(tiler, known.items())
    for times in tiling.times:
        frames = np.empty((times.stop - times.start, *stack.shape[1:]), np.float32)
        for row, column in product(tiling.rows, tiling.columns):
            tile = (times, row, column)
            core = known.pop(tile) if tile in known else tiler.predict(tile)
            frames[:, row.start : row.stop, column.start : column.stop] = gain * core
        prediction.write(frames)


def fast_tiling(shape: tuple[int, ...], memory_gib: float, fmap: int, precision: str) -> Tiling:
    """Return the tiles in which a movie of some shape (T, Y, X) is predicted.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    memory_gib, fmap : float, int
        As in the settings.
    precision : {"float32", "bfloat16"}
        Of the network's activations.
    """
    per_voxel = _ACTIVATIONS_BYTES[precision] * fmap / _MEASURED_FMAP + 4 * _FLOATS_BESIDE
    return best_tiling(shape, memory_gib * 2**30, per_voxel)


class _Tiler:
    """Apply the network to tiles of a movie."""

    def __init__(self, stack: Stack, network: torch.nn.Module, job: Job) -> None:
        self.mean = mean_for_prediction(stack)
        self._stack, self._network, self._job = stack, network, job
        self._device = torch_device(job)
        self._times: Block | None = None
        self._frames = np.empty(0)

    def raw(self, tile: Tile) -> np.ndarray:
        """Return what is read for a tile, in the dtype of the movie; frames are kept for the next tile."""
        times, row, column = tile
        if self._times is not times:
            self._times, self._frames = times, self._stack.frames(times.read_start, times.read_stop)
        return self._frames[:, row.read_start : row.read_stop, column.read_start : column.read_stop]

    def predict(self, tile: Tile) -> np.ndarray:
        """Return the core of a tile, float32, grey levels."""
        centred = pad_by_reflection(self.raw(tile).astype(np.float32) - self.mean, tuple(block.pad for block in tile))
        window = torch.from_numpy(centred)[None, None].to(self._device, memory_format=torch.channels_last_3d)
        with torch.inference_mode(), autocast(self._job):
            output = lean_forward(self._network, window)
        core = tuple(block.core for block in tile)
        return output[0, 0][core].float().cpu().numpy() + self.mean


def _gain(tiler: _Tiler, known: Iterable[tuple[Tile, np.ndarray]]) -> np.float32:
    """Return upstream's correction of the mean intensity, for the movie as a whole instead of for each tile.

    It is 1 where it has no meaning: when input and output do not both have a positive mean.
    """
    raw_sum = predicted_sum = 0.0
    for tile, predicted in known:
        core = tuple(block.core for block in tile)
        raw_sum += float(tiler.raw(tile)[core].sum(dtype=np.float64))
        predicted_sum += float(predicted.sum(dtype=np.float64))
    return np.float32(math.sqrt(raw_sum / predicted_sum)) if raw_sum > 0 and predicted_sum > 0 else np.float32(1)
