"""Settle a trained network: statistics of its batch normalisation and its mean, weights at rest, as prediction sees it.

While weights move, the running statistics that prediction uses lag behind them, and the last step leaves the mean of
the output where its batch drew it. At the learning rate of preset quick of n2n each shifted predictions by 1 to 3 %.
Patches of training end within reach of the network where movies go on, which moves the mean as well. So windows are
cut wider here, and what the cut reaches does not count. What is left is measured on frames that were not trained on.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from contract.device import autocast
from contract.evidence import Baseline, tell_baseline
from contract.files import atomic
from contract.seeding import generator, torch_generator
from patch_sampling import PatchSource, hold_out, open_movies
from unet_denoiser import MULTIPLE, RECEPTIVE_FIELD, example_of, load_denoiser

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from contract.events import Events
    from contract.job import Job
    from unet_denoiser import Denoiser, Example, Recipe

_BATCHES = 32  # of training, in pixels; the mean of 512 patches of 64 x 64 pixels is known to 0.1 %
_LEAST_PIXELS, _LEAST = 2**16, 4  # of all windows, and windows, after a training of a few steps
_SETTLING, _JUDGED = 0x5E77, 0x1D6ED  # keep these random numbers apart from those of training


class _Seen(NamedTuple):
    """What is cut out of movies, and which part of an example the cut does not reach."""

    recipe: Recipe
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
    seen = _seen(job, recipe, movies)
    with torch.no_grad(), autocast(job):
        _restart_statistics(network)
        for example in _examples(job, seen, movies, denoiser, _SETTLING):
            network.train()(example.source)
        network.eval()
        centres = [
            getattr((example.target - network(example.source).float())[seen.part], middle)()
            for example in _examples(job, seen, movies, denoiser, _SETTLING)
        ]
        network.final_conv.bias += torch.stack(centres).mean()
    with atomic(job.checkpoint / "network.pt") as part:
        torch.save(network.state_dict(), part)


def report_baseline(job: Job, events: Events, recipe: Recipe) -> None:
    """Tell what the checkpoint does to the mean of frames that were not trained on, if there are any."""
    denoiser, (trained, movies) = load_denoiser(job), _split(job, recipe)
    seen = _seen(job, recipe, movies)
    means = []
    with torch.no_grad(), autocast(job):
        for example in _examples(job, seen, movies, denoiser, _JUDGED):
            output = denoiser.network(example.source).float()
            means.append(torch.stack([one[seen.part].mean() for one in (example.source, output)]))
    noisy, predicted = denoiser.normalisation.undo(torch.stack(means).mean(0)).tolist()
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


def _seen(job: Job, recipe: Recipe, movies: list[np.ndarray]) -> _Seen:
    """Widen patches by the reach of the network; where a movie has no more than that, by all there is."""
    halo = RECEPTIVE_FIELD[recipe.n2v2]
    frames = recipe.window[0] // (job.params["patch_size_z"] or recipe.window[0])  # of the movie for one of an example
    window, part = list(recipe.window), [slice(None)] * 3
    for axis in range(3 - recipe.conv_dims, 3):
        step = frames if axis == 0 else 1
        wanted, most = recipe.window[axis] + 2 * halo * step, min(movie.shape[axis] for movie in movies)
        window[axis] = max(recipe.window[axis], min(wanted, most // (MULTIPLE * step) * MULTIPLE * step))
        if most - window[axis] >= MULTIPLE * step:
            part[axis] = slice(halo, -halo)
    return _Seen(replace(recipe, window=tuple(window)), (..., *part[3 - recipe.conv_dims :]))


def _examples(job: Job, seen: _Seen, movies: list[np.ndarray], denoiser: Denoiser, purpose: int) -> Iterator[Example]:
    """Draw windows one by one, the same in each call."""
    source = PatchSource(movies, seen.recipe.window, seen.recipe.stride_t)
    device = next(denoiser.network.parameters()).device
    patch = job.params["patch_size"] ** 2 * (job.params["patch_size_z"] or 1)
    pixels = prod(seen.recipe.window[3 - seen.recipe.conv_dims :])
    wanted = max(_LEAST_PIXELS, _BATCHES * job.params["batch_size"] * patch)
    for number in range(max(_LEAST, wanted // pixels)):
        rng = generator(job.seed, purpose, number)
        windows = [source.read(int(rng.integers(len(source))), rng)]
        drawn = torch_generator(job.seed, purpose, number)
        yield example_of(windows, denoiser.normalisation, seen.recipe, drawn).on(device)
