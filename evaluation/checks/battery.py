"""The battery: every cheap check of a denoised movie, and the three lights they add up to.

docs/checks.md lists each check with formula, unit, pass band, source and the planted fault that proves it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from . import amplitude, invented, timing
from .evidence import Evidence, gather
from .lights import Verdict
from .transients import Transients, transients

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from evaluation.metrics import Frames

    from .lights import Check

    Judge: TypeAlias = Callable[[Evidence, Transients], Check]


def _of_evidence(judge: Callable[[Evidence], Check]) -> Judge:
    return lambda evidence, _: judge(evidence)


def _of_transients(judge: Callable[[Transients], Check]) -> Judge:
    return lambda _, found: judge(found)


BATTERY: tuple[Judge, ...] = (
    *map(_of_evidence, (amplitude.offset, amplitude.flicker, amplitude.noise_by_brightness)),
    *map(_of_evidence, (amplitude.in_range, amplitude.levels)),
    *map(_of_transients, (amplitude.height, amplitude.slow)),
    *map(_of_transients, (timing.moves, timing.delay, timing.width, timing.unexplained)),
    *map(_of_evidence, (timing.repeated, timing.ends)),
    *map(_of_evidence, (invented.unsupported_activity, invented.seams, invented.tiles, invented.rows, invented.border)),
)


def check_movie(raw: Frames, denoised: Frames, middles: NDArray[np.int64] | None = None) -> Verdict:
    """Check a denoised movie against the raw one, without a reference.

    Reads both movies frame by frame; memory does not grow with their length.

    Parameters
    ----------
    raw, denoised : Frames
        Movies of equal shape (T, Y, X), grey levels.
    middles : ndarray of shape (R, 2), int64, optional
        Middles (y, x) of known regions, pixels, where activity is compared; without them it is looked for.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        If the movies differ in shape or have fewer than two frames.
    """
    start = time.perf_counter()
    verdict = verdict_of(gather(raw, denoised, middles))
    return replace(verdict, seconds=time.perf_counter() - start)


def verdict_of(evidence: Evidence) -> Verdict:
    """Judge what both movies gave; what that took is not counted."""
    found = transients(evidence)
    checks = tuple(check(evidence, found) for check in BATTERY)
    return Verdict(checks=checks, plain=_plain(evidence, found), seconds=0.0)


def _plain(evidence: Evidence, found: Transients) -> tuple[str, ...]:
    sentences = []
    if evidence.not_denoised:
        sentences.append(
            f"It did not denoise: {100 * (1 - evidence.removed):.0f} % of the noise of a pixel is still there."
        )
    if evidence.figures.repeated == evidence.figures.frames - 1:
        sentences.append("It is a still picture: every frame is the same.")
    elif found.still:
        sentences.append("It is a still picture: the denoised movie does not move where the raw movie does.")
    return tuple(sentences)
