"""Upstream's training loop, killed and resumed at any step with the same bits.

Upstream draws from two generators in a fixed order: torch's for the initial weights and, at the start of every epoch,
for the order of the patches; Python's for the swap and the turn of every patch. The state of both is saved.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch.nn.functional import l1_loss, mse_loss
from torch.utils.data import DataLoader, default_collate

from checkpoints import load_state, save_state, save_weights
from contract.device import autocast, torch_device
from contract.errors import DidNotConverge
from contract.files import write_json
from contract.pipeline import ahead, depth_for
from contract.training import SaveClock, Waiting
from lean import lean_forward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.events import Events
    from contract.job import Job
    from settings import Settings


class Pairs(Protocol):
    """Upstream's `trainset`: input and target patch by number, drawing from Python's generator."""

    def __len__(self) -> int:
        """Return the number of patches."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return input and target, each of shape (1, t, y, x), float32, grey levels minus the mean of the movie."""


class Learner:
    """Network and optimiser, and one step of theirs.

    Parameters
    ----------
    network : torch.nn.Module
        Upstream's network, freshly initialised.
    job : Job
        Device and precision.
    settings : Settings
        Adam and mode.
    """

    def __init__(self, network: torch.nn.Module, job: Job, settings: Settings) -> None:
        self._job = job
        self.device = torch_device(job)
        self._format = torch.channels_last_3d if settings.mode == "fast" else torch.contiguous_format
        self.network = network.to(self.device, memory_format=self._format)
        self.forward = partial(lean_forward, self.network) if settings.mode == "fast" else self.network
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.lr, betas=(settings.b1, settings.b2))

    def step(self, noisy: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Do one optimisation step and return its loss, which stays on the device."""
        loss = self.loss(noisy, target)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def loss(self, noisy: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return half the mean absolute plus half the mean squared error, grey levels."""
        noisy = noisy.to(self.device, memory_format=self._format, non_blocking=True)
        target = target.to(self.device, non_blocking=True)
        with autocast(self._job):
            predicted = self.forward(noisy)
        predicted = predicted.float()
        return 0.5 * l1_loss(predicted, target) + 0.5 * mse_loss(predicted, target)


@dataclass(kw_only=True, slots=True)
class Progress:
    """How far a training is.

    Parameters
    ----------
    epoch, step : int
        Epochs done, and optimiser steps done in the one begun.
    epoch_rng : torch.Tensor or None
        State of torch's generator when the epoch began; None before the first.
    loss : list of float
        One value per step.
    val_loss : list of [int, float]
        Step, counted from 1 over all epochs, and validation loss.
    python_rng : tuple
        State of Python's generator once the patches of the last step were drawn; more may be drawn by now.
    """

    epoch: int = 0
    step: int = 0
    epoch_rng: torch.Tensor | None = None
    loss: list[float] = field(default_factory=list)
    val_loss: list[list[float]] = field(default_factory=list)
    python_rng: tuple[Any, ...] = field(default_factory=random.getstate)


class Batch(NamedTuple):
    """Patches of one step, and the state of Python's generator once they were drawn."""

    noisy: torch.Tensor
    target: torch.Tensor
    python_rng: tuple[Any, ...]


def learn(  # noqa: PLR0913, PLR0917 - one argument per role
    job: Job, events: Events, settings: Settings, learner: Learner, pairs: Pairs, validate: Callable[[], float | None]
) -> str:
    """Train for all epochs, or what is left of them.

    Parameters
    ----------
    job, events : Job, Events
        Train job; weights and state go to its checkpoint, losses to `history.json` in its folder.
    settings : Settings
        Epochs and batch size.
    learner : Learner
        What is trained.
    pairs : Pairs
        Training patches.
    validate : callable
        Returns the validation loss, or None without validation movies; must draw no random numbers.

    Returns
    -------
    str
        Name of the weights of the last epoch.

    Raises
    ------
    DidNotConverge
        When a loss is not finite.
    """
    progress = _resume(job, events, learner)
    steps = math.ceil(len(pairs) / settings.batch_size)
    log = _Log(events, progress, steps * settings.n_epochs, job.device)
    clock = SaveClock()
    while progress.epoch < settings.n_epochs:
        left = _epoch_order(len(pairs), settings.batch_size, progress)[progress.step :]
        for batch in ahead(_batches(pairs, left, pinned=job.device == "cuda"), depth_for(job.device)):
            log.add(learner.step(batch.noisy, batch.target))
            progress.step, progress.python_rng = progress.step + 1, batch.python_rng
            if clock.due():
                with clock:
                    log.look()
                    _save(job, learner, progress)
        log.look(validate())
        progress.epoch, progress.step, progress.epoch_rng = progress.epoch + 1, 0, None
        name = _weights_name(progress.epoch, steps, settings.n_epochs)
        save_weights(job.checkpoint / name, learner.network)
        _save(job, learner, progress)
    write_json(job.folder / "history.json", {"loss": progress.loss, "val_loss": progress.val_loss})
    return _weights_name(settings.n_epochs, steps, settings.n_epochs)


def _epoch_order(patches: int, batch_size: int, progress: Progress) -> list[list[int]]:
    """Draw the order of an epoch as upstream does; when it was interrupted, draw the same again."""
    if progress.epoch_rng is None:
        progress.epoch_rng = torch.get_rng_state()
    torch.set_rng_state(progress.epoch_rng)
    return list(DataLoader(range(patches), batch_size=batch_size, shuffle=True, collate_fn=list))


def _batches(pairs: Pairs, order: list[list[int]], *, pinned: bool) -> Iterator[Batch]:
    for numbers in order:
        noisy, target = default_collate([pairs[number] for number in numbers])
        if pinned:  # so that copying to the GPU need not wait for what it is doing
            noisy, target = noisy.pin_memory(), target.pin_memory()
        yield Batch(noisy, target, random.getstate())


def _weights_name(epoch: int, steps: int, epochs: int) -> str:
    """Return upstream's file name, with digits enough that the last epoch sorts last, which upstream relies on."""
    return f"E_{epoch:0{max(2, len(str(epochs)))}d}_Iter_{steps:04d}.pth"


def _resume(job: Job, events: Events, learner: Learner) -> Progress:
    state = load_state(job)
    if state is None:
        return Progress()
    learner.network.load_state_dict(state["network"])
    learner.optimiser.load_state_dict(state["optimiser"])
    version, words, gauss = state["python_rng"]
    random.setstate((version, tuple(words), gauss))
    torch.set_rng_state(state["torch_rng"])
    events.message(f"resuming after epoch {state['epoch']}, step {state['step']}")
    return Progress(
        epoch=state["epoch"], step=state["step"], epoch_rng=state["epoch_rng"],
        loss=state["loss"], val_loss=state["val_loss"],
    )  # fmt: skip


def _save(job: Job, learner: Learner, progress: Progress) -> None:
    state: dict[str, Any] = {
        "epoch": progress.epoch, "step": progress.step, "epoch_rng": progress.epoch_rng,
        "python_rng": progress.python_rng, "torch_rng": torch.get_rng_state(),
        "network": learner.network.state_dict(), "optimiser": learner.optimiser.state_dict(),
        "loss": progress.loss, "val_loss": progress.val_loss,
    }  # fmt: skip
    save_state(job, state)


class _Log:
    """Collect losses and look at them now and then."""

    def __init__(self, events: Events, progress: Progress, steps: int, device: str) -> None:
        self._events, self._progress, self._steps = events, progress, steps
        self._waiting = Waiting(device)

    def add(self, loss: torch.Tensor) -> None:
        self._waiting.add(loss)
        if self._waiting.due():
            self.look()

    def look(self, val_loss: float | None = None) -> None:
        done = self._progress.loss
        for value in self._waiting.fetch():
            if not math.isfinite(value):
                message = f"the loss of step {len(done) + 1} is {value}; training cannot go on from here"
                raise DidNotConverge(message)
            done.append(value)
        if val_loss is not None:
            self._progress.val_loss.append([len(done), val_loss])
        self._events.step(len(done), self._steps, loss=done[-1], val_loss=val_loss)
