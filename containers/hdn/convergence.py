"""Did training end with a denoiser? Judged on pixels that the network does not see.

Some pixels of a patch are replaced by neighbours; how well the network restores the values that were there is the only
error that noise in the input cannot flatter. The same pixels, left replaced, are what no denoising at all scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.seeding import generator

if TYPE_CHECKING:
    from careamics.models.lvae.lvae import LadderVAE

    from noise_models import NoiseModel
    from patch_source import PatchSource, Scale

_PATCHES, _BATCH = 32, 8
_SAMPLES = 4  # averaged: a single sample carries the spread of the posterior as error
_HIDDEN_SHARE = 0.01  # of the pixels; few enough that their neighbours are real
_REACH = 2  # pixels to the neighbour that takes a hidden pixel's place
_COLLAPSED = 1e-4  # nats per pixel, all layers; below, the latents say nothing about the image
_AS_GOOD_AS_FREE = 2  # times the free bits: without a use for them latents hover around what costs nothing
_EXPLAINED = 0.1  # share of the signal that such a network must restore nevertheless
_SOME_SIGNAL = 0.05  # variance of the signal over that of the noise above which a constant is no answer
_HIDDEN = 0x41DDE  # keeps these random numbers apart from those of training


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """How a trained network does on hidden pixels; mean squared errors in units of the variance of all pixels.

    Parameters
    ----------
    restored : float
        Error of the mean of 4 samples.
    identity : float
        Error of the neighbours that were put in.
    constant : float
        Error of the mean of all hidden pixels.
    noise : float
        Variance of the noise, what a perfect denoiser scores: by the noise model, or half the mean squared difference
        of neighbouring pixels where that is less, as a noise model that is too wide would hide all signal.
    divergence : list of float
        Kullback-Leibler divergence of each layer, bottom first, nats per pixel.
    free : float
        Divergence of all layers together that costs nothing, nats per pixel.
    skipped : int
        Training steps left out because a number was not finite.
    """

    restored: float
    identity: float
    constant: float
    noise: float
    divergence: list[float]
    free: float
    skipped: int

    @property
    def sentence(self) -> str:
        """The figures in words."""
        return (
            f"mean squared error on hidden pixels {self.restored:.4g}, of neighbours {self.identity:.4g}, "
            f"of a constant {self.constant:.4g}, noise {self.noise:.4g}; "
            f"divergence per layer {', '.join(f'{value:.3g}' for value in self.divergence)} nats per pixel, "
            f"{self.free:.3g} in all are free; {self.skipped} steps left out"
        )

    @property
    def collapsed(self) -> bool:
        """Whether the latents do not depend on the image although there is signal in it."""
        signal, told = self.constant - self.noise, sum(self.divergence)
        useless = self.restored > self.constant - _EXPLAINED * signal
        silent = told < _COLLAPSED or (told < _AS_GOOD_AS_FREE * self.free and useless)
        return silent and signal > _SOME_SIGNAL * self.noise

    @property
    def failure(self) -> str | None:
        """A sentence where there is no denoiser: not finite, worse than no denoising, or blind to the image."""
        if not np.isfinite([self.restored, *self.divergence]).all():
            return f"the network gives values that are not finite: {self.sentence}"
        if self.restored >= self.identity:
            return f"hidden pixels are restored worse than without denoising: {self.sentence}"
        if self.collapsed:
            return (
                f"posterior collapse: the latents do not depend on the image, although it holds signal: {self.sentence}"
            )
        return None


def gather_evidence(  # noqa: PLR0913 - all that an ending is judged by
    network: LadderVAE,
    source: PatchSource,
    noise_model: NoiseModel,
    scale: Scale,
    *,
    seed: int,
    free_bits: float,
    skipped: int,
) -> Evidence:
    """Hide pixels of patches and let the network restore them.

    Parameters
    ----------
    network : LadderVAE
        Trained; left in evaluation mode.
    source : PatchSource
        Patches to judge by, best not trained on.
    noise_model, scale
        As in training.
    seed : int
        Seed of the job.
    free_bits : float
        As in training, nats per layer and patch.
    skipped : int
        Training steps left out.
    """
    network.eval()
    device = next(network.parameters()).device
    torch.manual_seed(seed)
    rows = []
    for index in range(_PATCHES // _BATCH):
        noisy = source.batch(_BATCH, seed, _HIDDEN, index)
        shown, hidden = _hide(noisy.numpy(), generator(seed, _HIDDEN, index))
        with torch.no_grad():
            outputs = [network(torch.from_numpy(shown).to(device)) for _ in range(_SAMPLES)]
        restored = torch.stack([image for image, _ in outputs]).mean(0).cpu().numpy()
        divergence = torch.stack([layer.mean() for layer in outputs[0][1]["kl"]]).cpu().numpy() / noisy[0].numel()
        rough = np.mean(np.diff(noisy.numpy()) ** 2) / 2
        rows.append((noisy.numpy()[hidden], shown[hidden], restored[hidden], divergence, rough))
    truth, replaced, restored, divergences, roughs = (np.stack(column) for column in zip(*rows, strict=True))
    variance = noise_model.variance(restored * scale.std + scale.mean) / scale.std**2
    return Evidence(
        restored=float(np.mean((restored - truth) ** 2)),
        identity=float(np.mean((replaced - truth) ** 2)),
        constant=float(truth.var()),
        noise=float(min(variance.mean(), roughs.mean())),
        divergence=[float(value) for value in divergences.mean(axis=0)],
        free=free_bits * divergences.shape[1] / noisy[0].numel(),
        skipped=skipped,
    )


def _hide(noisy: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Replace pixels by neighbours: return the patches (n, 1, Y, X) and a mask of equally many pixels in each."""
    count, _, height, width = noisy.shape
    hidden = np.zeros(noisy.shape, bool)
    shown = noisy.copy()
    number = max(1, int(_HIDDEN_SHARE * height * width))
    around = [(y, x) for y in range(-_REACH, _REACH + 1) for x in range(-_REACH, _REACH + 1) if (y, x) != (0, 0)]
    for index in range(count):
        rows, columns = np.divmod(rng.choice(height * width, number, replace=False), width)
        steps = np.asarray(around)[rng.integers(0, len(around), number)]
        near_rows = _inside(rows, steps[:, 0], height)
        near_columns = _inside(columns, steps[:, 1], width)
        shown[index, 0, rows, columns] = noisy[index, 0, near_rows, near_columns]
        hidden[index, 0, rows, columns] = True
    return shown, hidden


def _inside(position: np.ndarray, step: np.ndarray, length: int) -> np.ndarray:
    """Step aside, and back the other way where that leaves the axis: a pixel never replaces itself."""
    there = position + step
    return np.where((there < 0) | (there >= length), position - step, there)
