"""CARE: learn from pairs of noisy and clean images, 2D frame by frame or 3D with time as depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contract.errors import JobRefused
from contract.seeding import generator
from csbdeep_unet import UNetShape
from keras_prediction import check_memory, predict_all
from keras_training import Batch, Plateau, Recipe, train_network
from pairs import open_pairs
from patch_sampling import Normalisation, measure
from tensorflow_start import start

if TYPE_CHECKING:
    from contract.events import Events
    from contract.job import Job
    from pairs import PairSource

_INDEX, _PLACE, _VALIDATION = 1, 2, 3  # what random numbers are for; each has a stream of its own
_REDUCE_LR = {"factor": 0.5, "patience": 10}  # train_reduce_lr of upstream's Config


def train(job: Job, events: Events) -> None:
    """Train on all pairs of the job; write network and normalisation to the checkpoint."""
    check(job)
    start(job)
    shape = shape_of(job.params)
    check_memory(job, shape)
    normalisation = measure(job.inputs.train, job.axes)
    train_network(job, events, recipe_of(job, shape, normalisation), normalisation)


def predict(job: Job, events: Events) -> None:
    """Predict every stack of the job from the checkpoint."""
    check(job)
    start(job)
    predict_all(job, events)


def check(job: Job) -> None:
    """Refuse params that upstream would refuse.

    Raises
    ------
    JobRefused
        With the param, what was expected and what was got.
    """
    shape = shape_of(job.params)
    for name in ("patch_size", "patch_size_z"):
        value = job.params[name]
        if value is not None and value % shape.multiple:
            message = f"{name}: expected a multiple of {shape.multiple}, 2 to the unet_n_depth, got {value}"
            raise JobRefused(message)


def shape_of(params: dict) -> UNetShape:
    """Return the network that params describe."""
    n_dim = 2 if params["patch_size_z"] is None else 3
    return UNetShape(
        n_dim=n_dim,
        n_depth=params["unet_n_depth"],
        kern_size=params["unet_kern_size"] or (5 if n_dim == 2 else 3),  # noqa: PLR2004 - as upstream's Config
        n_first=params["unet_n_first"],
        residual=params["unet_residual"],
    )


def recipe_of(job: Job, shape: UNetShape, normalisation: Normalisation) -> Recipe:
    """Return what CARE adds to the training of a network: pairs that depend on the seed and the step alone."""
    params = job.params
    window = (params["patch_size_z"] or 1, params["patch_size"], params["patch_size"])
    train_pairs, val_pairs = open_pairs(job, window)

    def some(pairs: PairSource, indices: np.ndarray, *purpose: int, augmented: bool) -> Batch:
        read = [pairs.read(i, job.seed, *purpose, k, augmented=augmented) for k, i in enumerate(indices)]
        source, target = (shape.batch_of(normalisation.apply(np.stack(part))) for part in zip(*read, strict=True))
        return Batch(source=source, target=target, weight=np.ones_like(source))

    def batch(number: int) -> Batch:
        indices = generator(job.seed, _INDEX, number).integers(len(train_pairs), size=params["train_batch_size"])
        return some(train_pairs, indices, _PLACE, number, augmented=params["use_augmentations"])

    chosen = generator(job.seed, _VALIDATION).permutation(len(val_pairs))[: params["n_val_patches"]]
    size = params["train_batch_size"]
    parts = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    return Recipe(
        shape=shape,
        epochs=params["train_epochs"],
        steps_per_epoch=params["train_steps_per_epoch"],
        learning_rate=params["train_learning_rate"],
        loss=params["train_loss"],
        plateau=Plateau(**_REDUCE_LR),
        batch=batch,
        validation=[some(val_pairs, part, _VALIDATION, n, augmented=False) for n, part in enumerate(parts)],
    )
