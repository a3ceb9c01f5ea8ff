"""Train a network of CSBDeep step by step, so that a killed training resumes to the same bits.

Upstream's own loop cannot: its checkpoints hold no optimiser, and its batches come from numpy's global generator.
Shared with n2v-tf: a `Recipe` says what a batch is and how far off an output is; nothing here knows which algorithm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.files import write_json
from contract.training import run_steps
from csbdeep_unet import build_unet
from keras_store import NETWORK, KerasStore, write_network
from tensorflow_start import keras, tf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contract.events import Events
    from contract.job import Job
    from csbdeep_unet import UNetShape
    from patch_sampling import Normalisation


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one step sees, normalised, each of shape (B, y, x, 1) or (B, z, y, x, 1), float32.

    Parameters
    ----------
    source, target : ndarray
        Input of the network, and what its output is compared with.
    weight : ndarray
        How much a pixel counts.
    """

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What an algorithm adds to the training of a network.

    Parameters
    ----------
    shape : UNetShape
        The network.
    epochs, steps_per_epoch : int
        The validation loss is taken after each epoch.
    learning_rate : float
        Of Adam, at the start.
    loss : {"mae", "mse"}
        Mean over the pixels of a batch by their weights.
    plateau : Plateau
        When the learning rate becomes less.
    batch : callable
        Number of a step, from 0 -> Batch; depends on nothing else.
    validation : sequence of Batch
        Looked at after each epoch.
    """

    shape: UNetShape
    epochs: int
    steps_per_epoch: int
    learning_rate: float
    loss: str
    plateau: Plateau
    batch: Callable[[int], Batch]
    validation: Sequence[Batch]


class Plateau:
    """Lowers the learning rate when the validation loss has stalled, as ReduceLROnPlateau of Keras.

    Parameters
    ----------
    factor : float
        What the learning rate is multiplied with.
    patience : int
        Validations without a new best before that.
    """

    def __init__(self, factor: float, patience: int) -> None:
        self._factor, self._patience = factor, patience
        self._best, self._waited = float("inf"), 0

    def stalled(self, loss: float) -> float:
        """Take note of a validation loss; return what to multiply the learning rate with."""
        if loss < self._best:
            self._best, self._waited = loss, 0
            return 1.0
        self._waited += 1
        if self._waited < self._patience:
            return 1.0
        self._waited = 0
        return self._factor

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state."""
        self._best, self._waited = state_dict["best"], state_dict["waited"]


def train_network(job: Job, events: Events, recipe: Recipe, normalisation: Normalisation) -> None:
    """Train and write the checkpoint: `network.keras` and `network.json`.

    Parameters
    ----------
    job : Job
        A train job; `start` of tensorflow_start was called with it.
    events : Events
        Progress and losses go here.
    recipe : Recipe
        The algorithm.
    normalisation : Normalisation
        Of the movies trained on, kept for prediction.

    Raises
    ------
    DidNotConverge
        When the loss stops being finite.
    """
    training = _Training(recipe)
    events.network(sum(math.prod(weight.shape) for weight in training.network.trainable_variables))
    run_steps(
        job,
        events,
        parts={NETWORK: training.network, "plateau": recipe.plateau},
        steps=recipe.epochs * recipe.steps_per_epoch,
        step=training.step,
        validate=training.validate,
        validate_every=recipe.steps_per_epoch,
        store=KerasStore(),
    )
    trained = keras.models.clone_model(training.network)  # the same names of layers in every process
    trained.set_weights(training.network.get_weights())
    write_network(job.checkpoint / "network.keras", trained)
    write_json(
        job.checkpoint / "network.json",
        {"shape": recipe.shape.document, "mean": normalisation.mean, "std": normalisation.std},
    )


class _Training:
    """A network, its optimiser and a step that depends on its number and the weights alone."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.network = build_unet(recipe.shape)
        self.network.compile(optimizer=keras.optimizers.Adam(recipe.learning_rate), jit_compile=False)
        self.network.optimizer.build(self.network.trainable_variables)
        self._learn = tf.function(self._learn_from, reduce_retracing=True)
        self._judge = tf.function(self._loss, reduce_retracing=True)

    def step(self, number: int) -> float:
        """Do optimisation step `number` and return its loss."""
        return float(self._learn(*_tensors(self._recipe.batch(number))))

    def validate(self) -> float:
        """Return the loss over the same patches each time, and lower the learning rate when it has stalled."""
        losses = [float(self._judge(*_tensors(batch), training=False)) for batch in self._recipe.validation]
        loss = float(np.average(losses, weights=[len(batch.source) for batch in self._recipe.validation]))
        rate = self.network.optimizer.learning_rate
        rate.assign(rate * self._recipe.plateau.stalled(loss))
        return loss

    def _learn_from(self, source: tf.Tensor, target: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._loss(source, target, weight, training=True)
        variables = self.network.trainable_variables
        self.network.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _loss(self, source: tf.Tensor, target: tf.Tensor, weight: tf.Tensor, *, training: bool) -> tf.Tensor:
        error = self.network(source, training=training) - target
        off = tf.abs(error) if self._recipe.loss == "mae" else tf.square(error)
        return tf.reduce_sum(weight * off) / tf.reduce_sum(weight)


def _tensors(batch: Batch) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    return tf.constant(batch.source), tf.constant(batch.target), tf.constant(batch.weight)
