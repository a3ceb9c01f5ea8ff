"""Predict movies with a trained UNet in bounded memory: exactly, or tile by tile as the study did.

It reads the params predict_tiling, predict_memory_gib, patch_size, patch_size_z, tile_overlap and batch_size.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from block_plan import FOOTPRINTS, GPU_DEFAULT_GIB, TILE_VOXEL_BYTES, plan_core
from careamics_tiles import place_tiles
from contract.blocks import pad_by_reflection, stream
from contract.device import autocast, within_gpu_memory
from contract.pipeline import depth_for
from contract.predictions import predictions_of
from contract.stacks import open_stack
from unet_denoiser import MULTIPLE, RECEPTIVE_FIELD, Denoiser, load_denoiser
from unet_streaming import CHUNK, StreamedUNet

if TYPE_CHECKING:
    from collections.abc import Callable

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
            predict_in_tiles(job, denoiser, stack, prediction)


def predict_exactly(job: Job, denoiser: Denoiser, stack: Stack, prediction: Prediction, events: Events) -> None:
    """Predict in blocks with a halo as wide as the receptive field: the values are those of the movie in one piece."""
    apply = _on_volume(job, denoiser) if denoiser.conv_dims == _3D else _on_frames(job, denoiser)

    def attempt(gib: float) -> None:
        blocks = _blocks(gib, stack.shape, denoiser.conv_dims, denoiser.halo)
        stream(stack, prediction, apply, **blocks, depth=depth_for(job.device))

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


def predict_in_tiles(job: Job, denoiser: Denoiser, stack: Stack, prediction: Prediction) -> None:
    """Predict in tiles as large as a training patch, each cropped by half the overlap, as CAREamics does.

    Where half the overlap is less than the receptive field, the values differ from those of the movie in one piece.
    """
    size = job.params["patch_size"]
    depth = job.params["patch_size_z"] if denoiser.conv_dims == _3D else 1
    times, rows, columns = (
        place_tiles(length, tile, job.params["tile_overlap"])
        for length, tile in zip(stack.shape, (depth, size, size), strict=True)
    )
    apply = _on_tiles(job, denoiser)
    places = list(product(rows, columns))
    batch = _tiles_at_once(job, denoiser.conv_dims, depth * size * size)
    for time in times:
        frames = stack.frames(time.read.start, time.read.stop)
        result = np.empty((time.stitch.stop - time.stitch.start, *stack.shape[1:]), np.float32)
        for start in range(0, len(places), batch):
            some = places[start : start + batch]
            windows = [_padded(frames[:, row.read, column.read], denoiser.conv_dims) for row, column in some]
            for (row, column), tile in zip(some, apply(np.stack(windows)), strict=True):
                result[:, row.stitch, column.stitch] = tile[time.crop, row.crop, column.crop]
        prediction.write(result)


def _blocks(gib: float, shape: tuple[int, int, int], conv_dims: int, halo: int) -> dict[str, tuple[int, int, int]]:
    """Return core, halo and multiple for `contract.blocks.stream`."""
    volume = conv_dims == _3D
    halos, multiples = (halo if volume else 0, halo, halo), (MULTIPLE if volume else 1, MULTIPLE, MULTIPLE)
    core = plan_core(shape, halo=halos, multiple=multiples, footprint=FOOTPRINTS[conv_dims], gib=gib)
    return {"core": core, "halo": halos, "multiple": multiples}


def _on_frames(job: Job, denoiser: Denoiser) -> Callable[[np.ndarray], np.ndarray]:
    """Return a 2D network as a function of frames, grey levels of shape (t, y, x)."""
    apply = _on_tiles(job, denoiser)

    def on_frames(frames: np.ndarray) -> np.ndarray:
        single = len(frames) == 1 and frames[0].size <= _SMALL_FRAME
        batch = np.concatenate([frames, frames]) if single else frames  # or its bits would depend on the block size
        return apply(batch[:, None])[: len(frames), 0]

    return on_frames


def _on_volume(job: Job, denoiser: Denoiser) -> Callable[[np.ndarray], np.ndarray]:
    """Return a 3D network as a function of a volume, grey levels of shape (t, y, x), that needs memory for a chunk."""
    device, normalisation = next(denoiser.network.parameters()).device, denoiser.normalisation

    def on_volume(volume: np.ndarray) -> np.ndarray:
        network, done = StreamedUNet(denoiser.network), 0
        with torch.inference_mode(), autocast(job):
            frames = torch.from_numpy(volume).to(device)
            result = torch.empty_like(frames)
            for start in range(0, len(volume), CHUNK):
                chunk = normalisation.apply(frames[start : start + CHUNK])
                for ready in network.push(chunk[None, None], end=start + CHUNK >= len(volume)):
                    result[done : done + ready.shape[2]] = normalisation.undo(ready[0, 0].float())
                    done += ready.shape[2]
        return result.cpu().numpy()

    return on_volume


def _on_tiles(job: Job, denoiser: Denoiser) -> Callable[[np.ndarray], np.ndarray]:
    """Return a network as a function of tiles, grey levels of shape (n, t, y, x), t being 1 for a 2D network."""
    device, normalisation = next(denoiser.network.parameters()).device, denoiser.normalisation

    def on_tiles(tiles: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), autocast(job):
            batch = normalisation.apply(torch.from_numpy(tiles).to(device))
            output = denoiser.network(batch[:, None] if denoiser.conv_dims == _3D else batch).float()
            return normalisation.undo(output.reshape(tiles.shape)).cpu().numpy()

    return on_tiles


def _padded(window: np.ndarray, conv_dims: int) -> np.ndarray:
    """Reflect a window that is smaller than a tile, the movie being so, up to what the network can halve."""
    after = [-length % MULTIPLE for length in window.shape]
    return pad_by_reflection(window.astype(np.float32), (after[0] if conv_dims == _3D else 0, *after[1:]))


def _tiles_at_once(job: Job, conv_dims: int, voxels: int) -> int:
    room = int(memory_gib(job, conv_dims) * _GIB / (voxels * TILE_VOXEL_BYTES))
    return max(1, min(job.params["batch_size"], room))
