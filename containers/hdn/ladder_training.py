"""Train the ladder VAE: one step, its validation, and what is done about numbers that are not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from contract.device import autocast, torch_device
from contract.errors import DidNotConverge
from contract.pipeline import depth_for, in_turn
from contract.training import run_steps
from contract.transfer import ready_for
from ladder import build_ladder
from noise_models import on_device
from objective import divergence_weight, evidence

if TYPE_CHECKING:
    from careamics.models.lvae.lvae import LadderVAE

    from contract.events import Events
    from contract.job import Job
    from noise_models import NoiseModel
    from patch_source import PatchSource, Scale

_MAX_SKIPPED_SHARE = 0.02  # of the steps; more means that training is unstable, not that a batch was odd
_MIN_SKIPPED = 5  # steps allowed whatever the share
_FINAL_RATE = 0.01  # of the first learning rate, at the end of the cosine
_PLATEAU_FACTOR, _PLATEAU_PATIENCE, _PLATEAU_MIN = 0.5, 10, 1e-12  # juglab/HDN, boilerplate.py, commit 1561e88
_VALIDATION = 0x7A11D  # keeps these random numbers apart from those of the steps


@dataclass(kw_only=True, slots=True)
class Skips:
    """Steps left out because a loss or gradient was not finite; part of the state of a training.

    Parameters
    ----------
    count : int
        Steps left out so far.
    last_loss : float or None
        Loss of the last step that counted, nats per pixel.
    """

    count: int = 0
    last_loss: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        return {"count": self.count, "last_loss": self.last_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state."""
        self.count, self.last_loss = state_dict["count"], state_dict["last_loss"]

    def skip(self, number: int, steps: int, what: str) -> float:
        """Count a step that is left out and return the loss of the last one that was not.

        Raises
        ------
        DidNotConverge
            When too many were left out, or the very first.
        """
        self.count += 1
        limit = max(_MIN_SKIPPED, int(_MAX_SKIPPED_SHARE * steps))
        if self.last_loss is None or self.count > limit:
            message = (
                f"step {number + 1} of {steps}: {what} is not finite; {self.count} steps left out for that, "
                f"at most {limit} allowed, last finite loss {self.last_loss} nats per pixel"
            )
            raise DidNotConverge(message)
        return self.last_loss


class LadderTraining:
    """A network being trained.

    Parameters
    ----------
    job : Job
        A train job.
    noise_model : NoiseModel
        How noisy pixels spread, intensity units.
    scale : Scale
        Standardisation.
    train, val : PatchSource
        Where patches come from.

    Attributes
    ----------
    network : LadderVAE
        On the device of the job.
    skips : Skips
        Steps left out.
    """

    def __init__(
        self, job: Job, noise_model: NoiseModel, scale: Scale, *, train: PatchSource, val: PatchSource
    ) -> None:
        self._job, self._scale = job, scale
        self._train, self._val = train, val
        self._device = torch_device(job)
        self._noise_model = on_device(noise_model, self._device)
        self.steps = job.params["max_epochs"] * job.params["steps_per_epoch"]
        self._coming = in_turn(self._made, self.steps, depth_for(job.device))
        torch.manual_seed(job.seed)
        self.network: LadderVAE = build_ladder(job.params).to(self._device)
        on_gpu = job.device == "cuda"  # where counts of steps must be, too, for a step that may be left out
        self._optimiser = torch.optim.Adamax(self.network.parameters(), lr=job.params["lr"], capturable=on_gpu)
        self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self._optimiser, factor=_PLATEAU_FACTOR, patience=_PLATEAU_PATIENCE, min_lr=_PLATEAU_MIN
        )
        self.skips = Skips()

    def run(self, events: Events) -> None:
        """Do every step that is left; a killed training goes on where it was saved, to the same bits."""
        parts = {"network": self.network, "optimiser": self._optimiser, "plateau": self._plateau, "skips": self.skips}
        run_steps(
            self._job,
            events,
            parts=parts,
            steps=self.steps,
            step=self._step,
            looked_at=self._looked_at,
            validate=self._validate,
            validate_every=self._job.params["steps_per_epoch"],
        )

    def _step(self, number: int) -> torch.Tensor:
        """Do a step and return its loss and the norm of its gradient; where one is not finite, nothing has changed.

        Which it is stays on the device, as a GPU would have to be waited for.
        """
        self._set_rate(number)
        self.network.train()
        noisy = self._coming(number).to(self._device, non_blocking=True)
        changing = [*self.network.parameters(), *self.network.buffers(), *self._optimiser_values()]
        before = [value.detach().clone() for value in changing]
        loss = self._loss(noisy, divergence_weight(number, self.steps, self._job.params["kl_warmup"]))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._job.params["max_grad_norm"])
        self._optimiser.step()
        sound = torch.isfinite(loss) & torch.isfinite(norm)
        with torch.no_grad():
            for value, old in zip(changing, before, strict=True):
                value.copy_(torch.where(sound, value, old))
        return torch.stack([loss.detach(), norm])

    def _optimiser_values(self) -> list[torch.Tensor]:
        return [value for state in self._optimiser.state.values() for value in state.values()]

    def _looked_at(self, number: int, values: list[float]) -> float:
        """Return the loss of a step; of one that was left out, count it and return the last that was not."""
        for what, value in zip(("the loss", "the gradient"), values, strict=True):
            if not math.isfinite(value):
                return self.skips.skip(number, self.steps, what)
        self.skips.last_loss = values[0]
        return values[0]

    def _made(self, number: int) -> torch.Tensor:
        """Draw the patches of a step."""
        batch = self._train.batch(self._job.params["batch_size"], self._job.seed, number)
        return ready_for(self._job.device, batch.numpy())

    def _validate(self) -> float:
        self.network.eval()
        size = self._job.params["batch_size"]
        count = max(1, self._job.params["n_val_patches"] // size)
        with torch.no_grad():
            losses = [
                self._loss(self._val.batch(size, self._job.seed, _VALIDATION, index).to(self._device), 1.0)
                for index in range(count)
            ]
        value = sum(torch.stack(losses).tolist()) / count
        if not math.isfinite(value):
            message = f"the validation loss is {value}, the last training loss {self.skips.last_loss} nats per pixel"
            raise DidNotConverge(message)
        if self._job.params["lr_schedule"] == "plateau":
            self._plateau.step(value)
        return value

    def _loss(self, noisy: torch.Tensor, weight: float) -> torch.Tensor:
        with autocast(self._job):
            terms = evidence(self.network, noisy, self._noise_model, self._scale, self._job.params["free_bits"])
        return terms.loss(weight)

    def _set_rate(self, number: int) -> None:
        if self._job.params["lr_schedule"] == "plateau":
            return
        falling = 0.5 * (1 + math.cos(math.pi * number / self.steps))
        for group in self._optimiser.param_groups:
            group["lr"] = self._job.params["lr"] * (falling * (1 - _FINAL_RATE) + _FINAL_RATE)
