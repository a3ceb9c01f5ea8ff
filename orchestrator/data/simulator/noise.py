"""Noise of the two detectors of calcium imaging: from photons that hit a pixel to the grey level that is stored.

Both models are linear on average, so the noise-free counterpart of a movie is known exactly: `expected` of the photons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
from msgspec import Meta

from orchestrator.documents import Document, NotNegative, Positive, Share

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Grey = NDArray[np.unsignedinteger[Any]]
    Sample = Callable[[Floats, np.random.Generator], Grey]


class NoiseModel(Protocol):
    """What the simulator needs to know about a detector."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored grey levels."""
        ...

    def expected(self, photons: Floats) -> Floats:
        """Return the mean grey level of each pixel over many noisy exposures."""
        ...

    def detector(self, shape: tuple[int, int], rng: np.random.Generator) -> Sample:
        """Draw what is fixed in one device (the noise of each pixel) and return the function that exposes frames."""
        ...


class TwoPhoton(Document, frozen=True, kw_only=True, tag_field="kind", tag="two_photon"):
    """Photomultiplier of a scanning two-photon microscope.

    The charge of n photons is log-normal with mean ``n * gain`` and variance ``n * (gain * gain_cv)**2``. Some photons
    arrive so late that a part of their charge is read with the next pixel of the fast axis, which correlates the noise
    of neighbours. After the noise of NAOMi, Song et al. 2021, https://doi.org/10.1016/j.jneumeth.2021.109173, except
    that there the charge of a whole pixel spills over.
    """

    gain_adu_per_photon: Positive
    gain_cv: Positive
    dark_photons: NotNegative
    read_noise_adu: NotNegative
    bleed_probability: Share
    bleed_fraction: Share
    offset_adu: float

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint16: 16 bits of the digitiser."""
        return np.dtype(np.uint16)

    def expected(self, photons: Floats) -> Floats:
        """Return the mean grey levels, see `NoiseModel.expected`."""
        charge = self.gain_adu_per_photon * (_with_left_neighbour(photons) + self.dark_photons)
        spilled = self.bleed_probability * self.bleed_fraction
        return self.offset_adu + charge[:, 1:] * (1 - spilled) + charge[:, :-1] * spilled

    def detector(self, shape: tuple[int, int], rng: np.random.Generator) -> Sample:  # noqa: ARG002 - one tube scans all pixels
        """Return the function that exposes frames, see `NoiseModel.detector`."""
        return self._expose

    def _expose(self, photons: Floats, rng: np.random.Generator) -> Grey:
        rate = _with_left_neighbour(photons) + self.dark_photons
        in_time = self._amplified(rng.poisson((1 - self.bleed_probability) * rate), rng)
        late = self._amplified(rng.poisson(self.bleed_probability * rate), rng)
        spilled = self.bleed_fraction * late
        charge = (in_time + late - spilled)[:, 1:] + spilled[:, :-1]
        electronic = rng.normal(self.offset_adu, self.read_noise_adu, charge.shape)
        return _digitise(charge + electronic, top=65535, dtype=self.dtype)

    def _amplified(self, counts: NDArray[np.integer[Any]], rng: np.random.Generator) -> Floats:
        photons = np.maximum(counts, 1)  # a pixel without photons gets no charge; 1 keeps the logarithm finite
        log_variance = np.log1p(self.gain_cv**2 / photons)
        log_mean = np.log(self.gain_adu_per_photon * photons) - log_variance / 2
        charge = np.exp(log_mean + np.sqrt(log_variance) * rng.standard_normal(counts.shape))
        return np.where(counts > 0, charge, 0.0)


class Scmos(Document, frozen=True, kw_only=True, tag_field="kind", tag="scmos"):
    """Scientific CMOS camera of a widefield microscope."""

    quantum_efficiency: Annotated[float, Meta(gt=0, le=1)]
    dark_electrons: NotNegative
    read_noise_electrons: NotNegative
    read_noise_spread: NotNegative
    row_noise_electrons: NotNegative
    gain_adu_per_electron: Positive
    offset_adu: float
    bits: Annotated[int, Meta(ge=1, le=16)]
    levels: Annotated[int, Meta(ge=2)] | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 up to 8 bits, uint16 above."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)  # noqa: PLR2004 - bits of a byte

    def expected(self, photons: Floats) -> Floats:
        """Return the mean grey levels, see `NoiseModel.expected`; the rare clipped pixels are not accounted for."""
        electrons = self.quantum_efficiency * np.asarray(photons, np.float64) + self.dark_electrons
        return self.offset_adu + self.gain_adu_per_electron * electrons

    def detector(self, shape: tuple[int, int], rng: np.random.Generator) -> Sample:
        """Draw the read noise of every pixel and return the function that exposes frames, see `NoiseModel.detector`."""
        read_noise = self.read_noise_electrons * np.exp(self.read_noise_spread * rng.standard_normal(shape))
        top = (self.levels or 2**self.bits) - 1

        def expose(photons: Floats, frame_rng: np.random.Generator) -> Grey:
            electrons = frame_rng.poisson(self.quantum_efficiency * photons + self.dark_electrons)
            read = read_noise * frame_rng.standard_normal(shape)
            row = self.row_noise_electrons * frame_rng.standard_normal((shape[0], 1))
            grey = self.offset_adu + self.gain_adu_per_electron * (electrons + read + row)
            return _digitise(grey, top=top, dtype=self.dtype)

        return expose


def _with_left_neighbour(photons: Floats) -> Floats:
    """Repeat the first column, so that the first pixel of a row is like any other."""
    return np.concatenate([photons[:, :1], photons], axis=1, dtype=np.float64)


def _digitise(grey: Floats, *, top: int, dtype: np.dtype[Any]) -> Grey:
    return np.clip(np.rint(grey), 0, top).astype(dtype)
