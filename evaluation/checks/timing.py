"""The checks behind the light *time*: when transients are, how wide, and whether every frame is in its place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .lights import Band, Check, Light, Topic, about_zero, at_least, at_most, judged
from .transients import NO_CELLS, measured

if TYPE_CHECKING:
    from .evidence import Evidence
    from .transients import Transients


def moves(found: Transients) -> Check:
    """Whether x moves in active patches: var(x) at least 2 % of the signal's. Planted: a still picture."""
    known = math.isfinite(found.amplitude.value)
    return judged(
        "moves",
        Topic.TIME,
        float(not found.still) if known else math.nan,
        0.0,
        at_least(1, 1),
        unit="",
        sentences={
            Light.PASS: "The output moves where the raw movie does.",
            Light.FAIL: "The output stands still where the raw movie moves.",
            Light.NOT_TESTED: NO_CELLS,
        },
    )


def delay(found: Transients) -> Check:
    """Shift d at which C_cc(k + d) fits C_xy best, frames. Band -0.25 to 0.25. Planted: one frame late."""
    return measured(
        "delay",
        Topic.TIME,
        found.delay_frames,
        about_zero(0.25, 0.4),
        unit="frames",
        good="Transients are when they were.",
        bad="Transients come later (above 0) or earlier than in the raw movie.",
    )


def width(found: Transients) -> Check:
    """Area over peak of C_xy, over that of C_cc. Band 0.88 to 1.12. Planted: decays half as long again."""
    band = Band(low=0.88, high=1.12, fail_low=0.8, fail_high=1.2)
    return measured(
        "width",
        Topic.TIME,
        found.width,
        band,
        unit="of the raw width",
        good="Transients are as wide as they were.",
        bad="Transients are wider (above 1) or narrower than in the raw movie.",
    )


def unexplained(found: Transients) -> Check:
    """Share of the signal's variance in y - x / height beyond the noise. Band up to 0.1. Planted: a running mean."""
    return measured(
        "left behind",
        Topic.TIME,
        found.unexplained,
        Band(low=-0.1, high=0.1, fail_high=0.2),
        unit="of the signal",
        good="What was taken out of active cells is noise.",
        bad="What was taken out of active cells holds their transients: they were smeared, moved or reshaped.",
    )


def repeated(evidence: Evidence) -> Check:
    """Count frames of x equal to the frame before where y differs. Band 0. Planted: a frame lost and one doubled."""
    return judged(
        "repeated frames",
        Topic.TIME,
        float(evidence.figures.repeated),
        0.0,
        at_most(0, 0),
        unit="frames",
        sentences={
            Light.PASS: "No frame is a copy of the one before.",
            Light.FAIL: "Frames are copies of the frame before: frames were lost or doubled.",
        },
    )


def ends(evidence: Evidence) -> Check:
    """Noise taken out of the first or last 10 frames over that of the others. Band 0.8 to 1.25. Planted: raw ends."""
    figures = evidence.figures
    usable = figures.rest > 0 and not evidence.not_denoised
    ratios = [figures.first / figures.rest, figures.last / figures.rest] if usable else [math.nan]
    value = max(ratios, key=lambda ratio: abs(math.log(max(ratio, 1e-9))))
    return judged(
        "ends",
        Topic.TIME,
        value,
        0.0,
        Band(low=0.8, high=1.25, fail_low=0.5, fail_high=2),
        unit="of the other frames",
        sentences={
            Light.PASS: "The first and last frames were denoised like the others.",
            Light.FAIL: "The first or last frames were denoised otherwise than the rest; leave them out.",
            Light.NOT_TESTED: "The noise is still there, or the movie is too short.",
        },
    )
