"""Predict with a 3D network that was trained on every other frame: even and odd frames are two movies at half the rate.

A network that saw all frames would see the frame it has to predict, and learn to copy its noise.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from block_plan import FOOTPRINTS, plan_core
from contract.blocks import stream
from contract.device import within_gpu_memory
from contract.pipeline import depth_for
from contract.predictions import predictions_of
from contract.stacks import open_stack
from contract.transfer import leaving, ready_for
from unet_denoiser import MULTIPLE, RECEPTIVE_FIELD, Denoiser, load_denoiser
from unet_prediction import memory_gib, predict_volume

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from contract.events import Events
    from contract.job import Job
    from contract.predictions import Prediction
    from contract.stacks import Stack

_3D = 3


def predict_volumes(job: Job, events: Events) -> None:
    """Predict every stack of a job with a 3D network, exactly and in bounded memory.

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
        _predict_movie(job, events, denoiser, stack, prediction)


def _predict_movie(job: Job, events: Events, denoiser: Denoiser, stack: Stack, prediction: Prediction) -> None:
    apply = on_both_halves(job, denoiser)

    def attempt(gib: float) -> None:
        blocks = _blocks(gib, stack.shape, denoiser.halo)
        stream(stack, prediction, apply, **blocks, bring=partial(ready_for, job.device), depth=depth_for(job.device))

    within_gpu_memory(job, events, "predict_memory_gib", memory_gib(job, _3D), attempt)


def check_volume_memory(job: Job) -> None:
    """Refuse a train job on movies that predict_memory_gib could not predict afterwards, hours later.

    Raises
    ------
    JobRefused
        When predict_memory_gib does not suffice for the smallest block.
    """
    for path in (*job.inputs.train, *job.inputs.val):
        with open_stack(path, job.axes) as stack:
            _blocks(memory_gib(job, _3D), stack.shape, RECEPTIVE_FIELD[False])


def on_both_halves(job: Job, denoiser: Denoiser) -> Callable[[torch.Tensor], Callable[[], np.ndarray]]:
    """Return the network as a function of a block of frames.

    Returns
    -------
    callable
        Grey levels of shape (t, y, x), t a multiple of 8 -> function that waits for the same shape: even frames from
        even ones, odd from odd.
    """

    def apply(block: torch.Tensor) -> Callable[[], np.ndarray]:
        frames = block.to(job.device, non_blocking=True)
        result = torch.empty_like(frames)
        for parity in (0, 1):
            result[parity::2] = predict_volume(job, denoiser, frames[parity::2])
        return leaving(result)

    return apply


def _blocks(gib: float, shape: tuple[int, int, int], halo: int) -> dict[str, tuple[int, int, int]]:
    """Return core, halo and multiple for `contract.blocks.stream`, both halves of the frames counted."""
    halos, multiples = (2 * halo, halo, halo), (2 * MULTIPLE, MULTIPLE, MULTIPLE)
    core = plan_core(shape, halo=halos, multiple=multiples, footprint=FOOTPRINTS[_3D], gib=gib)
    return {"core": core, "halo": halos, "multiple": multiples}
