"""What upstream does not look at: the loss on other movies, and whether the network learned anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.device import autocast
from contract.evidence import Baseline
from contract.stacks import open_stack
from intensities import mean_for_training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.events import Events
    from contract.job import Job
    from contract.stacks import Stack
    from learning import Learner, Pairs
    from settings import Settings

_WINDOWS = 8  # of each movie
_STRIDES = (1, 3, 5)  # odd: each axis visits its eight places in another order


def validator(job: Job, events: Events, settings: Settings, learner: Learner) -> Callable[[], float | None]:
    """Return the function that measures the validation loss; it draws no random numbers.

    Parameters
    ----------
    job : Job
        Its movies in `inputs.val` are used; those too small for one window are left out with a message.
    events : Events
        Gets that message.
    settings : Settings
        Patch sizes.
    learner : Learner
        What is measured.

    Returns
    -------
    callable
        Returns the mean loss from even to odd frames, grey levels; None without usable movies.
    """
    size = (2 * settings.patch_t, settings.patch_y, settings.patch_x)
    usable = []
    for path in sorted(job.inputs.val):
        with open_stack(path, job.axes) as stack:
            if all(length >= least for length, least in zip(stack.shape, size, strict=True)):
                usable.append((path, mean_for_training(stack, stack.shape[0])))
            else:
                events.message(f"{path.name}: {stack.shape} is too small to validate on windows of {size}")

    def validate() -> float | None:
        losses = []
        with torch.inference_mode():
            for path, mean in usable:
                with open_stack(path, job.axes) as stack:
                    losses += [learner.loss(*pair) for pair in _pairs(stack, mean, size)]
        return sum(torch.stack(losses).tolist()) / len(losses) if losses else None

    return validate


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Whether the network still answers to its input, which it does not once its ReLUs have died.

    A large step on raw grey levels can do that; the loss alone does not tell, as on a noisy movie it is then not much
    higher.

    Parameters
    ----------
    lowest, highest : float
        What it returns on a training patch, grey levels minus the mean of the movie.
    """

    lowest: float
    highest: float

    @property
    def sentence(self) -> str:
        """The figures in words."""
        return f"the network returns {self.lowest:.4g} to {self.highest:.4g} on a training patch"

    @property
    def failure(self) -> str | None:
        """A sentence where the network returns the same value for every pixel."""
        if self.highest > self.lowest:
            return None
        return (
            f"after training the network returns {self.highest:.4g} for every pixel of every patch; train again "
            "with a smaller lr or another seed"
        )


def gather_evidence(learner: Learner, pairs: Pairs) -> Evidence:
    """Look at a few training patches until the network answers to one; their random numbers are no longer needed."""
    with torch.inference_mode():
        for number in range(0, len(pairs), -(-len(pairs) // _WINDOWS)):
            predicted = learner.forward(pairs[number][0][None].to(learner.device))
            evidence = Evidence(lowest=float(predicted.min()), highest=float(predicted.max()))
            if evidence.failure is None:
                break
    return evidence


def measure_baseline(job: Job, settings: Settings, learner: Learner) -> Baseline | None:
    """Predict windows of the validation movies, or else of those trained on, as upstream holds none out.

    None where all movies are too small for a window. It draws no random numbers.
    """
    size = (2 * settings.patch_t, settings.patch_y, settings.patch_x)
    means = []
    for path in sorted(job.inputs.val or job.inputs.train):
        with open_stack(path, job.axes) as stack:
            if all(length >= least for length, least in zip(stack.shape, size, strict=True)):
                mean = mean_for_training(stack, stack.shape[0])
                for noisy, _ in _pairs(stack, mean, size):
                    with torch.inference_mode(), autocast(job):
                        predicted = learner.forward(noisy.to(learner.device)).float()
                    means.append([float(mean + part.mean(dtype=torch.float64)) for part in (noisy, predicted)])
    if not means:
        return None
    noisy, predicted = np.mean(means, axis=0)
    on = "validation movies" if job.inputs.val else "training frames"
    return Baseline(noisy=float(noisy), predicted=float(predicted), on=on)


def _pairs(stack: Stack, mean: np.float32, size: tuple[int, ...]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield even and odd frames of windows spread over a movie."""
    for number in range(_WINDOWS):
        first, top, left = (
            (length - least) * (number * stride % _WINDOWS) // (_WINDOWS - 1)
            for length, least, stride in zip(stack.shape, size, _STRIDES, strict=True)
        )
        frames = stack.frames(first, first + size[0])[:, top : top + size[1], left : left + size[2]]
        centred = torch.from_numpy(frames.astype(np.float32) - mean)[None, None]
        yield centred[:, :, ::2], centred[:, :, 1::2]
