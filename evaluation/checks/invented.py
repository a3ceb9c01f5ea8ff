"""The checks behind the light *invented structure*: activity, seams, tiles and rows that the raw movie lacks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .lights import Band, Check, Light, Topic, about_zero, at_most, judged
from .structure import border_noise, runs_along_rows, uneven_brightness, unsupported, worst_seam

if TYPE_CHECKING:
    from .evidence import Evidence


def unsupported_activity(evidence: Evidence) -> Check:
    """Count patches of x that move like cells but whose support C_xy(0) / C_xx(0) is below 0.5 by 3 errors.

    Raw noise that was passed on to x is taken off both.

    Band 0. Planted: a hallucinated cell.
    """
    count, tested = unsupported(evidence)
    long_enough = evidence.lively is not None
    return judged(
        "unsupported activity",
        Topic.INVENTED,
        float(count) if long_enough else math.nan,
        0.0,
        at_most(0, 0),
        unit=f"of {tested} moving places",
        sentences={
            Light.PASS: "What moves in the output moves in the raw movie too.",
            Light.FAIL: "Places flash in the output as cells do, and the raw movie does not show it.",
            Light.NOT_TESTED: "The movie is too short to tell.",
        },
    )


def seams(evidence: Evidence) -> Check:
    """Step or line in mean_t(y - x) along a row or column, in robust sd above all other rows and columns.

    Band up to 5. Planted: seams of 5 % at tiles of 32 pixels; tiles 2 % brighter and darker.
    """
    seam = worst_seam(evidence)
    where = f"at {seam.axis} {seam.position}: {seam.step:.1f} % of the brightness"
    return judged(
        "seams",
        Topic.INVENTED,
        seam.score,
        0.0,
        at_most(5, 6),
        unit="sd above other lines",
        sentences={
            Light.PASS: "No straight line stands out of what was taken away.",
            Light.FAIL: f"A straight line stands out {where}, as where tiles meet.",
            Light.NOT_TESTED: "The frames are too small, or nothing was taken away.",
        },
    )


def tiles(evidence: Evidence) -> Check:
    """Robust sd over squares of 16 pixels of mean_t(y - x), beyond noise, percent of their brightness.

    Band up to 1 %. Planted: tiles 2 % brighter and darker.
    """
    found = uneven_brightness(evidence)
    return judged(
        "uneven brightness",
        Topic.INVENTED,
        found.value,
        found.error,
        at_most(1.0, 1.5),
        unit="% of brightness",
        sentences={
            Light.PASS: "No part of the field became brighter or darker than the rest.",
            Light.FAIL: "Parts of the field became brighter, others darker: tiles were scaled differently.",
            Light.NOT_TESTED: "The frames are too small or too noisy to tell.",
        },
    )


def rows(evidence: Evidence) -> Check:
    """Noise copied from the next pixel of a row less that of a column, beyond what the raw noise carries over.

    Units of the noise variance. Band -0.03 to 0.03. Planted: 15 % of both neighbours' noise.
    """
    found = runs_along_rows(evidence)
    return judged(
        "correlated noise",
        Topic.INVENTED,
        found.value,
        found.error,
        about_zero(0.03, 0.06),
        unit="of the noise",
        sentences={
            Light.PASS: "No noise ran along rows or columns into the output.",
            Light.FAIL: "Noise ran along rows or columns into the output and looks like structure there; use "
            "structN2V along that axis, or a method that takes pairs of frames.",
            Light.NOT_TESTED: "The movie is too small or too noisy to tell.",
        },
    )


def border(evidence: Evidence) -> Check:
    """Noise taken out in the outer 8 pixels over that inside. Band 0.8 to 1.25. Planted: a border left raw."""
    value = math.nan if evidence.not_denoised else border_noise(evidence)
    return judged(
        "border",
        Topic.INVENTED,
        value,
        0.0,
        Band(low=0.8, high=1.25, fail_low=0.5, fail_high=2),
        unit="of the inside",
        sentences={
            Light.PASS: "The border was denoised like the inside.",
            Light.FAIL: "The border was denoised otherwise than the inside; leave it out.",
            Light.NOT_TESTED: "The frames are too small, or the noise is still there.",
        },
    )
