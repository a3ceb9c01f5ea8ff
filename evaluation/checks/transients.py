"""What happened to transients: amplitude, delay, width, and what is left of them in the residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .evidence import NOTHING, Estimate, Evidence, jackknife
from .lights import Band, Check, Light, Topic, judged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .sampling import Floats

_NEAREST = 2  # frames of shift within which the peak of a covariance is looked for
_FARTHEST = 4.0  # frames of delay that are tried
_STEP = 0.05  # frames
_FALLEN = 0.3  # of its peak, to which a covariance falls within half the window that is compared
_SLOW = 16  # frames over which a slow residual is averaged
_STILL = 0.02  # of the signal's variance, below which a denoised movie stands still
NO_CELLS = "Too little activity stands out of the noise of the raw movie to tell."


@dataclass(frozen=True, kw_only=True, slots=True)
class Transients:
    """What became of the transients of the active patches.

    Attributes
    ----------
    amplitude : Estimate
        Height kept; 1 is all.
    delay_frames : Estimate
        Above 0: the denoised movie is late.
    width : Estimate
        Times as wide as before.
    unexplained : Estimate
        Share of the signal's variance that no change of amplitude explains and that is not noise.
    slow : Estimate
        Standard deviation of the residual averaged over 16 frames, in standard deviations of the signal.
    still : bool
        Whether the denoised movie does not move where the raw one does.
    """

    amplitude: Estimate
    delay_frames: Estimate
    width: Estimate
    unexplained: Estimate
    slow: Estimate
    still: bool


_UNKNOWN = Transients(
    amplitude=NOTHING, delay_frames=NOTHING, width=NOTHING, unexplained=NOTHING, slow=NOTHING, still=False
)


def transients(evidence: Evidence) -> Transients:
    """Measure what became of transients in the active patches whose signal stands out of the noise.

    With c the signal, x the denoised trace and C the covariances over time: C_cc comes from the raw trace with itself
    (its noise variance taken off at shift 0), C_xc from the denoised with the raw one (the noise that was copied
    taken off, as seen in quiet patches). Errors leave out one patch after the other.
    """
    patches = evidence.strong()
    active = evidence.active
    if active is None or not patches.size:
        return _UNKNOWN
    signal = active.signal()
    cross = active.cross - evidence.copied_noise(active)
    amplitude = jackknife(patches, lambda some: amplitude_of(signal[some].sum(axis=0), cross[some].sum(axis=0)))
    still = float(active.denoised[patches, 0].sum()) < _STILL * float(signal[patches, active.lags].sum())
    slow = jackknife(patches, lambda some: _slow(evidence, some))
    if still or not amplitude.value > _STILL:
        return Transients(
            amplitude=amplitude, delay_frames=NOTHING, width=NOTHING, unexplained=NOTHING, slow=slow, still=still
        )
    return Transients(
        amplitude=amplitude,
        delay_frames=_at_least(
            jackknife(patches, lambda some: delay_of(signal[some].sum(axis=0), cross[some].sum(axis=0))), _STEP / 2
        ),
        width=jackknife(patches, lambda some: _width(signal[some].sum(axis=0), cross[some].sum(axis=0))),
        unexplained=jackknife(patches, lambda some: _unexplained(evidence, some, amplitude.value)),
        slow=slow,
        still=still,
    )


def _at_least(estimate: Estimate, error: float) -> Estimate:
    """Let the error of a number that was looked for in steps not be below half a step."""
    return Estimate(value=estimate.value, error=max(estimate.error, error))


def _peak(cross: Floats) -> int:
    middle = len(cross) // 2
    near = cross[middle - _NEAREST : middle + _NEAREST + 1]
    return middle - _NEAREST + int(np.argmax(near))


def amplitude_of(signal: Floats, cross: Floats) -> float:
    """Return the peak of the covariance of both over that of the signal: the height that was kept."""
    return float(cross[_peak(cross)] / signal[len(signal) // 2])


def _window(signal: Floats) -> int:
    """Return the shifts over which covariances are compared: twice the way to 30 % of the peak."""
    half = signal[len(signal) // 2 :]
    fallen = np.flatnonzero(half < _FALLEN * half[0])
    return int(np.clip(2 * (fallen[0] if fallen.size else len(half)), 3, len(half) - 1 - _FARTHEST))


def delay_of(signal: Floats, cross: Floats) -> float:
    """Return the shift in time at which the covariance of both looks most like that of the signal."""
    middle, window = len(signal) // 2, _window(signal)
    shifts = np.arange(len(signal)) - middle
    near = np.abs(shifts) <= window
    tried = np.arange(-_FARTHEST, _FARTHEST + _STEP / 2, _STEP)
    shapes = np.stack([np.interp(shifts[near] + late, shifts, signal) for late in tried])
    fits = shapes @ cross[near] / np.linalg.norm(shapes, axis=1)
    return float(tried[np.argmax(fits)])


def _width(signal: Floats, cross: Floats) -> float:
    """Return the ratio of the equivalent widths, area over peak, of both covariances around their peaks."""
    middle, peak, window = len(signal) // 2, _peak(cross), _window(signal)
    before = signal[middle - window : middle + window + 1].sum() / signal[middle]
    after = cross[peak - window : peak + window + 1].sum() / cross[peak]
    return float(after / before)


def _unexplained(evidence: Evidence, patches: NDArray[np.int64], amplitude: float) -> float:
    active, quiet = evidence.active, evidence.quiet
    if active is None or quiet is None:
        return float("nan")
    noise = np.median(quiet.scaled_residual(amplitude)[:, 0]) if len(quiet.raw) else 0.0
    left = active.scaled_residual(amplitude)[patches, 0] - evidence.scale(active)[patches] * noise
    signal = active.raw[patches, 0] - active.noise[patches]
    return float(left.sum() / signal.sum())


def _slow(evidence: Evidence, patches: NDArray[np.int64]) -> float:
    active = evidence.active
    if active is None:
        return float("nan")
    lags = min(_SLOW, active.lags + 1)
    weights = (1 - np.arange(1, lags) / lags) * 2 / lags
    power = active.residual()[patches, 1:lags] @ weights
    signal = active.raw[patches, 0] - active.noise[patches]
    return float(np.sqrt(max(0.0, power.sum() / signal.sum())))


def measured(  # noqa: PLR0913 - the fields of a check
    name: str, topic: Topic, found: Estimate, band: Band, *, unit: str, good: str, bad: str
) -> Check:
    """Judge what became of transients; it is not tested where too few stand out of the noise."""
    sentences = {Light.PASS: good, Light.FAIL: bad, Light.NOT_TESTED: NO_CELLS}
    return judged(name, topic, found.value, found.error, band, unit=unit, sentences=sentences)
