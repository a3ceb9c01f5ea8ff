"""Simulated calcium movies with known truth, made frame by frame.

Every frame has random numbers of its own, so neither memory nor bytes depend on how many frames are made at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from contract.files import atomic
from orchestrator.data.simulator.scene import DETECTOR, EXPOSURE, Light, Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.data.simulator.noise import Grey, NoiseModel

_IMAGEJ_LIMIT_BYTES = 2**32 - 2**20  # ImageJ's TIFF has 32-bit offsets; larger movies become OME BigTIFF


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """How a simulated dataset is made: one detector, and one scene for each split by its name."""

    noise: NoiseModel
    scenes: Mapping[str, Scene]


class SimulatedMovie:
    """A scene seen by a noisy detector."""

    def __init__(self, scene: Scene, noise: NoiseModel) -> None:
        self.light = Light(scene)
        self._scene = scene
        self._noise = noise
        self._expose = noise.detector((scene.height, scene.width), scene.rng(DETECTOR))

    def clean(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return what the noisy frames are on average."""
        frames = [self._noise.expected(self.light.photons(frame)) for frame in range(start, stop)]
        return np.stack(frames).astype(np.float32)

    def noisy(self, start: int, stop: int) -> Grey:
        """Return frames as the detector stores them, see `clean`: ndarray of shape (T, Y, X), uint8 or uint16."""
        return np.stack(
            [self._expose(self.light.photons(frame), self._scene.rng(EXPOSURE, frame)) for frame in range(start, stop)]
        )


def write_movie(  # noqa: PLR0913 - three files are the point
    scene: Scene, noise: NoiseModel, *, noisy: Path, target: Path, truth: Path, progress: Callable[[int], None]
) -> None:
    """Simulate a movie into three files; each gets its name only when it is complete."""
    movie = SimulatedMovie(scene, noise)
    for path, make, dtype in ((noisy, movie.noisy, noise.dtype), (target, movie.clean, np.dtype(np.float32))):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as part:
            frames = (make(frame, frame + 1)[0] for frame in range(scene.frames))
            _write_stack(part, _counted(frames, progress), dtype, scene)
    truth.parent.mkdir(parents=True, exist_ok=True)
    with atomic(truth) as part, part.open("wb") as stream:
        np.savez(
            stream,
            labels=movie.light.labels(),
            traces=movie.light.traces.astype(np.float32),
            spikes=movie.light.spikes,
            frame_rate_hz=np.float64(scene.frame_rate_hz),
        )


def _counted(frames: Iterator[NDArray[Any]], progress: Callable[[int], None]) -> Iterator[NDArray[Any]]:
    for frame in frames:
        yield frame
        progress(frame.nbytes)


def _write_stack(path: Path, frames: Iterator[NDArray[Any]], dtype: np.dtype[Any], scene: Scene) -> None:
    """Write an ImageJ hyperstack, or OME BigTIFF beyond 4 GiB; neither holds a date, a version or a random number."""
    shape = (scene.frames, scene.height, scene.width)
    large = math.prod(shape) * dtype.itemsize > _IMAGEJ_LIMIT_BYTES
    interval_s = 1 / scene.frame_rate_hz
    imagej = {"axes": "TYX", "fps": scene.frame_rate_hz, "finterval": interval_s, "unit": "um"}
    ome = {
        "axes": "TYX",
        "UUID": "urn:uuid:00000000-0000-4000-8000-000000000000",
        "Creator": "calm",
        "TimeIncrement": interval_s,
        "TimeIncrementUnit": "s",
        "PhysicalSizeX": scene.um_per_pixel,
        "PhysicalSizeY": scene.um_per_pixel,
    }
    with tifffile.TiffWriter(path, imagej=not large, ome=large, bigtiff=large) as tiff:
        tiff.write(
            frames,
            shape=shape,
            dtype=dtype,
            photometric="minisblack",
            metadata=ome if large else imagej,
            software="calm",
            resolution=(1 / scene.um_per_pixel, 1 / scene.um_per_pixel),
        )
