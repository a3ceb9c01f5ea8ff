"""What a trained denoiser made of transients that were added to a movie: their height, time, length and number."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .evidence import NOTHING, Estimate, jackknife
from .lagged import noiseless
from .lights import Band, Light, Topic, about_zero, at_least, judged
from .places import traces_in
from .planting import SNRS, Ground, Injection
from .sampling import robust_sd, stretches, without_trend
from .transients import amplitude_of, delay_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from evaluation.metrics import Frames

    from .lagged import Covariances
    from .lights import Check
    from .places import Places
    from .sampling import Floats

_STILL = 0.1  # of their height, below which transients are too low to be timed
_STEP = 0.05 / 2  # frames: half the step in which delays are looked for
_TIMES = np.geomspace(0.4, 2.5, 33)  # decays that are tried, over those that were added
_LATE = range(-2, 3)  # frames that are tried with them
_STRONG = max(SNRS)
_SEEN_SD = 2.5  # robust standard deviations of the trace before, above which a transient is seen
_SEEN_HEIGHT = 0.4  # of its height, which it must reach too: a trace that stands still has no noise
_PEAK_FRAMES = 4  # after an onset in which the peak is looked for
_NO_ROOM = "The movie has too few quiet places to add transients to, or too few frames."


def judge_injected(plain: Frames, planted: Frames, ground: Ground, injection: Injection) -> tuple[Check, ...]:
    """Judge what came back of transients that were added.

    Parameters
    ----------
    plain, planted : Frames
        The denoised raw movie and the denoised movie with transients, (T, Y, X), by the same trained denoiser.
    ground, injection : Ground, Injection
        Where, when and how high the transients are.

    Returns
    -------
    tuple of Check
        Height, delay, decay, and share of the high ones that were seen.
    """
    parts = [_part(plain, planted, start, stop, ground.places, injection) for start, stop in stretches(len(plain))]
    found = noiseless((part.added, part.change) for part in parts)
    patches = np.flatnonzero(found.raw[:, 0] > 0)
    height = _estimate(found, patches, amplitude_of)
    moved = height.value > _STILL
    return (
        _height(height, found, patches, injection),
        _told(
            "injected delay",
            Topic.TIME,
            _estimate(found, patches, delay_of, least_error=_STEP) if moved else NOTHING,
            about_zero(0.4, 0.75),
            unit="frames",
            good="Transients that were added came back when they were.",
            bad="Transients that were added came back late (above 0) or early.",
        ),
        _told(
            "injected decay",
            Topic.TIME,
            _decay(parts, patches, injection) if moved else NOTHING,
            Band(low=0.8, high=1.25, fail_low=0.65, fail_high=1.5),
            unit="of their decay",
            good="Transients that were added came back as long as they were.",
            bad="Transients that were added came back longer (above 1) or shorter.",
        ),
        _seen(parts, injection),
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Part:
    """What was added to patches in a stretch, and their denoised traces without and with it: each of shape (L, R)."""

    start: int
    stop: int
    added: Floats
    before: Floats
    after: Floats

    @property
    def change(self) -> Floats:
        return self.after - self.before


def _part(  # noqa: PLR0913, PLR0917 - both movies and where to look
    plain: Frames, planted: Frames, start: int, stop: int, places: Places, injection: Injection
) -> _Part:
    before, after = (traces_in(movie, start, stop, places, places.quiet) for movie in (plain, planted))
    return _Part(start=start, stop=stop, added=injection.courses(start, stop), before=before, after=after)


def _decay(parts: Sequence[_Part], patches: NDArray[np.int64], injection: Injection) -> Estimate:
    """Return how many times as long decays became: those of the transients, early or late, that fit the change best."""
    fits = np.zeros((len(_LATE), len(_TIMES), len(injection.peaks)))
    for row, times in enumerate(_TIMES):
        other = replace(injection, decays=times * injection.decays)
        for index, late in enumerate(_LATE):
            products, powers = np.zeros((2, len(injection.peaks)))
            for part in parts:
                shape = without_trend(other.courses(part.start - late, part.stop - late))
                products += (shape * without_trend(part.change)).sum(axis=0)
                powers += (shape**2).sum(axis=0)
            fits[index, row] = np.divide(products**2, powers, out=np.zeros_like(powers), where=powers > 0)
    return jackknife(patches, lambda some: _best(fits[:, :, some].sum(axis=2)))


def _best(fits: Floats) -> float:
    """Return the times of the best fit, between those that were tried by a parabola."""
    one = fits[np.unravel_index(np.argmax(fits), fits.shape)[0]]
    top = int(np.clip(np.argmax(one), 1, len(one) - 2))
    below, at, above = one[top - 1 : top + 2]
    bend = below - 2 * at + above
    off = 0.5 * (below - above) / bend if bend < 0 else 0.0
    return float(_TIMES[top] * (_TIMES[1] / _TIMES[0]) ** np.clip(off, -1, 1))


def _told(  # noqa: PLR0913 - the fields of a check
    name: str, topic: Topic, found: Estimate, band: Band, *, unit: str, good: str, bad: str
) -> Check:
    sentences = {Light.PASS: good, Light.FAIL: bad, Light.NOT_TESTED: _NO_ROOM}
    return judged(name, topic, found.value, found.error, band, unit=unit, sentences=sentences)


def _estimate(
    found: Covariances,
    patches: NDArray[np.int64],
    number: Callable[[Floats, Floats], float],
    *,
    least_error: float = 0.0,
) -> Estimate:
    signal = found.signal()
    one = jackknife(patches, lambda some: number(signal[some].sum(axis=0), found.cross[some].sum(axis=0)))
    return Estimate(value=one.value, error=max(one.error, least_error))


def _height(height: Estimate, found: Covariances, patches: NDArray[np.int64], injection: Injection) -> Check:
    by_size = [_estimate(found, patches[injection.snrs[patches] == snr], amplitude_of).value for snr in SNRS]
    told = ", ".join(
        f"{value:.2f} at {snr:g}" for snr, value in zip(SNRS, by_size, strict=True) if math.isfinite(value)
    )
    sizes = f" By height over the noise: {told}." if told else ""
    return _told(
        "injected height",
        Topic.AMPLITUDE,
        height,
        Band(low=0.85, high=1.15, fail_low=0.7, fail_high=1.3),
        unit="of their height",
        good=f"Transients that were added came back at their height.{sizes}",
        bad=f"Transients that were added came back too low (below 1) or too high.{sizes}",
    )


def _outcomes(part: _Part, injection: Injection) -> Iterator[bool]:
    """Yield of each of the highest transients of a part whether it stands out of the denoised trace."""
    resting = without_trend(part.before)
    noise = robust_sd(resting)
    risen = part.after - (part.before - resting) - np.median(resting, axis=0)
    for patch in np.flatnonzero((injection.snrs == _STRONG) & (injection.peaks > 0)).tolist():
        least = max(_SEEN_SD * noise[patch], _SEEN_HEIGHT * injection.peaks[patch])
        onsets = injection.onsets[patch]
        whole = onsets[(onsets >= part.start) & (onsets <= part.stop - _PEAK_FRAMES)] - part.start
        yield from (bool(risen[onset : onset + _PEAK_FRAMES, patch].max() > least) for onset in whole)


def _seen(parts: Sequence[_Part], injection: Injection) -> Check:
    """Share of the highest transients that stand out of the denoised trace."""
    outcomes = [seen for part in parts for seen in _outcomes(part, injection)]
    share = float(np.mean(outcomes)) if outcomes else math.nan
    error = math.sqrt(max(share * (1 - share), 0.0) / len(outcomes)) if outcomes else math.nan
    return _told(
        "injected seen",
        Topic.AMPLITUDE,
        Estimate(value=share, error=error),
        at_least(0.95, 0.8),
        unit="of those four times the noise",
        good="High transients that were added are there.",
        bad="High transients that were added are missing: real ones may be too.",
    )
