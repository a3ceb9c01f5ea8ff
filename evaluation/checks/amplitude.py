"""The checks behind the light *amplitude*: baseline, range, and the height of transients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .lights import Band, Check, Light, Topic, about_zero, at_least, at_most, judged
from .noise_law import noise_law
from .sampling import binned
from .structure import tile_side
from .transients import measured

if TYPE_CHECKING:
    from .evidence import Evidence
    from .transients import Transients

_MOST_LEVELS = 65536.0


def offset(evidence: Evidence) -> Check:
    """Median over squares of 16 pixels of mean(x - y), percent of the median brightness: above 0 is brighter.

    Band -0.5 to 0.5 %: it moves dF/F by as much. Error from the jumps of the frames' means. Planted: an offset of 1 %.
    """
    brightness = float(np.median(evidence.brightness))
    shift = -float(np.median(binned(evidence.maps.residual, tile_side(evidence))))
    value = 100 * shift / brightness if brightness > 0 else math.nan
    error = 125 * evidence.figures.mean_sd / math.sqrt(evidence.figures.frames) / max(brightness, 1e-300)
    return judged(
        "offset",
        Topic.AMPLITUDE,
        value,
        error,
        about_zero(0.5, 0.8),
        unit="% of brightness",
        sentences={
            Light.PASS: "The baseline is where it was.",
            Light.DOUBT: "The baseline may have moved; F0 and dF/F move with it.",
            Light.FAIL: "The baseline moved, so F0 and dF/F are not those of the raw movie.",
            Light.NOT_TESTED: "The noise hides an offset of this size.",
        },
    )


def flicker(evidence: Evidence) -> Check:
    """Sd of the jumps of a frame's mean in x beyond those in y, percent of the median brightness.

    Band up to 0.5 %. Planted: a gain that changes by 2 % from frame to frame.
    """
    brightness = float(np.median(evidence.brightness))
    value = 100 * math.sqrt(max(0.0, evidence.figures.flicker)) / brightness if brightness > 0 else math.nan
    return judged(
        "flicker",
        Topic.AMPLITUDE,
        value,
        0.0,
        at_most(0.5, 1.0),
        unit="% of brightness",
        sentences={
            Light.PASS: "Whole frames do not flicker more than in the raw movie.",
            Light.FAIL: "Whole frames flicker more than in the raw movie.",
            Light.NOT_TESTED: "The movie has no brightness to compare with.",
        },
    )


def noise_by_brightness(evidence: Evidence) -> Check:
    """Slope over pixels of var(d r)/2 on the mean, over that of var(d y)/2 and the share of noise taken out.

    Band 0.7 to 1.2: the error of a gain from 1000 frames is 10 %, and activity adds to the raw slope.
    Planted: bright pixels keep half of their noise.
    """
    own = noise_law(evidence.maps.raw, evidence.maps.jump_residual)
    usable = evidence.law.certain and not evidence.not_denoised
    expected = evidence.law.gain * evidence.removed
    value, error = (own.gain / expected, own.error / expected) if usable else (math.nan, math.nan)
    return judged(
        "noise by brightness",
        Topic.AMPLITUDE,
        value,
        error,
        Band(low=0.7, high=1.2, fail_low=0.5, fail_high=1.5),
        unit="of the expected slope",
        sentences={
            Light.PASS: "Bright and dim pixels lost the noise that the detector makes at their brightness.",
            Light.FAIL: "Bright pixels lost more or less than the noise that the detector makes there.",
            Light.NOT_TESTED: "The noise of the raw movie does not grow with brightness, or is still there.",
        },
    )


def in_range(evidence: Evidence) -> Check:
    """Count values that are not finite, or leave the 0.01-99.99 % range of y, and y there, by that range.

    Band 0. Planted: the darkest values wrapped around.
    """
    return judged(
        "range",
        Topic.AMPLITUDE,
        float(evidence.figures.beyond),
        0.0,
        at_most(0, 0),
        unit="values",
        sentences={
            Light.PASS: "No value lies outside of what the raw movie reaches.",
            Light.FAIL: "Values lie far outside of the raw movie: integers that wrapped around, or not a number.",
        },
    )


def levels(evidence: Evidence) -> Check:
    """Whole numbers between the 0.01 and 99.99 % points of x, if it holds no others. Band 8. Planted: rounding."""
    value = math.nan if evidence.not_denoised else min(evidence.figures.levels, _MOST_LEVELS)
    return judged(
        "grey levels",
        Topic.AMPLITUDE,
        value,
        0.0,
        at_least(8, 2),
        unit="levels",
        sentences={
            Light.PASS: "The output has enough grey levels.",
            Light.DOUBT: "The output is rounded to fewer than 8 grey levels, which is as coarse as noise.",
            Light.FAIL: "The output has one grey level.",
            Light.NOT_TESTED: "The noise is still there, and with it the grey levels of the raw movie.",
        },
    )


def height(found: Transients) -> Check:
    """C_xy at its peak (shifts up to 2 frames) over C_cc(0): the height that transients kept.

    Band 0.9 to 1.15; a loss of 20 % fails. Planted: amplitudes times 0.8.
    """
    band = Band(low=0.9, high=1.15, fail_low=0.85, fail_high=1.3)
    return measured(
        "transient height",
        Topic.AMPLITUDE,
        found.amplitude,
        band,
        unit="of the raw height",
        good="Transients are as high as in the raw movie.",
        bad="Transients have another height than in the raw movie.",
    )


def slow(found: Transients) -> Check:
    """Sd of the residual of active patches averaged over 16 frames, over the sd of their signal.

    Band up to 0.1. Planted: a baseline bent into a ramp.
    """
    return measured(
        "slow residual",
        Topic.AMPLITUDE,
        found.slow,
        at_most(0.1, 0.2),
        unit="sd of the signal",
        good="The baseline of active cells follows the raw movie.",
        bad="The baseline of active cells wanders away from the raw movie for a second or more.",
    )
