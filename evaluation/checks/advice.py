"""What a raw movie means for denoising it, in words: which algorithms are ruled out, and what to do first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.detector import Faults

    from .raw_movie import RawMovie

_INDEPENDENT = 0.02  # correlation of neighbours up to which their noise is independent
_CORRELATED = 0.1  # above which a blind spot sees its own pixel through its neighbours
_IN_TIME = 0.05  # of the jumps, above which frames share noise
_FEW_LEVELS = 8
_FEW_FRAMES = 100
_BRIEF_FRAMES = 2.0
_MOVED_PX = 0.5
_BLEACHED = 0.2


def raw_movie_text(movie: RawMovie, faults: Faults) -> tuple[str, ...]:
    """Return what a raw movie is like and what follows, one line each; the faults are those of its detector."""
    detector = f"Detector: {faults.sentence() or 'no faults found'}."
    return (*_facts(movie), detector, *(f"- {sentence}" for sentence in advice(movie)))


def _facts(movie: RawMovie) -> Iterator[str]:
    """Yield what a raw movie is like, one line each."""
    yield "{} frames of {} x {} pixels, {} grey levels in use.".format(*movie.shape, movie.levels)
    if movie.gain is not None and movie.black is not None and movie.photons is not None:
        yield (
            f"Gain {movie.gain:.3g} grey levels per photon (excess noise included), "
            f"black level about {movie.black:.3g}, {movie.photons:.2g} photons in the median pixel of a frame."
        )
    else:
        yield "The noise does not grow with brightness: no gain can be told."
    yield f"Noise of the median pixel: {movie.noise_sd:.3g} grey levels."
    yield (
        f"Correlation of the noise: {movie.along_x:.3f} along x, {movie.along_y:.3f} along y, "
        f"{movie.in_time:.3f} in time (with activity)."
    )
    yield (
        f"Largest shift between parts {movie.shift_px:.2f} pixels, bleached {100 * movie.bleached:.0f} %, "
        f"repeated frames {movie.repeated_frames}."
    )
    lasting = "" if movie.lasts_frames is None else f"; activity lasts {movie.lasts_frames:.1f} frames"
    yield f"Active places found: {movie.active}{lasting}."


def advice(movie: RawMovie) -> Iterator[str]:
    """Yield what follows for the choice of an algorithm and its parameters, one sentence each."""
    if movie.planes:
        yield "Every other frame is of another plane: save each plane as a movie of its own, and look at it again."
        return
    yield from _by_noise(movie)
    yield from _by_activity(movie)
    yield from _by_damage(movie)


def _by_noise(movie: RawMovie) -> Iterator[str]:
    sides = (("horizontal", movie.along_x), ("vertical", movie.along_y))
    axis, correlation = max(sides, key=lambda side: abs(side[1]))
    hidden = f"--param struct_n2v_axes={axis} --param use_augmentations=false"
    if abs(correlation) > _CORRELATED:
        yield (
            f"Noise of {axis} neighbours is correlated ({correlation:.2f}): plain n2v is ruled out and hdn is "
            f"doubtful; take n2v with {hidden}, or n2n or deepcad, which take pairs of frames."
        )
    elif abs(correlation) > _INDEPENDENT:
        yield (
            f"Noise of {axis} neighbours is slightly correlated ({correlation:.2f}): prefer n2v with "
            f"{hidden}, n2n or deepcad to plain n2v."
        )
    if movie.levels < _FEW_LEVELS:
        yield f"Only {movie.levels} grey levels are in use: keep --output-dtype float32, or the gain is rounded away."
    if movie.shape[0] < _FEW_FRAMES:
        yield f"{movie.shape[0]} frames are few: deepcad trains on long blocks; n2v needs no time axis."


def _by_activity(movie: RawMovie) -> Iterator[str]:
    if movie.active == 0:
        yield "No activity stands out of the noise: what a denoiser does to transients cannot be tested here."
    elif movie.lasts_frames is not None and movie.lasts_frames < _BRIEF_FRAMES:
        yield (
            f"Activity lasts {movie.lasts_frames:.1f} frames: n2n and deepcad learn from neighbouring frames and may "
            "smear it; look at the light time."
        )
    if movie.in_time > _IN_TIME:
        yield (
            f"Frames are more alike than independent noise makes them ({movie.in_time:.2f}): unless most pixels are "
            "active, the detector or a resampling correlates frames, which rules out n2n and deepcad."
        )
    yield "Do not feed denoised traces to spike inference that was calibrated on raw noise, such as CASCADE."


def _by_damage(movie: RawMovie) -> Iterator[str]:
    if movie.shift_px > _MOVED_PX:
        yield f"The field moved by {movie.shift_px:.1f} pixels: register before denoising, without interpolation."
    if movie.bleached > _BLEACHED:
        yield f"{100 * movie.bleached:.0f} % of the light is lost: take F0 from the time of the signal."
    if movie.repeated_frames:
        yield f"{movie.repeated_frames} frames repeat the one before: frames were lost; leave the copies out."
