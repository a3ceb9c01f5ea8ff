"""Did training end with a denoiser? Judged on pairs of frames that were held out.

A network that knows nothing better can hand its input through. What that loses on the other frame of a pair, the noise
of both frames, is what a denoiser has to stay below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract import evidence
from contract.device import autocast
from contract.files import write_json
from settling import held_out
from unet_denoiser import load_denoiser

if TYPE_CHECKING:
    from contract.events import Events
    from contract.job import Job
    from unet_denoiser import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Losses on held-out pairs; of movies of mean 0 and standard deviation 1, in the loss of the training.

    Parameters
    ----------
    network : float
        Of what the network makes of a frame, against the other frame of its pair.
    identity : float
        Of the frame as it is.
    """

    network: float
    identity: float

    @property
    def sentence(self) -> str:
        """The figures in words."""
        return f"loss on held-out pairs {self.network:.4g}, of the noisy frames themselves {self.identity:.4g}"

    @property
    def failure(self) -> str | None:
        """A sentence where no denoising is as good, also where the loss of the network is not finite."""
        if self.network < self.identity:
            return None
        return f"the network predicts a frame no better than the noisy frame before it does: {self.sentence}"


def judge(job: Job, events: Events, recipe: Recipe) -> None:
    """Compare the checkpoint with no denoising, tell the figures and write them to `evidence.json` beside it.

    Parameters
    ----------
    job : Job
        A train job whose checkpoint is written.
    events : Events
        Told the figures.
    recipe : Recipe
        As in training.

    Raises
    ------
    DidNotConverge
        When no denoising is as good, and the param convergence is "required".
    """
    denoiser = load_denoiser(job)
    losses = []
    with torch.no_grad():
        for example in held_out(job, recipe, denoiser):
            with autocast(job):
                output = denoiser.network(example.source).float()
            pair = torch.stack([recipe.loss(output, example), recipe.loss(example.source, example)])
            losses += [pair] * len(output)
    network, identity = (float(np.mean(column)) for column in torch.stack(losses).T.tolist())
    found = Evidence(network=network, identity=identity)
    write_json(job.checkpoint / "evidence.json", evidence.document_of(found))
    evidence.judge(found, events, required=job.params["convergence"] == "required")
