"""What a simulated microscope looks at: cells with transients, boutons, neuropil, uneven and fading light."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from orchestrator.documents import Count, Document, Hertz, Length, NotNegative, Positive, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

# Every purpose draws from a stream of its own: more cells do not change the noise.
SHAPES, SPIKES, NEUROPIL, DETECTOR, EXPOSURE = range(5)
# Photons are rounded to this grid: the last bit of exp() differs between processors, and no file may depend on it.
PHOTON_GRID = 2.0**-10
_EDGE_PX = 2.0  # width of the blurred border of a cell: the resolution of a microscope
_PROCESS_SIGMA_PX = 1.0  # half width of a dendrite or axon: thinner than the resolution
_PUNCTUM_RADIUS_PX = 2.0  # a bouton is as large as the resolution lets it be
_NEUROPIL_FIELDS = 4  # patterns whose brightness drifts independently


class Place(Document, frozen=True, kw_only=True):
    """What is in front of the detector, whatever the random numbers and however long one looks."""

    height: Length
    width: Length
    frame_rate_hz: Hertz
    um_per_pixel: Positive
    cells: Count
    puncta: Count
    soma_radius_um: Positive
    dark_nuclei: Share
    process_um: NotNegative
    neuropil_photons: NotNegative
    resting_photons: NotNegative
    spike_photons: NotNegative
    spike_rate_hz: NotNegative
    rise_s: Positive
    decay_s: Positive
    bleach_s: Positive
    vignette: Share


class Scene(Place, frozen=True, kw_only=True):
    """A place with the seed of its random numbers, looked at for so many frames."""

    seed: Count
    frames: Length

    def rng(self, purpose: int, frame: int = 0) -> np.random.Generator:
        """Return the random numbers of one purpose (and, for exposures, of one frame)."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(purpose, frame))))


class Footprint(NamedTuple):
    """One cell: `weights` (float64, 0 to 1) and `soma` (bool), both of shape (H, W), lie at `window` of the frame."""

    window: tuple[slice, slice]
    weights: Floats
    soma: NDArray[np.bool_]


class Light:
    """The light of a scene, frame by frame."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        rng = scene.rng(SHAPES)
        self.footprints = [_cell(scene, centre, rng) for centre in _centres(scene, rng)]
        self.footprints += [_punctum(scene, rng) for _ in range(scene.puncta)]
        self.spikes, self.traces = _activity(scene)
        self._neuropil = _neuropil_fields(scene)
        self._illumination = _illumination(scene)

    def photons(self, frame: int) -> Floats:
        """Return the mean number of photons per pixel in one frame: ndarray of shape (Y, X), float64."""
        static, drifting, periods_s, phases = self._neuropil
        time_s = frame / self._scene.frame_rate_hz
        light = static.copy()
        for field, period_s, phase in zip(drifting, periods_s, phases, strict=True):
            light += math.cos(2 * math.pi * time_s / period_s + phase) * field
        for cell, trace in zip(self.footprints, self.traces, strict=True):
            light[cell.window] += trace[frame] * cell.weights
        light *= self._illumination * math.exp(-time_s / self._scene.bleach_s)
        photons: Floats = np.rint(light / PHOTON_GRID) * PHOTON_GRID
        return photons

    def labels(self) -> NDArray[np.uint16]:
        """Return the map of the cell bodies: ndarray of shape (Y, X), uint16, 1 + index of the cell, 0 elsewhere."""
        labels = np.zeros((self._scene.height, self._scene.width), np.uint16)
        for index, cell in enumerate(self.footprints):
            labels[cell.window][cell.soma] = index + 1
        return labels


def _centres(scene: Scene, rng: np.random.Generator) -> Floats:
    """Place the cell bodies at random, apart from each other while there is room."""
    centres = np.empty((0, 2))
    for _ in range(scene.cells):
        candidates = rng.uniform(0, (scene.height, scene.width), (20, 2))
        gaps = np.hypot(*(candidates[:, None] - centres).transpose(2, 0, 1)).min(axis=1, initial=np.inf)
        apart = np.flatnonzero(gaps > 2.4 * scene.soma_radius_um / scene.um_per_pixel)
        centres = np.vstack([centres, candidates[apart[0] if apart.size else np.argmax(gaps)]])
    return centres


def _cell(scene: Scene, centre: Floats, rng: np.random.Generator) -> Footprint:
    """Make a body with a smooth random outline (a periodic Gaussian process), perhaps a dark nucleus, and a process."""
    radius_px = scene.soma_radius_um / scene.um_per_pixel * rng.uniform(0.8, 1.2)
    process_px = scene.process_um / scene.um_per_pixel
    window, y, x = _grid(scene, centre, 2 * radius_px + process_px)
    angle, distance = np.arctan2(y, x), np.hypot(y, x)
    outline = np.full_like(distance, radius_px)
    for harmonic in range(2, 7):
        cosine, sine = rng.normal(0, 0.18 * radius_px / harmonic, 2)
        outline += cosine * np.cos(harmonic * angle) + sine * np.sin(harmonic * angle)
    body = _disc(distance, outline)
    dark = rng.random() < scene.dark_nuclei
    weights = body * (1 - 0.8 * _disc(distance, 0.55 * outline)) if dark else body.copy()
    for spot_y, spot_x in _path(radius_px, process_px, rng):
        squared = (y - spot_y) ** 2 + (x - spot_x) ** 2
        np.maximum(weights, 0.7 * np.exp(-squared / (2 * _PROCESS_SIGMA_PX**2)), out=weights)
    return Footprint(window, weights, body >= 0.5)  # noqa: PLR2004 - half of the border


def _punctum(scene: Scene, rng: np.random.Generator) -> Footprint:
    """Make a bouton: a small ellipse."""
    centre = rng.uniform(0, (scene.height, scene.width))
    window, y, x = _grid(scene, centre, 3 * _PUNCTUM_RADIUS_PX)
    stretch, angle = rng.uniform(0.7, 1.4), rng.uniform(0, math.pi)
    along = y * math.cos(angle) + x * math.sin(angle)
    across = x * math.cos(angle) - y * math.sin(angle)
    weights = _disc(np.hypot(along / stretch, across * stretch), _PUNCTUM_RADIUS_PX)
    return Footprint(window, weights, weights >= 0.5)  # noqa: PLR2004 - half of the border


def _grid(scene: Scene, centre: Floats, reach_px: float) -> tuple[tuple[slice, slice], Floats, Floats]:
    """Return the window around a centre, cut at the frame, and the coordinates of its pixels relative to the centre."""
    window = tuple(
        slice(max(0, math.floor(middle - reach_px)), min(size, math.ceil(middle + reach_px) + 1))
        for middle, size in zip(centre, (scene.height, scene.width), strict=True)
    )
    y, x = np.mgrid[window]
    return (window[0], window[1]), y - centre[0], x - centre[1]


def _disc(distance: Floats, radius: Floats | float) -> Floats:
    disc: Floats = np.clip((radius - distance) / _EDGE_PX + 0.5, 0.0, 1.0)
    return disc


def _path(radius_px: float, length_px: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Walk away from a cell body in half-pixel steps and a slowly turning direction."""
    angle = rng.uniform(0, 2 * math.pi)
    y, x = radius_px * math.sin(angle), radius_px * math.cos(angle)
    spots = []
    for turn in rng.normal(0, 0.12, int(2 * length_px)):
        angle += turn
        y, x = y + 0.5 * math.sin(angle), x + 0.5 * math.cos(angle)
        spots.append((y, x))
    return spots


def _activity(scene: Scene) -> tuple[NDArray[np.uint8], Floats]:
    """Draw Poisson spikes and pass them through an autoregressive filter of order 2 in which one spike peaks at 1."""
    rng = scene.rng(SPIKES)
    count = scene.cells + scene.puncta
    burn_in = math.ceil(5 * scene.decay_s * scene.frame_rate_hz)
    rates = rng.exponential(scene.spike_rate_hz / scene.frame_rate_hz, (count, 1))
    spikes = rng.poisson(rates, (count, burn_in + scene.frames)).clip(0, 255).astype(np.uint8)
    resting = scene.resting_photons * rng.uniform(0.5, 1.5, count)
    peak = scene.spike_photons * rng.uniform(0.5, 1.5, count)
    decay = math.exp(-1 / (scene.decay_s * scene.frame_rate_hz))
    rise = math.exp(-1 / (scene.rise_s * scene.frame_rate_hz))
    calcium = np.zeros((count, burn_in + scene.frames + 2))
    for t in range(burn_in + scene.frames):
        calcium[:, t + 2] = (decay + rise) * calcium[:, t + 1] - decay * rise * calcium[:, t] + spikes[:, t]
    response = [(decay ** (t + 1) - rise ** (t + 1)) / (decay - rise) for t in range(burn_in)]
    traces = resting[:, None] + peak[:, None] * calcium[:, burn_in + 2 :] / max(response)
    return spikes[:, burn_in:], np.rint(traces / PHOTON_GRID) * PHOTON_GRID


def _neuropil_fields(scene: Scene) -> tuple[Floats, list[Floats], Floats, Floats]:
    """Return a smooth background, fields whose brightness drifts, and the periods (s) and phases of the drift."""
    rng = scene.rng(NEUROPIL)
    static = scene.neuropil_photons * (1 + 0.4 * _smooth_field(scene, rng))
    drifting = [0.1 * scene.neuropil_photons * _smooth_field(scene, rng) for _ in range(_NEUROPIL_FIELDS)]
    return static, drifting, rng.uniform(2, 8, _NEUROPIL_FIELDS), rng.uniform(0, 2 * math.pi, _NEUROPIL_FIELDS)


def _smooth_field(scene: Scene, rng: np.random.Generator) -> Floats:
    """Sum plane waves longer than two cell bodies: ndarray of shape (Y, X), between -1 and 1."""
    y, x = np.mgrid[: scene.height, : scene.width] * scene.um_per_pixel
    shortest_um = 4 * scene.soma_radius_um
    field = np.zeros((scene.height, scene.width))
    waves = 8
    for _ in range(waves):
        angle, phase = rng.uniform(0, 2 * math.pi, 2)
        wave_um = shortest_um * rng.uniform(1, 4)
        field += np.cos(2 * math.pi * (y * math.sin(angle) + x * math.cos(angle)) / wave_um + phase)
    return field / waves


def _illumination(scene: Scene) -> Floats:
    """Return the light over the field of view: 1 in the centre, ``1 - vignette`` in the corners."""
    y = np.linspace(-1, 1, scene.height)[:, None]
    x = np.linspace(-1, 1, scene.width)
    return 1 - scene.vignette * (y**2 + x**2) / 2
