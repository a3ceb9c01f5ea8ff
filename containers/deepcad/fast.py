"""Fast prediction: tiles as large as the memory allows, aligned to the network's pooling, one offset for the movie.

The next frames are read and the last ones written while the network works; between reading and writing, everything
stays on the device of the job.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.blocks import pad_by_reflection
from contract.device import autocast, torch_device, within_gpu_memory
from contract.pipeline import ahead, behind, depth_for
from contract.transfer import leaving, ready_for
from intensities import mean_for_prediction
from lean import lean_forward
from tiling import best_tiling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from contract.blocks import Block
    from contract.events import Events
    from contract.job import Job
    from contract.predictions import Prediction
    from contract.stacks import Stack
    from settings import Settings
    from tiling import Tiling

_SAMPLES = 8  # tiles on which the offset of a movie is measured
_ACTIVATIONS_BYTES = {"float32": 280, "bfloat16": 150}  # per voxel, with 16 feature maps; measured, see README.md
_MEASURED_FMAP = 16
_FLOATS_BESIDE = _SAMPLES + 3  # per voxel: tiles of known offset, what the network reads and gives, the core

Tile = tuple["Block", "Block", "Block"]


def predict_fast(  # noqa: PLR0913, PLR0917 - one argument per role
    stack: Stack, prediction: Prediction, network: torch.nn.Module, settings: Settings, job: Job, events: Events
) -> None:
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
    events : Events
        Told when the GPU has less memory than expected and the tiles are halved.

    Raises
    ------
    OutOfMemory
        When the GPU has less free memory than memory_gib, or none for the smallest tiles.
    """
    predictor = _Predictor(stack, network.to(memory_format=torch.channels_last_3d), job)

    def attempt(gib: float) -> None:
        tiling = fast_tiling(stack.shape, gib, settings.fmap, job.precision)
        with behind(lambda arrived: prediction.write(arrived()), depth_for(job.device)) as hand_over:
            predictor.predict(tiling, hand_over)

    within_gpu_memory(job, events, "memory_gib", settings.memory_gib, attempt)


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


class _Predictor:
    """Apply the network to a movie, tile by tile; frames that were handed over are not computed again."""

    def __init__(self, stack: Stack, network: torch.nn.Module, job: Job) -> None:
        self._mean = float(mean_for_prediction(stack))
        self._stack, self._network, self._job = stack, network, job
        self._device = torch_device(job)
        self._offset: float | None = None
        self._done = 0

    @torch.inference_mode()
    def predict(self, tiling: Tiling, hand_over: Callable[[Callable[[], np.ndarray]], None]) -> None:
        """Predict all frames that were not handed over yet, in order."""
        known = self._measure_offset(tiling) if self._offset is None else {}
        for times, frames in self._read(times for times in tiling.times if times.stop > self._done):
            result = torch.empty((times.stop - times.start, *self._stack.shape[1:]), device=self._device)
            for row, column in product(tiling.rows, tiling.columns):
                tile = (times, row, column)
                core = known.pop(tile).to(self._device) if tile in known else self._core(frames, tile)
                result[:, row.start : row.stop, column.start : column.stop] = core.add_(self._offset)
            hand_over(leaving(result[max(0, self._done - times.start) :]))
            self._done = times.stop

    def _measure_offset(self, tiling: Tiling) -> dict[Tile, torch.Tensor]:
        """Predict some tiles, return them, and keep what brings their mean to that of the movie there.

        Upstream multiplies each tile by the root of the ratio of the means: half of the way, and transients with it.
        """
        tiles = list(product(tiling.times, tiling.rows, tiling.columns))
        sample = sorted({len(tiles) * number // _SAMPLES for number in range(_SAMPLES)})
        known, off, pixels = {}, torch.zeros((), dtype=torch.float64, device=self._device), 0
        for times, frames in self._read(dict.fromkeys(tiles[number][0] for number in sample)):
            for tile in (tiles[number] for number in sample if tiles[number][0] is times):
                core = self._core(frames, tile)
                raw = _cut(frames, tile)[tuple(block.core for block in tile)].float()
                off += (raw - core).sum(dtype=torch.float64)
                pixels += core.numel()
                known[tile] = core.cpu()
        self._offset = float(np.float32(off.item() / pixels))
        return known

    def _read(self, blocks: Iterable[Block]) -> Iterator[tuple[Block, torch.Tensor]]:
        """Yield stretches of time and their frames on the device, in the dtype of the movie."""

        def read() -> Iterator[tuple[Block, torch.Tensor]]:
            for times in blocks:
                yield times, ready_for(self._job.device, self._stack.frames(times.read_start, times.read_stop))

        for times, frames in ahead(read(), depth_for(self._job.device)):
            yield times, frames.to(self._device, non_blocking=True)

    def _core(self, frames: torch.Tensor, tile: Tile) -> torch.Tensor:
        """Return the core of a tile, float32, grey levels."""
        window = _cut(frames, tile).float() - self._mean
        for axis, block in enumerate(tile):
            if block.pad:
                window = window.index_select(axis, _reflected(window.shape[axis], block.pad).to(window.device))
        with autocast(self._job):
            output = lean_forward(self._network, window[None, None].to(memory_format=torch.channels_last_3d))
        return output[0, 0][tuple(block.core for block in tile)].float() + self._mean


def _cut(frames: torch.Tensor, tile: Tile) -> torch.Tensor:
    """Return what is read for a tile of a stretch of frames, without its padding."""
    _, row, column = tile
    return frames[:, row.read_start : row.read_stop, column.read_start : column.read_stop]


def _reflected(length: int, after: int) -> torch.Tensor:
    """Return which element is where once an axis is extended as `contract.blocks.pad_by_reflection` does."""
    return torch.from_numpy(pad_by_reflection(np.arange(length), (after,)))
