"""What a trained denoiser made of noise without activity: a denoiser that draws events from it invents them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .lights import Light, Topic, at_most, judged
from .places import traces
from .sampling import coarse, robust_sd, stretches, without_trend

if TYPE_CHECKING:
    from evaluation.metrics import Frames

    from .lights import Check
    from .places import Places
    from .sampling import Floats

_EVENT_SD = 5.0  # robust standard deviations above which noise is called an event
_SURROGATES = 20
_MOST_PATCHES = 4096
_SEED = 20261128


def judge_noise(noise: Frames, denoised: Frames, places: Places) -> Check:
    """Judge the denoised movie of noise alone: events beyond those of noise that is as smooth.

    Events are rises above 5 robust standard deviations of the trace of a patch. Surrogates are traces of the noise in
    random order, filtered to the mean spectrum over time of the result, so a smooth result is compared with smooth
    noise of the same detector.

    Parameters
    ----------
    noise, denoised : Frames
        A movie of noise without activity and what the denoiser made of it, (T, Y, X).
    places : Places
        Size of patches.
    """
    found, counts = 0, np.zeros(_SURROGATES)
    random = np.random.default_rng(_SEED)
    for start, stop in stretches(len(denoised)):
        before, after = (
            without_trend(_all_traces(coarse(movie, start, stop, places.factor), places.side))
            for movie in (noise, denoised)
        )
        found += _events(after)
        counts += [_events(_surrogate(before, after, random)) for _ in range(_SURROGATES)]
    usual = float(counts.mean())
    error = math.sqrt(float(counts.var()) + usual + 1) / (usual + 1)
    return judged(
        "events in noise",
        Topic.INVENTED,
        (found + 1) / (usual + 1),
        error,
        at_most(1.5, 4),
        unit="times those of smooth noise",
        sentences={
            Light.PASS: "Noise without activity came back without activity.",
            Light.FAIL: "Noise without activity came back with events that look like activity.",
        },
    )


def _all_traces(block: Floats, side: int) -> Floats:
    """Return the traces of patches that tile the frame, at most 4096 evenly chosen: shape (L, R)."""
    middles = np.stack(
        np.meshgrid(
            np.arange(side // 2, block.shape[1] - side // 2, side),
            np.arange(side // 2, block.shape[2] - side // 2, side),
            indexing="ij",
        ),
        axis=-1,
    ).reshape(-1, 2)
    chosen = np.unique(np.linspace(0, len(middles) - 1, min(len(middles), _MOST_PATCHES)).round().astype(int))
    return traces(block, middles[chosen], side)


def _events(block: Floats) -> int:
    """Count the times that traces rise above 5 robust standard deviations."""
    sd = robust_sd(block)
    above = block - np.median(block, axis=0) > _EVENT_SD * np.maximum(sd, 1e-9 * np.abs(block).max(initial=1.0))
    return int(above[0].sum() + (above[1:] & ~above[:-1]).sum())


def _surrogate(noise: Floats, result: Floats, random: np.random.Generator) -> Floats:
    """Return the noise in random order with the mean spectrum of the result."""
    power = np.mean(np.abs(np.fft.rfft(result, axis=0)) ** 2, axis=1)
    spectrum = np.fft.rfft(random.permuted(noise, axis=0), axis=0)
    return np.asarray(np.fft.irfft(spectrum * np.sqrt(power)[:, None], n=len(noise), axis=0))
