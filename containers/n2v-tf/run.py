"""Noise2Void on TensorFlow: learn to predict hidden pixels from their neighbours, 2D or 3D with time as depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from blind_spots import hide_pixels
from contract.evidence import Baseline, tell_baseline
from contract.seeding import generator
from csbdeep_unet import UNetShape
from even_tiles import Reach, even_tiles
from keras_prediction import check_memory, load_denoiser, predict_all
from keras_store import write_network
from keras_training import Batch, Plateau, Recipe, train_network
from patch_sampling import Normalisation, PatchSource, augment, hold_out, measure, open_movies
from tensorflow_start import start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.events import Events
    from contract.job import Job
    from keras_prediction import Denoiser

_ORDER, _PATCH, _VALIDATION, _SETTLING = 1, 2, 3, 4  # what random numbers are for; each has a stream of its own
_PIXELS = 2**20  # looked at for the mean
_STALLED = {"factor": 0.1, "patience": 10}  # as n2v


def train(job: Job, events: Events) -> None:
    """Train on all stacks of the job; write network and normalisation to the checkpoint."""
    start(job)
    shape = shape_of(job.params)
    check_memory(job, shape)
    normalisation = measure(job.inputs.train, job.axes)
    train_network(job, events, _Recipes(job, shape, normalisation).recipe(), normalisation)
    _settle(job, events)


def predict(job: Job, events: Events) -> None:
    """Predict every stack of the job from the checkpoint."""
    start(job)
    predict_all(job, events)


def _settle(job: Job, events: Events) -> None:
    """Set the last bias so that the mean of the training movies comes back; tell what is left on held-out frames."""
    denoiser = load_denoiser(job)
    patch = (job.params["patch_size_z"] or 1, job.params["patch_size"], job.params["patch_size"])
    trained = open_movies(job, job.inputs.train, patch)
    unseen = open_movies(job, job.inputs.val, patch) if job.inputs.val else None
    if unseen is None:
        trained, unseen = hold_out(trained, patch, job.params["n_val_patches"])
    if job.params["settle"]:
        noisy, predicted = _means(job, denoiser, trained, patch)
        last = [layer for layer in denoiser.network.layers if getattr(layer, "bias", None) is not None][-1]
        last.bias.assign_add([noisy - predicted])
        write_network(job.checkpoint / "network.keras", denoiser.network)
    noisy, predicted = map(denoiser.normalisation.undo, _means(job, denoiser, unseen, patch))
    on = "training frames" if unseen is trained else "validation movies" if job.inputs.val else "held-out frames"
    tell_baseline(Baseline(noisy=float(noisy), predicted=float(predicted), on=on), job, events)


def _means(job: Job, denoiser: Denoiser, movies: list[np.ndarray], patch: tuple[int, int, int]) -> np.ndarray:
    """Return the normalised mean of tiles of all parts of frames, and that of what the network gives."""
    shape = denoiser.shape
    reach = Reach(depth=patch[0], side=patch[1], halo=shape.halo, multiple=shape.multiple)
    sums, pixels = np.zeros(2), 0
    for tile in even_tiles(movies, reach, _PIXELS, generator(job.seed, _SETTLING)):
        noisy = shape.batch_of(denoiser.normalisation.apply(tile.cut(movies)[None]))
        made = np.asarray(denoiser.network(noisy, training=False))
        parts = [one[(0, *tile.core[3 - shape.n_dim :])] for one in (noisy, made)]
        sums += [part.sum(dtype=np.float64) for part in parts]
        pixels += parts[0].size
    return sums / pixels


def shape_of(params: dict) -> UNetShape:
    """Return the network: levels, filters, kernels and normalisation are those of n2v."""
    n_dim = 2 if params["patch_size_z"] is None else 3
    return UNetShape(n_dim=n_dim, n_depth=2, kern_size=3, n_first=32, residual=False, batch_norm=True)


class _Recipes:
    """What Noise2Void adds to the training of a network: batches that depend on the seed and the step alone."""

    def __init__(self, job: Job, shape: UNetShape, normalisation: Normalisation) -> None:
        self._job, self._params, self._shape, self._normalisation = job, job.params, shape, normalisation
        window = (self._params["patch_size_z"] or 1, self._params["patch_size"], self._params["patch_size"])
        movies = open_movies(job, job.inputs.train, window)
        val = open_movies(job, job.inputs.val, window) if job.inputs.val else None
        if val is None:
            movies, val = hold_out(movies, window, self._params["n_val_patches"])
        self._source, self._val = PatchSource(movies, window), PatchSource(val, window)
        every = -(-len(self._source) // self._params["batch_size"])
        self._steps_per_epoch = min(every, self._params["num_steps"] or every)

    def recipe(self) -> Recipe:
        return Recipe(
            shape=self._shape,
            epochs=self._params["num_epochs"],
            steps_per_epoch=self._steps_per_epoch,
            learning_rate=self._params["lr"],
            loss="mse",
            plateau=Plateau(**_STALLED),
            batch=self._batch,
            validation=self._validation(),
        )

    def _batch(self, number: int) -> Batch:
        epoch, step = divmod(number, self._steps_per_epoch)
        size = self._params["batch_size"]
        order = generator(self._job.seed, _ORDER, epoch).permutation(len(self._source))
        rng = generator(self._job.seed, _PATCH, number)
        patches = [self._source.read(index, rng) for index in order[step * size : (step + 1) * size]]
        if self._params["use_augmentations"]:
            patches = [augment(patch, rng) for patch in patches]
        return self._hide(patches, rng)

    def _validation(self) -> list[Batch]:
        """Return the same patches with the same hidden pixels each time, so that losses can be compared."""
        rng = generator(self._job.seed, _VALIDATION)
        indices = rng.permutation(len(self._val))[: self._params["n_val_patches"]]
        size = self._params["batch_size"]
        parts = [indices[start : start + size] for start in range(0, len(indices), size)]
        return [self._hide([self._val.read(index, rng) for index in part], rng) for part in parts]

    def _hide(self, patches: Sequence[np.ndarray], rng: np.random.Generator) -> Batch:
        noisy = self._normalisation.apply(np.stack(patches))
        percentage, roi_size = self._params["masked_pixel_percentage"], self._params["roi_size"]
        seen, hidden = hide_pixels(noisy, rng, percentage=percentage, roi_size=roi_size)
        source, target, weight = map(self._shape.batch_of, (seen, noisy, hidden))
        return Batch(source=source, target=target, weight=weight)
