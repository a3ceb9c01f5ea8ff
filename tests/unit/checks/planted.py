"""Movies whose truth is known, and faults planted into the truth: what each check must see, and must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec.structs import replace
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter

from orchestrator.data.simulator.movie import SimulatedMovie
from orchestrator.data.simulator.noise import Scmos, TwoPhoton
from orchestrator.data.simulator.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES = 200
_SCENE = Scene(
    seed=1,
    frames=FRAMES,
    height=128,
    width=128,
    frame_rate_hz=15.0,
    um_per_pixel=1.0,
    cells=45,
    puncta=100,
    soma_radius_um=6.5,
    dark_nuclei=0.5,
    process_um=30.0,
    neuropil_photons=0.8,
    resting_photons=1.2,
    spike_photons=4.0,
    spike_rate_hz=1.0,
    rise_s=0.03,
    decay_s=0.25,
    bleach_s=60.0,
    vignette=0.4,
)
_TUBE = TwoPhoton(
    gain_adu_per_photon=100.0,
    gain_cv=0.48,
    dark_photons=0.05,
    read_noise_adu=2.7,
    bleed_probability=0.3,
    bleed_fraction=0.4,
    offset_adu=100.0,
)
_CAMERA = Scmos(
    quantum_efficiency=0.8,
    dark_electrons=0.1,
    read_noise_electrons=1.4,
    read_noise_spread=0.3,
    row_noise_electrons=0.4,
    gain_adu_per_electron=2.2,
    offset_adu=100.0,
    bits=16,
    levels=None,
)
SCENES = {
    "two-photon with bleed": (_SCENE, _TUBE),
    "five grey levels": (
        replace(
            _SCENE,
            frame_rate_hz=50.0,
            neuropil_photons=50.0,
            resting_photons=10.0,
            spike_photons=7.0,
            spike_rate_hz=0.7,
            decay_s=0.4,
            bleach_s=20.0,
            vignette=0.25,
        ),
        replace(_CAMERA, gain_adu_per_electron=0.0625, offset_adu=-0.6, dark_electrons=0.2, bits=8, levels=5),
    ),
    "sCMOS": (
        replace(
            _SCENE,
            frame_rate_hz=10.0,
            cells=25,
            puncta=20,
            neuropil_photons=20.0,
            resting_photons=10.0,
            spike_photons=15.0,
            spike_rate_hz=0.3,
            decay_s=0.6,
        ),
        _CAMERA,
    ),
}


class Movie(NamedTuple):
    """A raw movie, its truth, and the simulation behind both."""

    raw: np.ndarray
    clean: np.ndarray
    simulated: SimulatedMovie
    scene: Scene
    noise: TwoPhoton | Scmos


def movie(name: str, seed: int, frames: int = FRAMES) -> Movie:
    """Simulate a scene of `SCENES`."""
    scene, noise = SCENES[name]
    scene = replace(scene, seed=seed, frames=frames)
    simulated = SimulatedMovie(scene, noise)
    return Movie(simulated.noisy(0, frames), simulated.clean(0, frames), simulated, scene, noise)


def _signal(known: Movie) -> float:
    """Return the median light of the truth, grey levels above the black level."""
    return float(np.median(known.clean.mean(axis=0)) - known.noise.offset_adu)


def clean(known: Movie) -> np.ndarray:
    return known.clean


def identity(known: Movie) -> np.ndarray:
    return known.raw.astype(np.float32)


def running_mean(known: Movie) -> np.ndarray:
    return uniform_filter1d(known.raw.astype(np.float32), 7, axis=0)


def offset(known: Movie) -> np.ndarray:
    return known.clean + np.float32(0.01 * _signal(known))


def loss(known: Movie) -> np.ndarray:
    middle = known.clean.mean(axis=0)
    return middle + np.float32(0.8) * (known.clean - middle)


def delay(known: Movie) -> np.ndarray:
    return np.concatenate([known.clean[:1], known.clean[:-1]])


def widened(known: Movie) -> np.ndarray:
    """Let every transient last half as long again, with the same peak over the mean, which every pixel keeps."""
    frames_s = known.scene.decay_s * known.scene.frame_rate_hz
    before, after = np.exp(-1 / frames_s), np.exp(-1 / (1.5 * frames_s))
    longer = SimulatedMovie(known.scene, known.noise)
    resting = longer.light.traces.min(axis=1, keepdims=True)
    longer.light.traces[:] = resting + lfilter([1, -before], [1, -after], longer.light.traces - resting, axis=1)
    return _mean_kept(known, longer.clean(0, len(known.raw)))


def hallucinated(known: Movie) -> np.ndarray:
    """Add a cell as bright and as busy as the others where there is none."""
    cells = [cell for cell in known.simulated.light.footprints if cell.soma.sum() > 60]
    far = known.simulated.light.labels() == 0
    distance = uniform_filter1d(uniform_filter1d(far.astype(float), 15, axis=0), 15, axis=1)
    distance[:12] = distance[-12:] = distance[:, :12] = distance[:, -12:] = 0
    middle = np.unravel_index(np.argmax(distance), distance.shape)
    y, x = np.indices(distance.shape)
    disc = np.hypot(y - middle[0], x - middle[1]) < 6
    other = replace(known.scene, seed=known.scene.seed + 1000)
    traces = SimulatedMovie(other, known.noise).light.traces[: len(cells)]
    trace = traces[np.argsort(traces.std(axis=1))[len(traces) // 2]]
    scale = known.noise.expected(np.ones((1, 2)))[0, 1] - known.noise.expected(np.zeros((1, 2)))[0, 1]
    return (known.clean + disc * (scale * (trace - trace.min()))[:, None, None]).astype(np.float32)


def seam(known: Movie) -> np.ndarray:
    """Brighten the last pixel of every tile of 32 by 5 %, as blending with a wrong weight does."""
    line = np.ones(known.clean.shape[1:], np.float32)
    line[31:-1:32] = line[:, 31:-1:32] = 1.05
    return _times(known, line)


def steps(known: Movie) -> np.ndarray:
    """Make tiles of 32 pixels 2 % brighter and 2 % darker in turn."""
    y, x = np.indices(known.clean.shape[1:]) // 32
    return _times(known, np.where((y + x) % 2, 1.02, 0.98).astype(np.float32))


def _times(known: Movie, factor: np.ndarray) -> np.ndarray:
    black = np.float32(known.noise.offset_adu)
    return black + (known.clean - black) * factor


def wrapped(known: Movie) -> np.ndarray:
    """Let the darkest values wrap around, as a cast to an unsigned integer does below 0."""
    dark = known.clean < np.percentile(known.clean, 0.1)
    return known.clean + np.float32(2.0 ** (8 * known.raw.itemsize)) * dark


def frames_lost(known: Movie) -> np.ndarray:
    """Leave out a frame in the middle, and show another twice a second later."""
    middle = len(known.clean) // 2
    order = np.r_[:middle, middle + 1 : middle + 20, middle + 19 : len(known.clean)]
    return known.clean[order]


def ramp(known: Movie) -> np.ndarray:
    """Let the baseline of every cell rise from one transient to the next instead of staying flat."""
    light = known.simulated.light
    movie = known.clean.copy()
    for cell, spikes, trace in zip(light.footprints, light.spikes, light.traces, strict=True):
        bent = _ramp(np.flatnonzero(spikes), len(trace)) * np.ptp(trace)
        scale = known.noise.expected(np.ones((1, 2)))[0, 1] - known.noise.expected(np.zeros((1, 2)))[0, 1]
        movie[:, cell.window[0], cell.window[1]] += (scale * bent[:, None, None] * cell.weights).astype(np.float32)
    return _mean_kept(known, movie)


def _mean_kept(known: Movie, movie: np.ndarray) -> np.ndarray:
    """Give every pixel the mean it had, as a network that minimises squared error does."""
    return movie + (known.clean.mean(axis=0) - movie.mean(axis=0))


def _ramp(events: np.ndarray, frames: int) -> np.ndarray:
    """Return a ramp from 0 to 0.3 over the longest gap between two events."""
    bent = np.zeros(frames)
    if len(events) > 1:
        gap = int(np.argmax(np.diff(events)))
        start, stop = events[gap], events[gap + 1]
        bent[start:stop] = np.linspace(0, 0.3, stop - start)
    return bent


def flicker(known: Movie) -> np.ndarray:
    gain = 1 + 0.02 * np.random.default_rng(0).standard_normal((len(known.clean), 1, 1))
    return _times(known, gain.astype(np.float32))


def raw_ends(known: Movie) -> np.ndarray:
    """Leave the first and the last 10 frames as they were."""
    return np.concatenate([known.raw[:10], known.clean[10:-10], known.raw[-10:]])


def raw_border(known: Movie) -> np.ndarray:
    """Leave the outer 8 pixels as they were."""
    movie = known.raw.astype(np.float32)
    movie[:, 8:-8, 8:-8] = known.clean[:, 8:-8, 8:-8]
    return movie


def rounded(known: Movie) -> np.ndarray:
    """Store whole grey levels, whatever few there are."""
    return np.rint(known.clean)


def bright_left_noisy(known: Movie) -> np.ndarray:
    """Leave half of the noise where the movie is brighter than its median."""
    bright = known.clean.mean(axis=0) > np.median(known.clean.mean(axis=0))
    return np.where(bright, (known.clean + known.raw) / 2, known.clean).astype(np.float32)


def still(known: Movie) -> np.ndarray:
    return np.broadcast_to(known.clean.mean(axis=0), known.clean.shape)


def leaked(known: Movie) -> np.ndarray:
    """Predict from both neighbours of the row a part of the noise that they share with a pixel."""
    noise = known.raw - known.clean
    return known.clean + np.float32(0.15) * (np.roll(noise, 1, axis=2) + np.roll(noise, -1, axis=2))


FAULTS: dict[str, Callable[[Movie], np.ndarray]] = {
    one.__name__: one
    for one in (
        clean,
        identity,
        running_mean,
        offset,
        loss,
        delay,
        widened,
        hallucinated,
        seam,
        steps,
        wrapped,
        frames_lost,
        ramp,
        still,
        leaked,
        flicker,
        raw_ends,
        raw_border,
        rounded,
        bright_left_noisy,
    )
}
