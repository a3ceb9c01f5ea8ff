"""Noise models: how noisy pixels spread around their signal, in the units of the data.

A noise model is a result of its own: it is saved as plain arrays, can be plotted, and serves other runs as their prior.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from contract.errors import JobRefused
from contract.files import atomic

if TYPE_CHECKING:
    from pathlib import Path

_LOG_2PI = math.log(2 * math.pi)


class NoiseModel(Protocol):
    """What training needs of a noise model."""

    def log_density(self, residual: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
        """Return log p(noisy | signal), natural logarithm, density per unit of intensity.

        Parameters
        ----------
        residual : torch.Tensor
            noisy - signal, intensity units; apart from `signal` so that a large camera offset costs no precision.
        signal : torch.Tensor
            Same shape, intensity units.
        """

    def variance(self, signal: np.ndarray) -> np.ndarray:
        """Return the variance of noisy pixels around `signal`, squared intensity units."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineNoise:
    """Gaussian noise whose variance is an affine function of the signal: shot noise and read noise together.

    Parameters
    ----------
    variance_at_zero : float
        Variance where the signal is 0, squared intensity units; negative when the detector has an offset.
    gain : float
        Variance per unit of signal, intensity units: what one photo-electron adds to a pixel. 0 for constant noise.
    min_variance : float
        Variance is never taken below this, squared intensity units.
    gain_error, variance_at_zero_error : float
        Standard errors of the fit, 0 when given and not fitted.
    """

    variance_at_zero: float
    gain: float
    min_variance: float
    gain_error: float = 0.0
    variance_at_zero_error: float = 0.0

    def log_density(self, residual: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
        """Return log p(noisy | signal); the variance passes no gradient, or a network could lower its loss by it."""
        variance = (self.variance_at_zero + self.gain * signal.detach()).clamp(min=self.min_variance)
        return -0.5 * (residual * residual / variance + torch.log(variance) + _LOG_2PI)

    def variance(self, signal: np.ndarray) -> np.ndarray:
        """Return the variance of noisy pixels around `signal`, squared intensity units."""
        return np.maximum(self.variance_at_zero + self.gain * np.asarray(signal), self.min_variance)

    def read_noise(self, camera_offset: float) -> float | None:
        """Return the noise without light, intensity units, or None when the fit gives no variance there.

        Parameters
        ----------
        camera_offset : float
            Intensity of a pixel without light.
        """
        variance = self.variance_at_zero + self.gain * camera_offset
        return math.sqrt(variance) if variance >= 0 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureNoise:
    """Mixture of Gaussians whose means, variances and weights are polynomials of the signal.

    With t = (signal - signal_low) / (signal_high - signal_low), clipped to 0 .. 1, component k has the log weight
    sum_i logits[k, i] t^i (softmax over k), the variance sum_i exp(log_variances[k, i]) t^i and the mean
    signal + sum_i means[k, i] t^i minus the weighted mean of these sums, so that the mixture has the signal as mean.
    It is the family of Prakash et al., Fully unsupervised probabilistic noise2void (10.1109/ISBI45749.2020.9098612).

    Parameters
    ----------
    means, log_variances, logits : ndarray of shape (n_gaussian, n_coeff), float64
        Coefficients; means in intensity units, variances in their square.
    min_variance : float
        No component is narrower than this, squared intensity units.
    signal_low, signal_high : float
        Range of signal it was fitted on.
    """

    means: np.ndarray
    log_variances: np.ndarray
    logits: np.ndarray
    min_variance: float
    signal_low: float
    signal_high: float

    def log_density(self, residual: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
        """Return log p(noisy | signal), summed over the components by logsumexp: far residuals stay finite."""
        kind = {"dtype": residual.dtype, "device": residual.device}
        coefficients = (torch.as_tensor(array, **kind) for array in (self.means, self.log_variances, self.logits))
        t = ((signal - self.signal_low) / (self.signal_high - self.signal_low)).clamp(0, 1)
        return mixture_log_density(residual, t, *coefficients, self.min_variance)

    def variance(self, signal: np.ndarray) -> np.ndarray:
        """Return the variance of noisy pixels around `signal`, squared intensity units."""
        signals = torch.as_tensor(np.asarray(signal, np.float64))
        t = ((signals - self.signal_low) / (self.signal_high - self.signal_low)).clamp(0, 1)
        arrays = (torch.as_tensor(array) for array in (self.means, self.log_variances, self.logits))
        means, variances, log_weights = mixture_components(t, *arrays, self.min_variance)
        return (log_weights.exp() * (variances + means * means)).sum(0).numpy()


def on_device(noise_model: NoiseModel, device: torch.device) -> NoiseModel:
    """Return a noise model for training: its coefficients lie on a device and need not be sent there in every step."""
    if not isinstance(noise_model, MixtureNoise):
        return noise_model
    names = ("means", "log_variances", "logits")
    there = {name: torch.as_tensor(getattr(noise_model, name), dtype=torch.float32, device=device) for name in names}
    return replace(noise_model, **there)


def mixture_components(
    t: torch.Tensor, means: torch.Tensor, log_variances: torch.Tensor, logits: torch.Tensor, min_variance: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return means around the signal, variances and log weights, each of shape (n_gaussian, *t.shape)."""
    weights = torch.log_softmax(_polynomial(logits, t), dim=0)
    variances = _polynomial(log_variances.exp(), t).clamp(min=min_variance)
    shifts = _polynomial(means, t)
    return shifts - (weights.exp() * shifts).sum(0), variances, weights


def mixture_log_density(  # noqa: PLR0913, PLR0917 - the parameters of a mixture
    residual: torch.Tensor,
    t: torch.Tensor,
    means: torch.Tensor,
    log_variances: torch.Tensor,
    logits: torch.Tensor,
    min_variance: float,
) -> torch.Tensor:
    """Return the log density of residuals under the mixture at relative signal `t`, both of any one shape."""
    shifts, variances, log_weights = mixture_components(t, means, log_variances, logits, min_variance)
    off = residual - shifts
    return torch.logsumexp(log_weights - 0.5 * (off * off / variances + torch.log(variances) + _LOG_2PI), dim=0)


def save_noise_model(path: Path, noise_model: AffineNoise | MixtureNoise) -> None:
    """Write a noise model as arrays in an npz without pickle; the same model gives the same bytes."""
    kind = _KIND_OF[type(noise_model)]
    arrays = {field.name: np.asarray(getattr(noise_model, field.name)) for field in fields(noise_model)}
    with atomic(path) as part, part.open("wb") as stream:
        np.savez(stream, kind=np.asarray(kind), **arrays)


def load_noise_model(path: Path) -> AffineNoise | MixtureNoise:
    """Read what `save_noise_model` wrote.

    Raises
    ------
    JobRefused
        When the file is no noise model of this kind.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
        made = _CLASS_OF[str(arrays.pop("kind"))]
        values = {name: array if array.ndim else float(array) for name, array in arrays.items()}
        return made(**values)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        message = f"{path}: expected the noise_model.npz of an hdn run, got {type(error).__name__}: {error}"
        raise JobRefused(message) from error


def _polynomial(coefficients: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Evaluate n_gaussian polynomials of shape (n_gaussian, n_coeff) at t by Horner's rule."""
    columns = coefficients.reshape(*coefficients.shape, *(1,) * t.dim()).unbind(1)
    value = columns[-1].expand(-1, *t.shape)
    for column in reversed(columns[:-1]):
        value = value * t + column
    return value


_CLASS_OF = {"affine": AffineNoise, "mixture": MixtureNoise}
_KIND_OF = {made: kind for kind, made in _CLASS_OF.items()}
