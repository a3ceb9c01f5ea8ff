"""Noise2Noise: learn to predict a frame from the one before it, 2D frame by frame or 3D with time as depth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from torch.nn import functional

from contract.errors import JobRefused
from convergence import judge
from frame_pairs import measure_change, split_pairs
from half_rate import check_volume_memory, predict_volumes
from settling import report_baseline, settle
from unet_denoiser import MULTIPLE, Example, Recipe, train_denoiser
from unet_prediction import check_memory, predict_all

if TYPE_CHECKING:
    import torch

    from contract.events import Events
    from contract.job import Job

_LOSSES = {"mse": functional.mse_loss, "mae": functional.l1_loss}
_MIDDLE: dict[str, Literal["mean", "median"]] = {"mse": "mean", "mae": "median"}  # what each loss aims at


def train(job: Job, events: Events) -> None:
    """Say how still the movies hold, train on pairs of their frames, settle the network, see whether it denoises."""
    check(job)
    recipe = _recipe(job)
    _check_memory(job)
    tell_change(job, events)
    train_denoiser(job, events, recipe)
    if job.params["settle"]:
        settle(job, recipe, _MIDDLE[job.params["loss"]])
    report_baseline(job, events, recipe)
    judge(job, events, recipe)


def predict(job: Job, events: Events) -> None:
    """Predict every stack of the job from the checkpoint."""
    check(job)
    if job.params["patch_size_z"] is not None:
        predict_volumes(job, events)
        return
    size = job.params["tile_size"] or job.params["patch_size"]
    predict_all(replace(job, params=job.params | {"patch_size": size}), events)


def check(job: Job) -> None:
    """Refuse params that do not fit the network or each other.

    Raises
    ------
    JobRefused
        With the param, what was expected and what was got.
    """
    params = job.params
    if params["tile_size"] is not None and params["tile_size"] % MULTIPLE:
        message = f"tile_size: expected a multiple of {MULTIPLE}, got {params['tile_size']}"
        raise JobRefused(message)
    if params["patch_size_z"] is not None and params["predict_tiling"] == "study":
        message = "predict_tiling: expected exact with patch_size_z, as the study had no 3D Noise2Noise, got study"
        raise JobRefused(message)


def _check_memory(job: Job) -> None:
    if job.params["patch_size_z"] is None:
        check_memory(job, conv_dims=2, n2v2=False)
    else:
        check_volume_memory(job)


def tell_change(job: Job, events: Events) -> None:
    """Say how much the signal changes between frames, and warn where Noise2Noise takes the change for noise."""
    found = measure_change(job.inputs.train, job.axes)
    events.message(
        f"between consecutive frames the signal changes by {found.change:.4g}, the noise of a pixel is "
        f"{found.noise:.4g} (root mean square, intensity units); {found.significant:.1%} of the windows change by "
        "more than noise"
    )
    if found.large:
        events.message(
            "warning: the change of the signal between frames is large against the noise; Noise2Noise cannot predict "
            "it and blurs fast events in time. A faster recording, n2v or hdn do not have this limit"
        )


def _recipe(job: Job) -> Recipe:
    params = job.params
    pairs = params["patch_size_z"] or 1
    loss = _LOSSES[params["loss"]]

    def prepare(patches: torch.Tensor, rng: torch.Generator) -> Example:
        return split_pairs(patches, rng, both_directions=params["both_directions"])

    return Recipe(
        conv_dims=2 if params["patch_size_z"] is None else 3,
        window=(2 * pairs, params["patch_size"], params["patch_size"]),
        stride_t=2 if params["pairing"] == "even_odd" else 1,
        prepare=prepare,
        loss=lambda output, example: loss(output, example.target),
    )
