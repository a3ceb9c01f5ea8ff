"""Predict movies with a trained network in bounded memory: the values are those of the movie in one piece.

Shared with n2v-tf. It reads the param predict_memory_gib.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from block_plan import Footprint, plan_core
from contract.blocks import stream
from contract.device import halving
from contract.pipeline import depth_for
from contract.predictions import predictions_of
from contract.stacks import open_stack
from csbdeep_unet import UNetShape
from patch_sampling import Normalisation
from tensorflow_start import keras, tf

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from contract.events import Events
    from contract.job import Job
    from contract.predictions import Prediction
    from contract.stacks import Stack

_2D = 2
_FILTERS = 32  # of the network that has the footprint below
_VOXEL_BYTES = {2: 1200, 3: 1200}  # at work, an upper bound: `benchmarks/care.py budget` measures what is taken of it
_DEFAULT_GIB = {2: 0.75, 3: 1.6}


@dataclass(frozen=True, kw_only=True, slots=True)
class Denoiser:
    """A trained network and what is needed to use it.

    Parameters
    ----------
    network : keras.Model
        Trained.
    shape : UNetShape
        Of the network.
    normalisation : Normalisation
        Of the movies trained on.
    """

    network: keras.Model
    shape: UNetShape
    normalisation: Normalisation


def load_denoiser(job: Job) -> Denoiser:
    """Read the checkpoint of a predict job."""
    document = json.loads((job.checkpoint / "network.json").read_text())
    return Denoiser(
        network=keras.models.load_model(job.checkpoint / "network.keras", compile=False),
        shape=UNetShape(**document["shape"]),
        normalisation=Normalisation(mean=document["mean"], std=document["std"]),
    )


def predict_all(job: Job, events: Events) -> None:
    """Predict every stack of a job from its checkpoint, in blocks with a halo as wide as the receptive field.

    Raises
    ------
    JobRefused
        When predict_memory_gib does not suffice for the smallest block.
    """
    denoiser = load_denoiser(job)
    network = tf.function(lambda batch: denoiser.network(batch, training=False), reduce_retracing=True)

    def apply(frames: np.ndarray) -> Callable[[], np.ndarray]:
        batch = denoiser.normalisation.apply(frames)[..., None]
        made = network(tf.constant(batch if denoiser.shape.n_dim == _2D else batch[None]))
        return lambda: denoiser.normalisation.undo(made.numpy().reshape(frames.shape))

    asked = memory_gib(job, denoiser.shape)
    for stack, prediction in predictions_of(job, events):

        def attempt(gib: float, stack: Stack = stack, prediction: Prediction = prediction) -> None:
            blocks = _blocks(gib, stack.shape, denoiser.shape)
            stream(stack, prediction, apply, **blocks, depth=depth_for(job.device))

        halving(events, "predict_memory_gib", asked, attempt, tf.errors.ResourceExhaustedError)


def memory_gib(job: Job, shape: UNetShape) -> float:
    """Return the memory for prediction in GiB: what the job says, or what suits the network."""
    asked: float | None = job.params["predict_memory_gib"]
    return _DEFAULT_GIB[shape.n_dim] if asked is None else asked


def check_memory(job: Job, shape: UNetShape) -> None:
    """Refuse a train job on movies that predict_memory_gib could not predict afterwards, hours later.

    Raises
    ------
    JobRefused
        When predict_memory_gib does not suffice for the smallest block.
    """
    for path in (*job.inputs.train, *job.inputs.val):
        with open_stack(path, job.axes) as stack:
            _blocks(memory_gib(job, shape), stack.shape, shape)


def _blocks(gib: float, movie: tuple[int, int, int], shape: UNetShape) -> dict[str, tuple[int, int, int]]:
    """Return core, halo and multiple for `contract.blocks.stream`."""
    volume = shape.n_dim != _2D
    halo = (shape.halo if volume else 0, shape.halo, shape.halo)
    multiple = (shape.multiple if volume else 1, shape.multiple, shape.multiple)
    voxel_bytes = -(-_VOXEL_BYTES[shape.n_dim] * shape.n_first // _FILTERS)
    footprint = Footprint(pixel_bytes=0, voxel_bytes=voxel_bytes, default_gib=_DEFAULT_GIB[shape.n_dim])
    core = plan_core(movie, halo=halo, multiple=multiple, footprint=footprint, gib=gib)
    return {"core": core, "halo": halo, "multiple": multiple}
