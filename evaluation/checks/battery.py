"""The battery: every cheap check of a denoised movie, and the three lights they add up to.

docs/checks.md lists each check with formula, unit, pass band, source and the planted fault that proves it.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from .evidence import Estimate, Evidence, gather
from .lights import Band, Check, Light, Topic, Verdict, about_zero, at_least, at_most, judged
from .noise_law import noise_law
from .structure import border_noise, runs_along_rows, uneven_brightness, unsupported, worst_seam
from .transients import Transients, transients

if TYPE_CHECKING:
    from evaluation.metrics import Frames

_NO_CELLS = "Too little activity stands out of the noise of the raw movie to tell."
_MOST_LEVELS = 65536.0


def check_movie(raw: Frames, denoised: Frames) -> Verdict:
    """Check a denoised movie against the raw one, without a reference.

    Reads both movies frame by frame; memory does not grow with their length.

    Parameters
    ----------
    raw, denoised : Frames
        Movies of equal shape (T, Y, X), grey levels.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        If the movies differ in shape or have fewer than two frames.
    """
    start = time.perf_counter()
    evidence = gather(raw, denoised)
    found = transients(evidence)
    checks = (
        _offset(evidence),
        _flicker(evidence),
        _noise_by_brightness(evidence),
        _range(evidence),
        _levels(evidence),
        _amplitude(found),
        _slow(found),
        _moves(found),
        _delay(found),
        _width(found),
        _unexplained(found),
        _repeated(evidence),
        _ends(evidence),
        _unsupported(evidence),
        _seams(evidence),
        _tiles(evidence),
        _rows(evidence),
        _border(evidence),
    )
    return Verdict(checks=checks, plain=_plain(evidence, found), seconds=time.perf_counter() - start)


def _plain(evidence: Evidence, found: Transients) -> tuple[str, ...]:
    sentences = []
    if evidence.not_denoised:
        sentences.append(
            f"It did not denoise: {100 * (1 - evidence.removed):.0f} % of the noise of a pixel is still there."
        )
    if found.still or evidence.figures.repeated == evidence.figures.frames - 1:
        sentences.append("It is a still picture: the denoised movie does not move where the raw movie does.")
    return tuple(sentences)


def _offset(evidence: Evidence) -> Check:
    """Median over pixels of mean_t(y - x), percent of the median brightness; error from the jumps of its frame means.

    Band -0.5 to 0.5 %: it moves dF/F by as much. Planted: an offset of 1 %.
    """
    brightness = float(np.median(evidence.brightness))
    value = 100 * float(np.median(evidence.maps.residual)) / brightness if brightness > 0 else math.nan
    error = 125 * evidence.figures.mean_sd / math.sqrt(evidence.figures.frames) / max(brightness, 1e-300)
    return judged(
        "offset", Topic.AMPLITUDE, value, error, about_zero(0.5, 0.8),
        unit="% of brightness",
        sentences={
            Light.PASS: "The baseline is where it was.",
            Light.DOUBT: "The baseline may have moved; F0 and dF/F move with it.",
            Light.FAIL: "The baseline moved, so F0 and dF/F are not those of the raw movie.",
            Light.NOT_TESTED: "The noise hides an offset of this size.",
        },
    )  # fmt: skip


def _flicker(evidence: Evidence) -> Check:
    """Sd of the jumps of a frame's mean in x beyond those in y, percent of the median brightness.

    Band up to 0.5 %. Planted: a gain that changes by 2 % from frame to frame.
    """
    brightness = float(np.median(evidence.brightness))
    value = 100 * math.sqrt(max(0.0, evidence.figures.flicker)) / brightness if brightness > 0 else math.nan
    return judged(
        "flicker", Topic.AMPLITUDE, value, 0.0, at_most(0.5, 1.0),
        unit="% of brightness",
        sentences={
            Light.PASS: "Whole frames do not flicker more than in the raw movie.",
            Light.FAIL: "Whole frames flicker more than in the raw movie.",
            Light.NOT_TESTED: "The movie has no brightness to compare with.",
        },
    )  # fmt: skip


def _noise_by_brightness(evidence: Evidence) -> Check:
    """Slope over pixels of var(d r)/2 on the mean, over that of var(d y)/2: 1 where exactly the shot noise went.

    Band 0.7 to 1.2: the error of a gain from 1000 frames is 10 %, and activity adds to the raw slope. Planted: bright pixels smoothed half as much.
    """
    own = noise_law(evidence.maps.raw, evidence.maps.jump_residual)
    usable = evidence.law.certain and not evidence.not_denoised
    value = own.gain / evidence.law.gain if usable else math.nan
    error = own.error / evidence.law.gain if usable else math.nan
    return judged(
        "noise by brightness", Topic.AMPLITUDE, value, error, Band(low=0.7, high=1.2, fail_low=0.5, fail_high=1.5),
        unit="of the raw slope",
        sentences={
            Light.PASS: "Bright and dim pixels lost the noise that the detector makes at their brightness.",
            Light.FAIL: "Bright pixels lost more or less than the noise that the detector makes there.",
            Light.NOT_TESTED: "The noise of the raw movie does not grow with brightness, or is still there.",
        },
    )  # fmt: skip


def _range(evidence: Evidence) -> Check:
    """Count values that are not finite or leave the 0.01-99.99 % range of y by half of it. Band 0. Planted: a wrap."""
    return judged(
        "range", Topic.AMPLITUDE, float(evidence.figures.beyond), 0.0, at_most(0, 0),
        unit="values",
        sentences={
            Light.PASS: "No value lies outside of what the raw movie reaches.",
            Light.FAIL: "Values lie far outside of the raw movie: integers that wrapped around, or not a number.",
        },
    )  # fmt: skip


def _levels(evidence: Evidence) -> Check:
    """Whole numbers between the 0.01 and 99.99 % points of x, if it holds no others. Band 8. Planted: rounding."""
    value = min(evidence.figures.levels, _MOST_LEVELS)
    return judged(
        "grey levels", Topic.AMPLITUDE, value, 0.0, at_least(8, 2),
        unit="levels",
        sentences={
            Light.PASS: "The output has enough grey levels.",
            Light.DOUBT: "The output is rounded to fewer than 8 grey levels, which is as coarse as noise.",
            Light.FAIL: "The output has one grey level.",
        },
    )  # fmt: skip


def _amplitude(found: Transients) -> Check:
    """C_xy at its peak (shifts up to 2 frames) over C_cc(0): the height that transients kept.

    Band 0.9 to 1.15; a loss of 20 % fails. Planted: amplitudes times 0.8.
    """
    band = Band(low=0.9, high=1.15, fail_low=0.85, fail_high=1.3)
    return _judged(
        "transient height", Topic.AMPLITUDE, found.amplitude, band, "of the raw height",
        "Transients are as high as in the raw movie.",
        "Transients have another height than in the raw movie.",
    )  # fmt: skip


def _slow(found: Transients) -> Check:
    """Sd of the residual of active patches averaged over 16 frames, over the sd of their signal.

    Band up to 0.1. Planted: a baseline bent into a ramp.
    """
    return _judged(
        "slow residual", Topic.AMPLITUDE, found.slow, at_most(0.1, 0.2), "sd of the signal",
        "The baseline of active cells follows the raw movie.",
        "The baseline of active cells wanders away from the raw movie for a second or more.",
    )  # fmt: skip


def _moves(found: Transients) -> Check:
    """Whether x moves in active patches: var(x) at least 2 % of the signal's. Planted: a still picture."""
    known = math.isfinite(found.amplitude.value)
    return judged(
        "moves", Topic.TIME, float(not found.still) if known else math.nan, 0.0, at_least(1, 1),
        unit="0 or 1",
        sentences={
            Light.PASS: "The output moves where the raw movie does.",
            Light.FAIL: "The output stands still where the raw movie moves.",
            Light.NOT_TESTED: _NO_CELLS,
        },
    )  # fmt: skip


def _delay(found: Transients) -> Check:
    """Shift d at which C_cc(k + d) fits C_xy best, frames. Band -0.25 to 0.25. Planted: one frame late."""
    return _judged(
        "delay", Topic.TIME, found.delay_frames, about_zero(0.25, 0.5), "frames",
        "Transients are when they were.",
        "Transients come later (above 0) or earlier than in the raw movie.",
    )  # fmt: skip


def _width(found: Transients) -> Check:
    """Area over peak of C_xy, over that of C_cc. Band 0.85 to 1.15. Planted: decays half as long again."""
    band = Band(low=0.85, high=1.15, fail_low=0.75, fail_high=1.2)
    return _judged(
        "width", Topic.TIME, found.width, band, "of the raw width",
        "Transients are as wide as they were.",
        "Transients are wider (above 1) or narrower than in the raw movie.",
    )  # fmt: skip


def _unexplained(found: Transients) -> Check:
    """Share of the signal's variance in y - x / height beyond the noise. Band up to 0.1. Planted: a running mean."""
    return _judged(
        "left behind", Topic.TIME, found.unexplained, Band(low=-0.1, high=0.1, fail_low=-math.inf, fail_high=0.2),
        "of the signal",
        "What was taken out of active cells is noise.",
        "What was taken out of active cells holds their transients: they were smeared, moved or reshaped.",
    )  # fmt: skip


def _judged(  # noqa: PLR0913 - the fields of a check
    name: str, topic: Topic, found: Estimate, band: Band, unit: str, good: str, bad: str
) -> Check:
    sentences = {Light.PASS: good, Light.FAIL: bad, Light.NOT_TESTED: _NO_CELLS}
    return judged(name, topic, found.value, found.error, band, unit=unit, sentences=sentences)


def _repeated(evidence: Evidence) -> Check:
    """Count frames of x equal to the frame before where y differs. Band 0. Planted: a frame lost and one doubled."""
    return judged(
        "repeated frames", Topic.TIME, float(evidence.figures.repeated), 0.0, at_most(0, 0),
        unit="frames",
        sentences={
            Light.PASS: "No frame is a copy of the one before.",
            Light.FAIL: "Frames are copies of the frame before: frames were lost or doubled.",
        },
    )  # fmt: skip


def _ends(evidence: Evidence) -> Check:
    """Noise taken out of the first or last 10 frames over that of the others. Band 0.8 to 1.25. Planted: raw ends."""
    figures = evidence.figures
    usable = figures.rest > 0 and not evidence.not_denoised
    ratios = [figures.first / figures.rest, figures.last / figures.rest] if usable else [math.nan]
    value = max(ratios, key=lambda ratio: abs(math.log(max(ratio, 1e-9))))
    return judged(
        "ends", Topic.TIME, value, 0.0, Band(low=0.8, high=1.25, fail_low=0.5, fail_high=2),
        unit="of the other frames",
        sentences={
            Light.PASS: "The first and last frames were denoised like the others.",
            Light.FAIL: "The first or last frames were denoised otherwise than the rest; leave them out.",
            Light.NOT_TESTED: "The noise is still there, or the movie is too short.",
        },
    )  # fmt: skip


def _unsupported(evidence: Evidence) -> Check:
    """Count patches of x that move like cells but whose support C_xy(0) / C_xx(0) is below 0.5 by 3 errors.

    Band 0. Planted: a hallucinated cell.
    """
    count, tested = unsupported(evidence)
    long_enough = evidence.lively is not None
    return judged(
        "unsupported activity", Topic.INVENTED, float(count) if long_enough else math.nan, 0.0, at_most(0, 0),
        unit=f"of {tested} moving places",
        sentences={
            Light.PASS: "What moves in the output moves in the raw movie too.",
            Light.FAIL: "Places flash in the output as cells do, and the raw movie does not show it.",
            Light.NOT_TESTED: "The movie is too short to tell.",
        },
    )  # fmt: skip


def _seams(evidence: Evidence) -> Check:
    """Step or line in mean_t(y - x) along a row or column, in robust sd above all other rows and columns.

    Band up to 5. Planted: seams of 5 % at tiles of 32 pixels; tiles 2 % brighter and darker.
    """
    seam = worst_seam(evidence)
    where = f"at {seam.axis} {seam.position}: {seam.step:.1f} % of the brightness"
    return judged(
        "seams", Topic.INVENTED, seam.score, 0.0, at_most(5, 6),
        unit="sd above other lines",
        sentences={
            Light.PASS: "No straight line stands out of what was taken away.",
            Light.FAIL: f"A straight line stands out {where}, as where tiles meet.",
            Light.NOT_TESTED: "The frames are too small, or nothing was taken away.",
        },
    )  # fmt: skip


def _tiles(evidence: Evidence) -> Check:
    """Robust sd over squares of 16 pixels of mean_t(y - x), beyond noise, percent of their brightness.

    Band up to 1 %. Planted: tiles 2 % brighter and darker.
    """
    found = uneven_brightness(evidence)
    return judged(
        "uneven brightness", Topic.INVENTED, found.value, found.error, at_most(1.0, 1.5),
        unit="% of brightness",
        sentences={
            Light.PASS: "No part of the field became brighter or darker than the rest.",
            Light.FAIL: "Parts of the field became brighter, others darker: tiles were scaled differently.",
            Light.NOT_TESTED: "The frames are too small or too noisy to tell.",
        },
    )  # fmt: skip


def _rows(evidence: Evidence) -> Check:
    """Noise copied from the next pixel of a row less that of a column, beyond what the raw noise carries over.

    Units of the noise variance. Band -0.03 to 0.03. Planted: 15 % of both neighbours' noise.
    """
    found = runs_along_rows(evidence)
    return judged(
        "correlated noise", Topic.INVENTED, found.value, found.error, about_zero(0.03, 0.06),
        unit="of the noise",
        sentences={
            Light.PASS: "No noise ran along rows or columns into the output.",
            Light.FAIL: "Noise ran along rows or columns into the output and looks like structure there; use "
            "structN2V along that axis, or a method that takes pairs of frames.",
            Light.NOT_TESTED: "The movie is too small or too noisy to tell.",
        },
    )  # fmt: skip


def _border(evidence: Evidence) -> Check:
    """Noise taken out in the outer 8 pixels over that inside. Band 0.8 to 1.25. Planted: a border left raw."""
    value = math.nan if evidence.not_denoised else border_noise(evidence)
    return judged(
        "border", Topic.INVENTED, value, 0.0, Band(low=0.8, high=1.25, fail_low=0.5, fail_high=2),
        unit="of the inside",
        sentences={
            Light.PASS: "The border was denoised like the inside.",
            Light.FAIL: "The border was denoised otherwise than the inside; leave it out.",
            Light.NOT_TESTED: "The frames are too small, or the noise is still there.",
        },
    )  # fmt: skip
