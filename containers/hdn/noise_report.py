"""What a report needs to plot a noise model: variance against signal, and histograms beside the fitted density."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noise_estimate import binned
from noise_models import AffineNoise

if TYPE_CHECKING:
    from noise_choice import Choice
    from noise_models import MixtureNoise
    from noise_pairs import Pairs

_LEVELS = (0.05, 0.35, 0.65, 0.95)  # quantiles of the signal at which histograms are taken
_BAND = 0.03  # quantiles to both sides that count as the same level
_BARS, _REACH = 61, 4.0  # bars of a histogram, and standard deviations it reaches to
_POINTS = 50  # of the fitted curve


def noise_report(choice: Choice, camera_offset: float) -> dict[str, Any]:
    """Describe a noise model for plots.

    Parameters
    ----------
    choice : Choice
        The noise model and the data behind it.
    camera_offset : float
        Intensity of a pixel without light.

    Returns
    -------
    dict
        kind; gain, read_noise, zero_variance_signal (intensity units, null where there is none; of a mixture those of
        the line through its variance); `curve` and `points`:
        signal and variance (squared intensity units) of the fit and of the data; `densities`: per signal level the
        centres of the bars, the histogram of noisy - signal and the fitted density, both per intensity unit.
    """
    return {
        **_figures(choice, camera_offset),
        "curve": _curve(choice),
        "points": _points(choice),
        "densities": _densities(choice),
    }


def _figures(choice: Choice, camera_offset: float) -> dict[str, Any]:
    fit = choice.noise_model
    if isinstance(fit, AffineNoise):
        errors = {"gain_error": fit.gain_error, "variance_at_zero_error": fit.variance_at_zero_error}
        line, own = fit, {"kind": "affine" if fit.gain else "gaussian", **errors}
    else:
        line = _line_through(fit, choice.pairs)
        own = {"kind": "gmm", "components": len(fit.means), "min_sigma": float(np.sqrt(fit.min_variance))}
    return {
        **own,
        "gain": line.gain,
        "variance_at_zero": line.variance_at_zero,
        "camera_offset": camera_offset,
        "read_noise": line.read_noise(camera_offset),
        "zero_variance_signal": -line.variance_at_zero / line.gain if line.gain else None,
        "unit": "intensity unit of the stacks; variances are its square",
    }


def _line_through(fit: MixtureNoise, pairs: Pairs) -> AffineNoise:
    """Return the line that the variance of a mixture follows best, every pixel counting the same."""
    signal = np.linspace(fit.signal_low, fit.signal_high, _POINTS)
    if len(pairs.signal):
        signal = np.quantile(pairs.signal, np.linspace(0, 1, _POINTS))
    slope, level = np.polyfit(signal, fit.variance(signal), 1)
    return AffineNoise(variance_at_zero=float(level), gain=float(slope), min_variance=fit.min_variance)


def _curve(choice: Choice) -> dict[str, list[float]]:
    if not len(choice.pairs.signal):
        return {"signal": [], "variance": []}
    signal = np.linspace(*np.quantile(choice.pairs.signal, [0.001, 0.999]), _POINTS)
    return {"signal": signal.tolist(), "variance": choice.noise_model.variance(signal).tolist()}


def _points(choice: Choice) -> dict[str, list[float]]:
    if choice.estimate is not None:
        signal, variance, error = binned(choice.estimate.windows)
    else:
        signal, variance, error = _binned_pairs(choice.pairs)
    return {"signal": signal.tolist(), "variance": variance.tolist(), "error": error.tolist()}


def _binned_pairs(pairs: Pairs, bins: int = 32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.argsort(pairs.signal, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group) > 1]
    squares = [(pairs.noisy[group] - pairs.signal[group]) ** 2 for group in groups]
    signal = np.array([pairs.signal[group].mean() for group in groups])
    error = np.array([values.std() / np.sqrt(len(values)) for values in squares])
    return signal, np.array([values.mean() for values in squares]), error


def _densities(choice: Choice) -> list[dict[str, Any]]:
    residual = choice.pairs.noisy - choice.pairs.signal
    found = []
    for level in _LEVELS if len(residual) else ():
        low, high = np.quantile(choice.pairs.signal, [level - _BAND, level + _BAND])
        values = residual[(choice.pairs.signal >= low) & (choice.pairs.signal <= high)]
        signal = (low + high) / 2
        reach = _REACH * float(np.sqrt(choice.noise_model.variance(np.array([signal]))[0]))
        edges = np.linspace(-reach, reach, _BARS + 1)
        histogram = np.histogram(values, edges)[0] / (len(values) * (edges[1] - edges[0]))
        centres = (edges[1:] + edges[:-1]) / 2
        at = torch.full((_BARS,), signal, dtype=torch.float64)
        fitted = choice.noise_model.log_density(torch.from_numpy(centres), at).exp()
        found.append(
            {
                "signal": float(signal),
                "pixels": len(values),
                "residual": centres.tolist(),
                "histogram": histogram.tolist(),
                "fitted": fitted.tolist(),
            }
        )
    return found
