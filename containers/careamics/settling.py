"""Settle a trained network: statistics of its batch normalisation and its mean, weights at rest, as prediction sees it.

While weights move, the running statistics that prediction uses lag behind them, and the last step leaves the mean of
the output where its batch drew it. At the learning rate of preset quick of n2n each shifted predictions by 1 to 3 %.
Patches of training end within reach of the network where movies go on, which moves the mean as well, and see more of
the middle of frames than of their darker border, which a network that learned little draws together. So every part of
a frame is looked at equally often here, as prediction sees it: with all around it, and with the end of the frame where
it is one. What is left is measured on frames that were not trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from contract.device import autocast
from contract.evidence import Baseline, tell_baseline
from contract.files import atomic
from contract.seeding import generator, torch_generator
from even_tiles import Reach, even_tiles
from patch_sampling import PatchSource, hold_out, open_movies
from unet_denoiser import MULTIPLE, RECEPTIVE_FIELD, example_of, load_denoiser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from contract.events import Events
    from contract.job import Job
    from unet_denoiser import Denoiser, Example, Recipe

_BATCHES = 32  # of training, in pixels; the mean of 512 patches of 64 x 64 pixels is known to 0.1 %
_LEAST_PIXELS = 2**18  # after a training of a few steps
_SETTLING, _JUDGED = 0x5E77, 0x1D6ED  # keep these random numbers apart from those of training


class _Seen(NamedTuple):
    """An example as prediction sees it, and which part of it counts."""

    example: Example
    part: tuple[slice, ...]


def settle(job: Job, recipe: Recipe, middle: Literal["mean", "median"]) -> None:
    """Replace the network of a finished training by its settled one; done twice, it gives the same bits.

    Parameters
    ----------
    job : Job
        A train job whose checkpoint is written.
    recipe : Recipe
        As in training, but for its examples: their sources are what prediction sees.
    middle : {"mean", "median"}
        Where the residuals of the examples are 0 afterwards: what the loss of the training aims at.
    """
    denoiser = load_denoiser(job)
    network = denoiser.network
    state = torch.load(job.checkpoint / "state.pt", map_location=job.device, weights_only=True)
    network.load_state_dict(state["parts"]["network"])
    movies = _split(job, recipe)[0]
    with torch.no_grad(), autocast(job):
        _restart_statistics(network)
        for tile in _tiles(job, recipe, movies, denoiser, _SETTLING):
            network.train()(tile.example.source)
        network.eval()
        residuals = (
            (tile.example.target - network(tile.example.source).float())[tile.part]
            for tile in _tiles(job, recipe, movies, denoiser, _SETTLING)
        )
        network.final_conv.bias += _weighed([(getattr(one, middle)(), one.numel()) for one in residuals])
    with atomic(job.checkpoint / "network.pt") as part:
        torch.save(network.state_dict(), part)


def report_baseline(job: Job, events: Events, recipe: Recipe) -> None:
    """Tell what the checkpoint does to the mean of frames that were not trained on, if there are any."""
    denoiser, (trained, movies) = load_denoiser(job), _split(job, recipe)
    means = []
    with torch.no_grad(), autocast(job):
        for example, part in _tiles(job, recipe, movies, denoiser, _JUDGED):
            both = [one[part] for one in (example.source, denoiser.network(example.source).float())]
            means.append((torch.stack([one.mean() for one in both]), both[0].numel()))
    noisy, predicted = denoiser.normalisation.undo(_weighed(means)).tolist()
    unseen = "validation movies" if job.inputs.val else "held-out frames"
    on = "training frames" if movies is trained else unseen
    tell_baseline(Baseline(noisy=noisy, predicted=predicted, on=on), job, events)


def held_out(job: Job, recipe: Recipe, denoiser: Denoiser) -> Iterator[Example]:
    """Draw batches of patches that were not trained on, if there are any, the same in each call."""
    source = PatchSource(_split(job, recipe)[1], recipe.window, recipe.stride_t)
    rng, device = generator(job.seed, _JUDGED), next(denoiser.network.parameters()).device
    indices = rng.permutation(len(source))[: job.params["n_val_patches"]]
    size = job.params["batch_size"]
    for start in range(0, len(indices), size):
        patches = [source.read(index, rng) for index in indices[start : start + size]]
        drawn = torch_generator(job.seed, _JUDGED, start)
        yield example_of(patches, denoiser.normalisation, recipe, drawn).on(device)


def _split(job: Job, recipe: Recipe) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Open the movies that were trained on, and those that were not: validation movies or held-out frames."""
    movies = open_movies(job, job.inputs.train, recipe.window)
    if job.inputs.val:
        return movies, open_movies(job, job.inputs.val, recipe.window)
    return hold_out(movies, recipe.window, job.params["n_val_patches"], recipe.stride_t)


def _restart_statistics(network: torch.nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean of all windows; momentum is not part of a state


def _weighed(values: Sequence[tuple[torch.Tensor, int]]) -> torch.Tensor:
    """Return the mean of values of as many pixels each."""
    total = sum(pixels for _, pixels in values)
    return torch.stack([value.double() * (pixels / total) for value, pixels in values]).sum(0).float()


def _tiles(job: Job, recipe: Recipe, movies: list[np.ndarray], denoiser: Denoiser, purpose: int) -> Iterator[_Seen]:
    """Yield tiles of all parts of frames as examples, the same in each call."""
    depth, side = job.params["patch_size_z"] or 1, job.params["patch_size"]
    reach = Reach(
        depth=depth,
        side=side,
        halo=RECEPTIVE_FIELD[recipe.n2v2],
        multiple=MULTIPLE,
        frames_of_one=recipe.window[0] // depth,
    )
    pixels = max(_LEAST_PIXELS, _BATCHES * job.params["batch_size"] * depth * side**2)
    device = next(denoiser.network.parameters()).device
    for number, tile in enumerate(even_tiles(movies, reach, pixels, generator(job.seed, purpose))):
        noisy, drawn = tile.cut(movies, reach.frames_of_one), torch_generator(job.seed, purpose, number)
        example = example_of([noisy], denoiser.normalisation, recipe, drawn).on(device)
        yield _Seen(example, (..., *tile.core[3 - recipe.conv_dims :]))
