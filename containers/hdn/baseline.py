"""The mean of what a trained network gives: what training left of an offset is taken off, and the rest is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from careamics.models.lvae.lvae import LadderVAE

    from patch_source import PatchSource, Scale

_BATCHES, _BATCH = 8, 8  # the mean of 64 patches of 64 x 64 pixels is known to 0.1 %
SETTLING, REPORTED = 0xBA5E, 0xBA5F  # keep these random numbers apart from those of training


def means_of(network: LadderVAE, source: PatchSource, scale: Scale, *purpose: int) -> tuple[float, float]:
    """Return the mean of patches and that of what a network makes of them, a sample each, intensity units.

    Parameters
    ----------
    network : LadderVAE
        Trained; left in evaluation mode.
    source : PatchSource
        Where the patches come from.
    scale : Scale
        As in training.
    *purpose : int
        Seed of the job, and what for.
    """
    network.eval()
    device = next(network.parameters()).device
    torch.manual_seed(purpose[0])
    means = []
    for number in range(_BATCHES):
        noisy = source.batch(_BATCH, *purpose, number)
        with torch.no_grad():
            image, _ = network(noisy.to(device))
        means.append([float(part.mean(dtype=torch.float64)) for part in (noisy, image)])
    before, after = (scale.mean + scale.std * sum(column) / _BATCHES for column in zip(*means, strict=True))
    return before, after
