"""Noise2Void: learn to predict hidden pixels from their neighbours, 2D frame by frame or 3D with time as depth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from careamics_masking import check_masking, masking, n2v_loss
from contract.errors import JobRefused
from settling import report_baseline, settle
from unet_denoiser import Example, Recipe, train_denoiser
from unet_prediction import check_memory, predict_all

if TYPE_CHECKING:
    import torch

    from contract.events import Events
    from contract.job import Job


def train(job: Job, events: Events) -> None:
    """Train on all stacks of the job, settle the network; write it and the normalisation to the checkpoint."""
    check(job)
    recipe = recipe_of(job)
    check_memory(job, conv_dims=recipe.conv_dims, n2v2=recipe.n2v2)
    train_denoiser(job, events, recipe)
    seen = replace(recipe, prepare=lambda patches, _: unhidden(patches, volume=recipe.conv_dims == 3))  # noqa: PLR2004
    if job.params["settle"]:
        settle(job, seen, "mean")
    report_baseline(job, events, seen)


def predict(job: Job, events: Events) -> None:
    """Predict every stack of the job from the checkpoint."""
    check(job)
    predict_all(job, events)


def check(job: Job) -> None:
    """Refuse params that do not fit together.

    Raises
    ------
    JobRefused
        With the param, what was expected and what was got.
    """
    check_masking(job.params)
    if job.params["struct_n2v_axes"] != "none":
        _check_struct(job.params)


def _check_struct(params: dict) -> None:
    if params["use_augmentations"]:
        message = "use_augmentations: expected false with struct_n2v_axes, as turning a patch turns its noise, got true"
        raise JobRefused(message)
    if params["use_n2v2"] and params["struct_n2v_span"] > params["roi_size"]:
        message = (
            f"struct_n2v_span: expected at most roi_size ({params['roi_size']}) with use_n2v2, "
            f"got {params['struct_n2v_span']}"
        )
        raise JobRefused(message)


def unhidden(patches: torch.Tensor, *, volume: bool) -> Example:
    """Return patches as prediction sees them: whole, and to be given back with their mean."""
    batch = patches[:, None] if volume else patches
    return Example(source=batch, target=batch)


def recipe_of(job: Job) -> Recipe:
    """Return what Noise2Void adds to the training of a UNet: upstream's hiding of pixels, and its loss there."""
    params = job.params
    hide = masking(params)
    volume = params["patch_size_z"] is not None

    def prepare(patches: torch.Tensor, rng: torch.Generator) -> Example:
        batch = unhidden(patches, volume=volume).source
        source, target, mask = hide(batch, rng)
        while not mask.any():  # a small patch may hide no pixel at all, and its loss would be 0 / 0
            source, target, mask = hide(batch, rng)
        return Example(source=source, target=target, mask=mask)

    return Recipe(
        conv_dims=3 if volume else 2,
        n2v2=params["use_n2v2"],
        window=(params["patch_size_z"] or 1, params["patch_size"], params["patch_size"]),
        prepare=prepare,
        loss=lambda output, example: n2v_loss(output, example.target, example.mask),
    )
