"""What depends on the training and not on the data: other seeds, and trainings on odd and on even frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .evidence import LEAST_PATCHES, NOTHING, Estimate, jackknife
from .lights import Topic, at_least, at_most
from .places import traces_in
from .planting import EveryOther
from .sampling import LEAST_FRAMES, robust_sd, stretches, without_trend
from .transients import measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from evaluation.metrics import Frames

    from .lights import Check
    from .places import Places
    from .sampling import Floats


_OF_MEDIAN = 1.2533  # of a normal distribution: standard error of the median over that of the mean


def judge_seeds(trainings: Sequence[Frames], places: Places) -> Check:
    """Judge how far trainings with other seeds disagree at active places, in units of what moves there (median).

    Parameters
    ----------
    trainings : sequence of Frames
        The same movie denoised by trainings that differ in their seed only, each (T, Y, X).
    places : Places
        Where the raw movie is active.
    """
    apart, moves = np.zeros(len(places.active)), np.zeros(len(places.active))
    for start, stop in stretches(len(trainings[0])):
        all_of_them = np.stack(
            [without_trend(traces_in(movie, start, stop, places, places.active)) for movie in trainings]
        )
        apart += all_of_them.var(axis=0, ddof=1).sum(axis=0)
        moves += (all_of_them.mean(axis=0) ** 2).sum(axis=0)
    return measured(
        "seeds",
        Topic.INVENTED,
        _median(np.sqrt(apart[moves > 0] / moves[moves > 0])),
        at_most(0.2, 0.4),
        unit="of what moves",
        good="Trainings with other seeds show the same activity.",
        bad="Trainings with other seeds show other activity: part of it is not in the data.",
    )


def _median(values: Floats) -> Estimate:
    """Return the median over places and its standard error, that of a normal distribution as wide."""
    if len(values) < LEAST_PATCHES:
        return NOTHING
    middle = float(np.median(values))
    return Estimate(value=middle, error=_OF_MEDIAN * float(robust_sd(values)) / math.sqrt(len(values)))


def judge_halves(raw: Frames, even: Frames, odd: Frames, places: Places) -> Check:
    """Judge how well trainings on every other frame agree, less how well the raw frames themselves do.

    Traces of active places in frames 0, 2, 4, ... are correlated with those in frames 1, 3, 5, ..., which a straight
    line brings to the same times, and the correlation r becomes 2 r / (1 + r) (Spearman and Brown).

    Parameters
    ----------
    raw : Frames
        The raw movie, (T, Y, X).
    even, odd : Frames
        Its frames 0, 2, ... and 1, 3, ..., each denoised by a training on them alone.
    places : Places
        Where the raw movie is active.
    """
    if len(even) < LEAST_FRAMES:
        return _halves(NOTHING)
    sums = np.zeros((2, 3, len(places.active)))
    for start, stop in stretches(len(even)):
        for kind, (first, second) in enumerate(((even, odd), (EveryOther(raw, 0), EveryOther(raw, 1)))):
            before, after = (traces_in(movie, start, stop, places, places.active) for movie in (first, second))
            one, other = without_trend(before[1:]), without_trend((after[1:] + after[:-1]) / 2)
            sums[kind] += [(one * other).sum(axis=0), (one**2).sum(axis=0), (other**2).sum(axis=0)]
    patches = np.flatnonzero((sums[:, 1:] > 0).all(axis=(0, 1)))
    return _halves(jackknife(patches, lambda some: _reliability(sums[0], some) - _reliability(sums[1], some)))


def _halves(found: Estimate) -> Check:
    return measured(
        "halves",
        Topic.INVENTED,
        found,
        at_least(-0.05, -0.2),
        unit="above the raw frames",
        good="Trainings on odd and on even frames agree at least as well as the raw frames do.",
        bad="Trainings on odd and on even frames agree less than the raw frames do: part of what they show is made up.",
    )


def _reliability(sums: Floats, patches: NDArray[np.int64]) -> float:
    together, first, second = (float(one[patches].sum()) for one in sums)
    r = together / np.sqrt(first * second)
    return float(2 * r / (1 + r)) if r > 0 else float(r)
