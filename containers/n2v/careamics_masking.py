"""Hide pixels of patches and compare there, as whichever version of careamics is installed does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from careamics_unet import VERSION
from contract.errors import JobRefused
from without_init import STUDY

if VERSION == STUDY:
    from careamics.losses.fcn.losses import n2v_loss
    from careamics.transforms.n2v_manipulate import N2VManipulate
else:
    from careamics.config.algorithms.n2v_manipulation import N2VManipulateConfig
    from careamics.lightning.modules.n2v_utils.n2v_manipulate import N2VManipulate
    from careamics.losses.n2v_losses import n2v_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    Hide = Callable[[torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]

__all__ = ["check_masking", "masking", "n2v_loss"]

_SEEDS = 2**63 - 1  # of the numpy generators of the study's version


def check_masking(params: dict) -> None:
    """Refuse what the study did not do, and what its version of careamics does wrongly.

    That version draws structN2V's values from a generator without a seed, and keeps the topmost skip with N2V2.

    Raises
    ------
    JobRefused
        With the param, what was expected and what was got.
    """
    if VERSION == STUDY:
        for name, expected in (("use_n2v2", False), ("struct_n2v_axes", "none")):
            if params[name] != expected:
                message = f"{name}: expected {expected} in environment study, as in the study, got {params[name]}"
                raise JobRefused(message)


def masking(params: dict) -> Hide:
    """Return upstream's hiding of pixels as a function of a batch and a seeded generator.

    Parameters
    ----------
    params : dict
        Of the job.

    Returns
    -------
    callable
        Normalised patches of shape (B, 1, y, x) or (B, 1, z, y, x), generator, both in main memory -> patches with
        pixels hidden, the patches as they were, and where the loss looks, all of the same shape.
    """
    return _as_the_study(params) if VERSION == STUDY else _as_now(params)


def _as_now(params: dict) -> Hide:
    struct = {"axes": params["struct_n2v_axes"], "span": params["struct_n2v_span"]}
    config = N2VManipulateConfig(  # as upstream's factory create_advanced_n2v_config makes it
        strategy="median" if params["use_n2v2"] else "uniform",
        roi_size=params["roi_size"],
        masked_pixel_percentage=params["masked_pixel_percentage"],
        struct_mask=None if params["struct_n2v_axes"] == "none" else struct,
        seed=1,  # never used: every step brings a generator of its own
    )
    manipulate = N2VManipulate(config, device="cpu")

    def hide(batch: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        manipulate.rng = rng
        return manipulate(batch)

    return hide


def _as_the_study(params: dict) -> Hide:
    """Hide pixels patch by patch in numpy; a hidden pixel that got its own value back is not looked at."""
    manipulate = N2VManipulate(
        roi_size=params["roi_size"], masked_pixel_percentage=params["masked_pixel_percentage"], strategy="uniform"
    )

    def hide(batch: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        seed = torch.randint(_SEEDS, (1,), generator=rng)
        manipulate.rng = np.random.default_rng(int(seed))
        parts = [manipulate(patch) for patch in batch.numpy()]
        source, _, mask = (torch.from_numpy(np.stack(part)) for part in zip(*parts, strict=True))
        return source, batch, mask

    return hide
