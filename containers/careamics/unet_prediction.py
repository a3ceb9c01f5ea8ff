"""Predict movies with a trained UNet in bounded memory: exactly, or tile by tile as the study did.

It reads the params predict_tiling, predict_memory_gib, patch_size, patch_size_z, tile_overlap and batch_size.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from block_plan import FOOTPRINTS, GPU_DEFAULT_GIB, TILE_VOXEL_BYTES, plan_core
from careamics_tiles import place_tiles
from contract.batches import Batches
from contract.blocks import pad_by_reflection, stream
from contract.device import autocast, within_gpu_memory
from contract.pipeline import ahead, behind, depth_for
from contract.predictions import predictions_of
from contract.stacks import open_stack
from contract.transfer import leaving, ready_for
from unet_denoiser import MULTIPLE, RECEPTIVE_FIELD, Denoiser, load_denoiser
from unet_streaming import CHUNK, StreamedUNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from careamics_tiles import Tile
    from contract.events import Events
    from contract.job import Job
    from contract.predictions import Prediction
    from contract.stacks import Stack

_3D = 3
_GIB = 2**30
_SMALL_FRAME = 20480  # pixels; torch computes single smaller frames another way (ATen ConvParams::use_mkldnn)


def predict_all(job: Job, events: Events) -> None:
    """Predict every stack of a job from its checkpoint.

    Parameters
    ----------
    job : Job
        A predict job.
    events : Events
        Progress goes here.

    Raises
    ------
    JobRefused
        When predict_memory_gib does not suffice for the smallest block.
    """
    denoiser = load_denoiser(job)
    for stack, prediction in predictions_of(job, events):
        if job.params["predict_tiling"] == "exact":
            predict_exactly(job, denoiser, stack, prediction, events)
        else:
            predict_in_tiles(job, denoiser, stack, prediction, events)


def predict_exactly(job: Job, denoiser: Denoiser, stack: Stack, prediction: Prediction, events: Events) -> None:
    """Predict in blocks with a halo as wide as the receptive field: the values are those of the movie in one piece."""
    apply = _on_volume(job, denoiser) if denoiser.conv_dims == _3D else _on_frames(job, denoiser)

    def attempt(gib: float) -> None:
        blocks = _blocks(gib, stack.shape, denoiser.conv_dims, denoiser.halo)
        stream(stack, prediction, apply, **blocks, bring=partial(ready_for, job.device), depth=depth_for(job.device))

    within_gpu_memory(job, events, "predict_memory_gib", memory_gib(job, denoiser.conv_dims), attempt)


def memory_gib(job: Job, conv_dims: int) -> float:
    """Return the memory for prediction in GiB: what the job says, or what suits the device."""
    asked: float | None = job.params["predict_memory_gib"]
    if asked is not None:
        return asked
    return GPU_DEFAULT_GIB if job.device == "cuda" else FOOTPRINTS[conv_dims].default_gib


def check_memory(job: Job, *, conv_dims: int, n2v2: bool) -> None:
    """Refuse a train job on movies that predict_memory_gib could not predict afterwards, hours later.

    Raises
    ------
    JobRefused
        When predict_memory_gib does not suffice for the smallest block.
    """
    if job.params["predict_tiling"] == "exact":
        for path in (*job.inputs.train, *job.inputs.val):
            with open_stack(path, job.axes) as stack:
                _blocks(memory_gib(job, conv_dims), stack.shape, conv_dims, RECEPTIVE_FIELD[n2v2])


def predict_in_tiles(job: Job, denoiser: Denoiser, stack: Stack, prediction: Prediction, events: Events) -> None:
    """Predict in tiles as large as a training patch, each cropped by half the overlap, as CAREamics does.

    Where half the overlap is less than the receptive field, the values differ from those of the movie in one piece.
    """
    size = job.params["patch_size"]
    depth = job.params["patch_size_z"] if denoiser.conv_dims == _3D else 1
    times, rows, columns = (
        place_tiles(length, tile, job.params["tile_overlap"])
        for length, tile in zip(stack.shape, (depth, size, size), strict=True)
    )
    at_once = _tiles_at_once(job, denoiser.conv_dims, depth * size * size)
    batches = Batches(job.device, events.message, _on_tiles(job, denoiser), at_once=at_once)
    places = list(product(rows, columns))

    def assemble(made: tuple[Tile, list[Callable[[], np.ndarray]]]) -> None:
        time, tiles = made
        result = np.empty((time.stitch.stop - time.stitch.start, *stack.shape[1:]), np.float32)
        for (row, column), arrived in zip(places, tiles, strict=True):
            result[:, row.stitch, column.stitch] = arrived()[time.crop, row.crop, column.crop]
        prediction.write(result)

    reading = ((time, stack.frames(time.read.start, time.read.stop)) for time in times)
    with behind(assemble, depth_for(job.device)) as hand_over:
        for time, frames in ahead(reading, depth_for(job.device)):
            windows = (_padded(frames[:, row.read, column.read], denoiser.conv_dims) for row, column in places)
            tiles = batches.over(ready_for(job.device, window) for window in windows)
            hand_over((time, [leaving(tile) for tile in tiles]))


def _blocks(gib: float, shape: tuple[int, int, int], conv_dims: int, halo: int) -> dict[str, tuple[int, int, int]]:
    """Return core, halo and multiple for `contract.blocks.stream`."""
    volume = conv_dims == _3D
    halos, multiples = (halo if volume else 0, halo, halo), (MULTIPLE if volume else 1, MULTIPLE, MULTIPLE)
    core = plan_core(shape, halo=halos, multiple=multiples, footprint=FOOTPRINTS[conv_dims], gib=gib)
    return {"core": core, "halo": halos, "multiple": multiples}


def _on_frames(job: Job, denoiser: Denoiser) -> Callable[[torch.Tensor], Callable[[], np.ndarray]]:
    """Return a 2D network as a function of frames, grey levels of shape (t, y, x)."""
    apply = _on_tiles(job, denoiser)

    def on_frames(frames: torch.Tensor) -> Callable[[], np.ndarray]:
        single = len(frames) == 1 and frames[0].numel() <= _SMALL_FRAME
        batch = frames.repeat(2, 1, 1) if single else frames  # or its bits would depend on the block size
        there = batch[:, None].to(job.device, non_blocking=True)
        return leaving(apply(there)[: len(frames), 0])

    return on_frames


def _on_volume(job: Job, denoiser: Denoiser) -> Callable[[torch.Tensor], Callable[[], np.ndarray]]:
    """Return a 3D network as a function of a volume, grey levels of shape (t, y, x), that needs memory for a chunk."""
    return lambda volume: leaving(predict_volume(job, denoiser, volume.to(job.device, non_blocking=True)))


def predict_volume(job: Job, denoiser: Denoiser, frames: torch.Tensor) -> torch.Tensor:
    """Push a volume through a 3D network a few frames at a time; the result is that of the whole volume.

    Parameters
    ----------
    job : Job
        Device and precision.
    denoiser : Denoiser
        The network.
    frames : Tensor of shape (t, y, x)
        Grey levels, on the device; lengths are multiples of 4.
    """
    network, normalisation, done = StreamedUNet(denoiser.network), denoiser.normalisation, 0
    with torch.inference_mode(), autocast(job):
        result = torch.empty_like(frames)
        for start in range(0, len(frames), CHUNK):
            chunk = normalisation.apply(frames[start : start + CHUNK])
            for ready in network.push(chunk[None, None], end=start + CHUNK >= len(frames)):
                result[done : done + ready.shape[2]] = normalisation.undo(ready[0, 0].float())
                done += ready.shape[2]
    return result


def _on_tiles(job: Job, denoiser: Denoiser) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a network as a function of tiles, grey levels of shape (n, t, y, x), t being 1 for a 2D network."""

    def on_tiles(tiles: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), autocast(job):
            batch = denoiser.normalisation.apply(tiles)
            output = denoiser.network(batch[:, None] if denoiser.conv_dims == _3D else batch).float()
            return denoiser.normalisation.undo(output.reshape(tiles.shape))

    return on_tiles


def _padded(window: np.ndarray, conv_dims: int) -> np.ndarray:
    """Reflect a window that is smaller than a tile, the movie being so, up to what the network can halve."""
    after = [-length % MULTIPLE for length in window.shape]
    return pad_by_reflection(window.astype(np.float32), (after[0] if conv_dims == _3D else 0, *after[1:]))


def _tiles_at_once(job: Job, conv_dims: int, voxels: int) -> int:
    room = int(memory_gib(job, conv_dims) * _GIB / (voxels * TILE_VOXEL_BYTES))
    return max(1, min(job.params["batch_size"], room))
