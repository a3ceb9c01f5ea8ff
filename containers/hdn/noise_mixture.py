"""Fit a mixture of Gaussians to pairs of noisy pixel and signal, until it stops getting better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.errors import DidNotConverge
from contract.seeding import generator
from noise_models import MixtureNoise, mixture_log_density

if TYPE_CHECKING:
    from noise_pairs import Pairs

_CHECK_EVERY = 25  # steps between looks at the held-out pairs
_PATIENCE = 4  # looks without an improvement before the learning rate falls
_RATES = 3  # learning rates, each a tenth of the one before; at the end of the last the fit has converged
_IMPROVEMENT = 1e-5  # nats per pixel; a smaller gain is of no consequence for training
_HELD_OUT = 0.1  # share of the pairs that the fit never sees
_FIT = 0x617  # keeps these random numbers apart from those of other purposes


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureFit:
    """A fitted mixture and how it came about.

    Parameters
    ----------
    noise_model : MixtureNoise
        The fit of the step that describes the held-out pairs best, normally one of the last.
    loss : list of [int, float]
        Step and mean negative log density of the held-out pairs, nats per pixel.
    converged : bool
        Whether it stopped because nothing improved, not because the steps ran out.
    """

    noise_model: MixtureNoise
    loss: list[tuple[int, float]]
    converged: bool


def fit_mixture(  # noqa: PLR0913 - the parameters of a fit
    pairs: Pairs,
    *,
    n_gaussian: int,
    n_coeff: int,
    min_sigma: float,
    learning_rate: float,
    batch_size: int,
    n_epochs: int,
    seed: int,
) -> MixtureFit:
    """Maximise the mean log density of noisy pixels given their signal.

    Parameters
    ----------
    pairs : Pairs
        Noisy pixels and signals, intensity units.
    n_gaussian, n_coeff : int
        Components, and coefficients of the polynomials of the signal.
    min_sigma : float
        Smallest standard deviation of a component, intensity units; the variance is bounded by its square.
    learning_rate, batch_size, n_epochs
        Of Adam; one "epoch" is one batch, as upstream counts them.
    seed : int
        Seed of the batches.

    Returns
    -------
    MixtureFit
        In float64 throughout; intensities are scaled by the spread of the residuals while fitting.

    Raises
    ------
    DidNotConverge
        When the loss is not finite.
    """
    residual, t, scale = _scaled(pairs)
    held = max(1, int(len(residual) * _HELD_OUT))
    weights = [torch.nn.Parameter(start) for start in _start(residual, t, n_gaussian, n_coeff)]
    optimiser = torch.optim.Adam(weights, lr=learning_rate)
    floor = (min_sigma / scale) ** 2
    track = _Track(weights, optimiser, scale)
    for number in range(n_epochs):
        chosen = generator(seed, _FIT, 1, number).integers(held, len(residual), min(batch_size, len(residual) - held))
        index = torch.from_numpy(chosen)
        optimiser.zero_grad()
        loss = -mixture_log_density(residual[index], t[index], *weights, floor).mean()
        loss.backward()
        optimiser.step()
        if (number + 1) % _CHECK_EVERY == 0 or number + 1 == n_epochs:
            with torch.no_grad():
                value = -mixture_log_density(residual[:held], t[:held], *weights, floor).mean().item()
            if track.converged_after(number + 1, value):
                break
    return track.result(floor, float(pairs.signal.min()), float(pairs.signal.max()))


class _Track:
    """Remembers the best weights, goes on from them at a lower rate, and says when that is useless, too."""

    def __init__(self, weights: list[torch.nn.Parameter], optimiser: torch.optim.Optimizer, scale: float) -> None:
        self._weights, self._optimiser, self._scale = weights, optimiser, scale
        self._best, self._stale, self._rates_left = np.inf, 0, _RATES
        self._kept = [weight.detach().clone() for weight in weights]
        self._loss: list[tuple[int, float]] = []

    def converged_after(self, number: int, value: float) -> bool:
        if not np.isfinite(value):
            message = f"noise model: the loss of step {number} is {value}; last finite losses {self._loss[-3:]}"
            raise DidNotConverge(message)
        self._loss.append((number, value + float(np.log(self._scale))))
        self._stale = 0 if value < self._best - _IMPROVEMENT else self._stale + 1
        if value < self._best:
            self._best = value
            self._kept = [weight.detach().clone() for weight in self._weights]
        if self._stale >= _PATIENCE:
            self._lower_rate()
        return not self._rates_left

    def _lower_rate(self) -> None:
        self._rates_left -= 1
        self._stale = 0
        for group in self._optimiser.param_groups:
            group["lr"] *= 0.1
        with torch.no_grad():
            for weight, kept in zip(self._weights, self._kept, strict=True):
                weight.copy_(kept)

    def result(self, floor: float, low: float, high: float) -> MixtureFit:
        means, log_variances, logits = (weight.numpy() for weight in self._kept)
        made = MixtureNoise(
            means=means * self._scale,
            log_variances=log_variances + 2 * np.log(self._scale),
            logits=logits,
            min_variance=floor * self._scale**2,
            signal_low=low,
            signal_high=high,
        )
        return MixtureFit(noise_model=made, loss=self._loss, converged=not self._rates_left)


def _scaled(pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return residuals in units of their spread, signals relative to their range, and that spread."""
    order = generator(0, _FIT).permutation(len(pairs.signal))  # held-out pairs come from everywhere
    residual, signal = (pairs.noisy - pairs.signal)[order], pairs.signal[order]
    scale = float(np.sqrt(np.mean(residual * residual)))
    low, high = signal.min(), signal.max()
    return torch.from_numpy(residual / scale), torch.from_numpy((signal - low) / (high - low)), scale


def _start(residual: torch.Tensor, t: torch.Tensor, n_gaussian: int, n_coeff: int) -> list[torch.Tensor]:
    """Begin with equal weights, means spread over the residuals, and the line their squares follow as variance."""
    slope, level = np.polyfit(t.numpy(), (residual * residual).numpy(), 1)
    means = torch.zeros(n_gaussian, n_coeff, dtype=torch.float64)
    means[:, 0] = torch.linspace(-0.5, 0.5, n_gaussian, dtype=torch.float64) if n_gaussian > 1 else 0.0
    log_variances = torch.full((n_gaussian, n_coeff), -6.0, dtype=torch.float64)
    log_variances[:, 0] = float(np.log(max(level, 0.05)))
    if n_coeff > 1:
        log_variances[:, 1] = float(np.log(max(slope, 0.05)))
    return [means, log_variances, torch.zeros(n_gaussian, n_coeff, dtype=torch.float64)]
