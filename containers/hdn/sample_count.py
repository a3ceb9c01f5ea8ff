"""How many samples a movie needs: until sampling adds little to the noise that its prediction has anyway.

A few pairs of frames tell before the movie is predicted: what differs between the predictions of two consecutive
frames is the noise of the result and what sampling adds to it, which the spread of the samples gives alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from movie_prediction import predict_tile, tiles_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.stacks import Stack
    from movie_prediction import Request
    from posterior import Posterior
    from sample_mean import SampleMean

PILOT_SAMPLES = 8  # of each frame of a pair, and the fewest that a result is made of
_PAIRS = 8  # of consecutive frames, spread over the movie
_WORTH_A_PILOT = 2 * PILOT_SAMPLES  # fewer samples leave too little to save
_MEDIAN_SQUARE = 0.4549  # of a normal number with variance 1
_MEDIAN_VARIANCE = 0.9065  # of 8 of them: the median of chi squared with 7 degrees of freedom, over 7


class Noise(NamedTuple):
    """Variances of a typical pixel, the median over pixels and pairs of frames, squared intensity units.

    Parameters
    ----------
    samples : float
        Of single samples around their mean.
    result : float
        Of the mean of infinitely many samples, from frame to frame.
    """

    samples: float
    result: float


def fit_count(
    posterior: Posterior, request: Request, stack: Stack, share: float | None, tell: Callable[[str], None]
) -> Request:
    """Return the request with as many samples as a movie needs, at most those that were asked for.

    Parameters
    ----------
    posterior : Posterior
        Trained network.
    request : Request
        What was asked for.
    stack : Stack
        Noisy movie, consecutive frames.
    share : float or None
        What sampling may add to the variance of the noise of the result; None draws all samples.
    tell : callable
        Told how many samples are drawn, and why.
    """
    if share is None or request.mmse_count < _WORTH_A_PILOT or stack.shape[0] < 2 * _PAIRS:
        return request
    noise = measure_noise(posterior, request, stack)
    count = needed(noise, share, max(request.save_samples, PILOT_SAMPLES), request.mmse_count)
    tell(
        f"{stack.path.name}: {count} samples of at most {request.mmse_count}; from frame to frame the noise of the "
        f"result is {math.sqrt(max(noise.result, 0.0)):.4g}, and a sample adds {math.sqrt(noise.samples):.4g} "
        "(intensity units)"
    )
    return replace(request, mmse_count=count)


def needed(noise: Noise, share: float, least: int, most: int) -> int:
    """Return how many samples add at most a share of the noise of the result, within bounds.

    >>> needed(Noise(samples=4.0, result=2.0), 0.25, 8, 50)
    8
    >>> needed(Noise(samples=4.0, result=0.5), 0.25, 8, 50)
    32
    """
    if not noise.result > 0:
        return most
    return min(most, max(least, math.ceil(noise.samples / (share * noise.result))))


def measure_noise(posterior: Posterior, request: Request, stack: Stack) -> Noise:
    """Predict pairs of consecutive frames from a few samples each, and tell sampling from the noise of the result."""
    pilot = replace(request, mmse_count=PILOT_SAMPLES, save_samples=0)
    found = []
    for first in np.linspace(0, stack.shape[0] - 2, _PAIRS).astype(int):
        pair = [list(_tiles(posterior, pilot, stack, int(first) + step)) for step in (0, 1)]
        squares = [np.square(late.mean - early.mean).ravel() / 2 for early, late in zip(*pair, strict=True)]
        variances = [tile.variance.ravel() for tiles in pair for tile in tiles]
        found.append([np.median(np.concatenate(values)) for values in (variances, squares)])
    spread, both = np.median(found, axis=0) / (_MEDIAN_VARIANCE, _MEDIAN_SQUARE)
    return Noise(samples=float(spread), result=float(both - spread / PILOT_SAMPLES))


def _tiles(posterior: Posterior, request: Request, stack: Stack, number: int) -> Iterator[SampleMean]:
    pixels = stack.frames(number, number + 1)[0]
    for blocks in product(*tiles_of(request, pixels.shape)):
        yield predict_tile(posterior, request, pixels, number, blocks)()
