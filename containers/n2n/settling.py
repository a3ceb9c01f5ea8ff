"""Settle a trained network: statistics of its batch normalisation and its mean, from training pairs, weights at rest.

While weights move, the running statistics that prediction uses lag behind them, and the last step leaves the mean of
the output where its batch drew it. At the learning rate of preset quick each shifted predictions by 1 to 3 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from contract.device import autocast
from contract.files import atomic
from contract.seeding import generator, torch_generator
from patch_sampling import PatchSource, open_movies
from unet_denoiser import example_of, load_denoiser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.job import Job
    from unet_denoiser import Denoiser, Example, Recipe

_BATCHES = 32  # of as many pairs as in training; the mean of 512 patches of 64 x 64 pixels is known to 0.1 %
_SETTLING = 0x5E77  # keeps these random numbers apart from those of training


def settle(job: Job, recipe: Recipe, middle: Literal["mean", "median"]) -> None:
    """Replace the network of a finished training by its settled one; done twice, it gives the same bits.

    Parameters
    ----------
    job : Job
        A train job whose checkpoint is written.
    recipe : Recipe
        As in training.
    middle : {"mean", "median"}
        Where the residuals of the training pairs are 0 afterwards: what the loss of the training aims at.
    """
    denoiser = load_denoiser(job)
    network = denoiser.network
    state = torch.load(job.checkpoint / "state.pt", map_location=job.device, weights_only=True)
    network.load_state_dict(state["parts"]["network"])
    with torch.no_grad(), autocast(job):
        _restart_statistics(network)
        for example in _examples(job, recipe, denoiser):
            network.train()(example.source)
        network.eval()
        centres = [
            getattr(example.target - network(example.source).float(), middle)()
            for example in _examples(job, recipe, denoiser)
        ]
        network.final_conv.bias += torch.stack(centres).mean()
    with atomic(job.checkpoint / "network.pt") as part:
        torch.save(network.state_dict(), part)


def _restart_statistics(network: torch.nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean of all batches; momentum is not part of a state


def _examples(job: Job, recipe: Recipe, denoiser: Denoiser) -> Iterator[Example]:
    """Draw batches of training pairs, the same in each call."""
    source = PatchSource(open_movies(job, job.inputs.train, recipe.window), recipe.window, recipe.stride_t)
    device = next(denoiser.network.parameters()).device
    for number in range(_BATCHES):
        rng = generator(job.seed, _SETTLING, number)
        patches = [source.read(int(rng.integers(len(source))), rng) for _ in range(job.params["batch_size"])]
        drawn = torch_generator(job.seed, _SETTLING, number)
        yield example_of(patches, denoiser.normalisation, recipe, drawn).on(device)
