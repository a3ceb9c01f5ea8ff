"""What HDN minimises: how unlikely the noisy pixels are given the reconstruction, plus the cost of the latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from careamics.models.lvae.lvae import LadderVAE

    from noise_models import NoiseModel
    from patch_source import Scale


class Terms(NamedTuple):
    """The parts of the loss.

    Parameters
    ----------
    reconstruction : torch.Tensor, scalar
        Mean of -log p(noisy | reconstruction), nats per pixel.
    divergence : torch.Tensor of shape (layers,)
        Kullback-Leibler divergence of each layer, bottom first, nats per pixel of the image; at least the free bits.
    """

    reconstruction: torch.Tensor
    divergence: torch.Tensor

    def loss(self, weight: float) -> torch.Tensor:
        """Return the negative evidence lower bound with the divergence weighted, nats per pixel."""
        return self.reconstruction + weight * self.divergence.sum()


def evidence(network: LadderVAE, noisy: torch.Tensor, noise_model: NoiseModel, scale: Scale, free_bits: float) -> Terms:
    """Run the network on a batch and compare.

    Parameters
    ----------
    network : LadderVAE
        Not in prediction mode.
    noisy : torch.Tensor of shape (n, 1, Y, X)
        Standardised intensities.
    noise_model : NoiseModel
        In intensity units; both arguments are put back into them.
    scale : Scale
        Standardisation.
    free_bits : float
        Divergence of a layer over a patch below which nothing is gained, nats.
    """
    reconstruction, latents = network(noisy)
    # float32 whatever the network ran in: a variance of squared intensities overflows nothing but needs the digits
    reconstruction = reconstruction.float()
    residual, signal = (noisy - reconstruction) * scale.std, reconstruction * scale.std + scale.mean
    unlikely = -noise_model.log_density(residual, signal).mean()
    per_layer = torch.stack([layer.float() for layer in latents["kl"]])
    divergence = per_layer.clamp(min=free_bits).mean(dim=1) / (noisy.shape[-2] * noisy.shape[-1])
    return Terms(unlikely, divergence)


def divergence_weight(number: int, steps: int, warm_up: float) -> float:
    """Return the weight of the divergence in a step: it rises from 0 to 1 over the share `warm_up` of all steps."""
    rising = warm_up * steps
    return min(1.0, (number + 1) / rising) if rising else 1.0
