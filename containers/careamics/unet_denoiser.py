"""Train the UNet of careamics on patches of noisy movies and keep it as a checkpoint.

A `Recipe` says how a batch of patches becomes input and target; nothing else here knows which algorithm this is.
It reads the params batch_size, num_epochs, num_steps, lr, use_augmentations and n_val_patches.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from careamics_unet import UNet
from contract.device import autocast, torch_device
from contract.files import atomic, write_json
from contract.pipeline import depth_for, in_turn
from contract.pooling import LargestOfEight
from contract.seeding import generator, torch_generator
from contract.training import run_steps
from patch_sampling import Normalisation, PatchSource, augment, hold_out, measure, open_movies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.events import Events
    from contract.job import Job

MULTIPLE = 4  # the UNet halves its input twice
RECEPTIVE_FIELD = {False: 28, True: 32}  # pixels each way, by n2v2: 26 and 29 measured, rounded up to a multiple of 4
_DEPTH, _CHANNELS = 2, 32  # UNetConfig of careamics 0.3.5, UNetModel of 0.0.5
_ORDER, _PATCH, _INPUT, _VALIDATION = 1, 2, 3, 4  # what random numbers are for; each has a stream of its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One batch, ready for the network.

    Parameters
    ----------
    source, target : Tensor of shape (B, 1, y, x) or (B, 1, z, y, x)
        What the network sees and what its output is compared with, normalised.
    mask : Tensor of the same shape, or None
        Where to compare; None means everywhere.
    """

    source: torch.Tensor
    target: torch.Tensor
    mask: torch.Tensor | None = None

    def ready_for(self, device: str) -> Example:
        """Return the same in memory from which the device of a job can copy while the program goes on."""
        return self._with(lambda part: part.pin_memory()) if device == "cuda" else self

    def on(self, device: torch.device) -> Example:
        """Return the same on a device."""
        return self._with(lambda part: part.to(device, non_blocking=True))

    def _with(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Example:
        mask = None if self.mask is None else change(self.mask)
        return Example(source=change(self.source), target=change(self.target), mask=mask)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What an algorithm adds to the training of a UNet.

    Parameters
    ----------
    conv_dims : {2, 3}
        Dimensions of the network: frame by frame, or time as depth.
    n2v2 : bool
        Whether the network has the N2V2 changes (blurred pooling, no skip at the top).
    window : (int, int, int)
        Frames, rows and columns of a patch.
    stride_t : int
        Patches begin at multiples of so many frames.
    prepare : callable
        Normalised patches of shape (B, *window) and a seeded torch generator, both in main memory -> Example. A GPU
        would wait for the program there, as upstream asks for values again and again.
    loss : callable
        (output of the network, Example) -> scalar tensor.
    """

    conv_dims: int
    window: tuple[int, int, int]
    prepare: Callable[[torch.Tensor, torch.Generator], Example]
    loss: Callable[[torch.Tensor, Example], torch.Tensor]
    stride_t: int = 1
    n2v2: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Denoiser:
    """A trained network and what is needed to use it.

    Parameters
    ----------
    network : UNet
        In evaluation mode, on the device of the job.
    conv_dims : {2, 3}
        Dimensions of the network.
    halo : int
        Context in pixels with which a block gives the same values as the whole movie.
    normalisation : Normalisation
        Of the movies trained on.
    """

    network: UNet
    conv_dims: int
    halo: int
    normalisation: Normalisation


def train_denoiser(job: Job, events: Events, recipe: Recipe) -> None:
    """Train on all stacks of `job.inputs.train` and write the checkpoint.

    Parameters
    ----------
    job : Job
        A train job. Without `job.inputs.val` the last frames of the longest stack are held out instead.
    events : Events
        Progress and losses go here.
    recipe : Recipe
        The algorithm.

    Raises
    ------
    JobRefused
        When a stack is too small for a patch, holds pixels that are not finite, or is constant.
    DidNotConverge
        When the loss stops being finite.
    """
    training = _Training(job, events, recipe)
    events.network(sum(weight.numel() for weight in training.network.parameters()))
    run_steps(
        job,
        events,
        parts={"network": training.network, "optimiser": training.optimiser, "schedule": training.schedule},
        steps=training.steps,
        step=training.step,
        validate=training.validate,
        validate_every=training.steps_per_epoch,
    )
    document = {
        "conv_dims": recipe.conv_dims,
        "n2v2": recipe.n2v2,
        "mean": training.normalisation.mean,
        "std": training.normalisation.std,
    }
    with atomic(job.checkpoint / "network.pt") as part:
        torch.save(training.network.state_dict(), part)
    write_json(job.checkpoint / "denoiser.json", document)


def load_denoiser(job: Job) -> Denoiser:
    """Read the checkpoint of a predict job.

    Raises
    ------
    DeviceMissing
        When the device of the job is not there.
    """
    document = json.loads((job.checkpoint / "denoiser.json").read_text())
    network = build_network(job, conv_dims=document["conv_dims"], n2v2=document["n2v2"])
    network.load_state_dict(torch.load(job.checkpoint / "network.pt", map_location=job.device, weights_only=True))
    return Denoiser(
        network=network.eval(),
        conv_dims=document["conv_dims"],
        halo=RECEPTIVE_FIELD[document["n2v2"]],
        normalisation=Normalisation(mean=document["mean"], std=document["std"]),
    )


def build_network(job: Job, *, conv_dims: int, n2v2: bool) -> UNet:
    """Return careamics' UNet for one channel, with random weights, on the device of the job."""
    network = UNet(conv_dims=conv_dims, depth=_DEPTH, num_channels_init=_CHANNELS, n2v2=n2v2)
    if job.precision == "float32":
        return network.to(torch_device(job))
    layout = torch.channels_last if conv_dims == 2 else torch.channels_last_3d  # noqa: PLR2004 - fastest for bfloat16
    if job.device == "cuda":
        keep_layout(network)
    return network.to(torch_device(job), memory_format=layout)


def keep_layout(network: UNet) -> None:
    """Replace 3D pooling that changes the layout on a GPU by that with the same values which does not."""
    blocks = network.encoder.encoder_blocks
    for place, block in enumerate(blocks):
        if isinstance(block, torch.nn.MaxPool3d):
            blocks[place] = LargestOfEight()


class _Training:
    """Everything a training step needs; a step depends on its number and the weights alone."""

    def __init__(self, job: Job, events: Events, recipe: Recipe) -> None:
        self._job, self._recipe = job, recipe
        self._device = torch_device(job)
        self.normalisation = measure(job.inputs.train, job.axes)
        movies = open_movies(job, job.inputs.train, recipe.window)
        val = open_movies(job, job.inputs.val, recipe.window) if job.inputs.val else None
        if val is None:
            movies, val = hold_out(movies, recipe.window, job.params["n_val_patches"], recipe.stride_t)
            events.message(_what_is_held_out(movies, val))
        self._source = PatchSource(movies, recipe.window, recipe.stride_t)
        self._val = PatchSource(val, recipe.window, recipe.stride_t)
        self._epoch, self._order = -1, np.empty(0, np.int64)
        self._coming = in_turn(self._made, self.steps, depth_for(job.device))
        self.network = build_network(job, conv_dims=recipe.conv_dims, n2v2=recipe.n2v2)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=job.params["lr"])
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimiser)

    @property
    def steps_per_epoch(self) -> int:
        """Batches that cover every movie, or fewer where num_steps says so."""
        every = -(-len(self._source) // self._job.params["batch_size"])
        return min(every, self._job.params["num_steps"] or every)

    @property
    def steps(self) -> int:
        """Batches of all epochs."""
        return int(self._job.params["num_epochs"] * self.steps_per_epoch)

    def step(self, number: int) -> torch.Tensor:
        """Do optimisation step `number` and return its loss, which stays on the device."""
        example = self._coming(number).on(self._device)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(example)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _made(self, number: int) -> Example:
        """Cut and prepare the batch of a step."""
        epoch, batch = divmod(number, self.steps_per_epoch)
        size = self._job.params["batch_size"]
        rng = generator(self._job.seed, _PATCH, number)
        patches = [
            self._source.read(index, rng) for index in self._epoch_order(epoch)[batch * size : (batch + 1) * size]
        ]
        if self._job.params["use_augmentations"]:
            patches = [augment(patch, rng) for patch in patches]
        example = example_of(patches, self.normalisation, self._recipe, torch_generator(self._job.seed, _INPUT, number))
        return example.ready_for(self._job.device)

    def validate(self) -> float:
        """Return the loss over the same patches and masks each time, and step the schedule with it.

        Upstream draws new masks each epoch, so that its validation losses cannot be compared with each other.
        """
        rng = generator(self._job.seed, _VALIDATION)
        torch_rng = torch_generator(self._job.seed, _VALIDATION)
        self.network.eval()
        losses = []
        with torch.no_grad():
            for patches in self._val_batches(rng):
                example = example_of(patches, self.normalisation, self._recipe, torch_rng).on(self._device)
                losses += [self._loss(example)] * len(patches)
        loss = float(np.mean(torch.stack(losses).tolist()))
        self.schedule.step(loss)
        return loss

    def _val_batches(self, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
        indices = rng.permutation(len(self._val))[: self._job.params["n_val_patches"]]
        size = self._job.params["batch_size"]
        for start in range(0, len(indices), size):
            yield [self._val.read(index, rng) for index in indices[start : start + size]]

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = generator(self._job.seed, _ORDER, epoch).permutation(len(self._source))
        return self._order

    def _loss(self, example: Example) -> torch.Tensor:
        with autocast(self._job):
            output = self.network(example.source)
        return self._recipe.loss(output.float(), example)


def example_of(
    patches: list[np.ndarray], normalisation: Normalisation, recipe: Recipe, rng: torch.Generator
) -> Example:
    """Make an example of patches as they were read, in main memory."""
    return recipe.prepare(torch.from_numpy(normalisation.apply(np.stack(patches))), rng)


def _what_is_held_out(train: list[np.ndarray], val: list[np.ndarray]) -> str:
    if train is val:
        return "no validation stacks, and too few frames to hold any out: the validation loss is of training frames"
    return f"no validation stacks: the last {len(val[0])} frames of the longest stack are held out"
