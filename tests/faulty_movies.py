"""Movies with the faults of real detectors at known places, for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True)
class FaultyMovie:
    """A noisy movie with faults, the same one without, what is true, and where the faults are, all (T, Y, X)."""

    faulty: np.ndarray
    sound: np.ndarray
    clean: np.ndarray
    wrong: np.ndarray
    places: dict[str, object] = field(default_factory=dict)


def scene(frames=120, height=64, width=64, seed=0):
    """Return cells with transients on an uneven background: (T, Y, X), float64, photons."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    movie = np.full((frames, height, width), 6.0) + 2 * np.cos(x / 9) * np.cos(y / 11)
    for _ in range(height * width // 300):
        at, size = rng.uniform(0, (height, width)), rng.uniform(2, 4)
        shape = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * size**2))
        spikes = (rng.random(frames + 60) < 0.02) * rng.uniform(10, 40)
        movie += np.convolve(spikes, np.exp(-np.arange(60) / 12))[60 : 60 + frames, None, None] * shape
    return movie


def faulty_movie(*kinds, seed=0, dtype="uint16", **size):
    """Return a movie with some kinds of faults.

    `kinds` are names of functions below that begin with an underscore, without it.
    """
    rng = np.random.default_rng([seed, 1])
    clean = 100 + 10 * scene(seed=seed, **size)
    sound = np.rint(100 + 10 * rng.poisson((clean - 100) / 10) + rng.normal(0, 3, clean.shape))
    sound = sound.clip(0, 65535).astype(dtype)
    faulty, wrong, places = sound.copy(), np.zeros(sound.shape, bool), {}
    for kind in kinds:
        places[kind] = FAULTS[kind](faulty, wrong, rng)
    return FaultyMovie(faulty=faulty, sound=sound, clean=clean, wrong=wrong, places=places)


def _pixels(wrong, rng, count):
    """Draw pixels that do not touch each other."""
    free = np.argwhere(wrong.mean(axis=0) < 0.5)
    chosen = [one for one in rng.permutation(free) if (one % 5 == 2).all()][:count]
    return np.array(chosen).reshape(-1, 2)


def _saturated(movie, wrong, rng):
    (place,) = _pixels(wrong, rng, 1)
    wrong[:, *place] = True
    movie[:, *place] = 65535
    return [tuple(place.tolist())]


def _spot(movie, wrong, rng):
    (place,) = _pixels(wrong, rng, 1)
    spot = (slice(None), slice(place[0], place[0] + 2), slice(place[1], place[1] + 3))
    movie[spot], wrong[spot] = 65535, True
    return [(int(place[0]) + dy, int(place[1]) + dx) for dy in range(2) for dx in range(3)]


def _stuck(movie, wrong, rng):
    places = _pixels(wrong, rng, 3)
    for y, x in places:
        movie[:, y, x], wrong[:, y, x] = 700, True
    return [tuple(one) for one in places.tolist()]


def _dead(movie, wrong, rng):
    places = _pixels(wrong, rng, 4)
    for y, x in places:
        movie[:, y, x], wrong[:, y, x] = 0, True
    return [tuple(one) for one in places.tolist()]


def _hot(movie, wrong, rng):
    places = _pixels(wrong, rng, 3)
    for y, x in places:
        movie[:, y, x] = (movie[:, y, x] + 8000 + rng.normal(0, 60, len(movie))).clip(0, 65535)
        wrong[:, y, x] = True
    return [tuple(one) for one in places.tolist()]


def _flickering(movie, wrong, rng):
    places = _pixels(wrong, rng, 2)
    for y, x in places:
        movie[:, y, x] = np.where(rng.random(len(movie)) < 0.5, movie[:, y, x], 20_000)
        wrong[:, y, x] = True
    return [tuple(one) for one in places.tolist()]


def _rays(movie, wrong, rng):
    found = []
    for frame in rng.permutation(np.arange(10, len(movie) - 2))[:6]:
        (place,) = _pixels(wrong, rng, 1)
        movie[frame, *place] += 12_000
        wrong[frame, *place] = True
        found.append((int(frame), *place.tolist()))
    return sorted(found)


def _black(movie, wrong, rng):
    frames = np.sort(rng.permutation(np.arange(12, len(movie) - 2))[:3])
    for frame in frames:
        live = wrong.mean(axis=0) < 0.5
        movie[frame][live] = np.rint(rng.normal(100, 3, movie.shape[1:])).clip(0)[live]
        wrong[frame] = True
    return frames.tolist()


def _shutter(movie, wrong, rng):
    for frame, share in enumerate((0.05, 0.3)):
        live = wrong.mean(axis=0) < 0.5
        dim = np.rint(100 + (movie[frame].astype(float) - 100) * share + rng.normal(0, 1, movie.shape[1:]))
        movie[frame][live] = dim[live]
        wrong[frame] = True
    return [0, 1]


def _lines(movie, wrong, rng):
    found = []
    for frame in rng.permutation(np.arange(12, len(movie) - 2))[:8]:
        row = int(rng.integers(3, movie.shape[1] - 3))
        movie[frame, row], wrong[frame, row] = 0, True
        found.append((int(frame), row))
    return sorted(found)


FAULTS = {
    "saturated": _saturated, "spot": _spot, "stuck": _stuck, "dead": _dead, "hot": _hot, "flickering": _flickering,
    "rays": _rays, "black": _black, "shutter": _shutter, "lines": _lines,
}  # fmt: skip
