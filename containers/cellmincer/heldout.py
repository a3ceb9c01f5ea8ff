"""How well masked pixels that were never trained on are predicted: the evidence that a network denoises.

A masked value cannot be copied, so the mean squared error of its prediction is the noise variance plus the error
against the clean signal. Three references are measured on the same pixels: the trend alone (a still picture), the
noisy movie itself (its error against the signal is the noise variance, so twice that against another noisy value) and
the noise floor, below which only a network can get that copies noise from correlated neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from contract.device import autocast
from contract.evidence import Baseline, document_of
from contract.memory import give_back
from contract.seeding import generator
from masking import Span, draw_mask, hide
from timing import frames_around
from window import feature_window, frame_window, noise_window, window_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.job import Job
    from correlation import Occlusion
    from network import CellMincer
    from preprocess import Prepared
    from settings import Settings
    from window import Window

_PURPOSE = 0xE71D
WINDOWS = 32  # windows looked at
_SIDE = 64  # their largest side, pixels
_SQUARE = 8  # side of the squares that the standard error comes from, pixels; wider than noise is correlated
_LEAK = 0.7  # of the noise floor; an honest network is above it, but for the error of the floor
_SIGMAS = 2.0  # standard errors by which the network must be better than the trend


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Mean squared errors on held-out masked pixels, in units of the variance of the noise there.

    The variance is measured on the movie and holds what the signal changes from frame to frame, some percent, so the
    error against the clean signal, network - 1, is not known well enough to call it a gain over the noisy movie. The
    difference of network and trend does not suffer from that.

    Parameters
    ----------
    network : float
        Of the network; 1 would be perfect.
    trend : float
        Of the trend alone.
    noisy : float
        Of the noisy movie against an independent noisy one: 2 by definition.
    better_by_sigmas : float
        How many standard errors the network is better than the trend. Were it not better, the difference of the
        squared errors at a pixel would be chance of the noise there, which far pixels do not share; so the error is
        that of a sum over squares of 8 pixels, whose differences vary independently. Windows as a whole are the wrong
        unit: one with a large transient, where the network is best, would blur the mean of all.
    quiet_network : float
        Of the network where there is hardly any signal; well below 1 only if noise is copied.
    pixels : int
        Masked pixels looked at.
    """

    network: float
    trend: float
    noisy: float
    better_by_sigmas: float
    quiet_network: float
    pixels: int

    @property
    def leaks(self) -> bool:
        """Whether the error is so far below the noise floor that noise must be copied."""
        return self.quiet_network < _LEAK

    @property
    def leakage(self) -> str | None:
        """Return a sentence when noise is copied, None when it is not."""
        if not self.leaks:
            return None
        return (
            f"leakage: where there is hardly any signal the error is {self.quiet_network:.2f} of the noise variance, "
            "so noise is copied from neighbours that share it; train with a larger occlusion_radius"
        )

    @property
    def failure(self) -> str | None:
        """Return a sentence when the network is of no use, None when it is."""
        found = f"{self.pixels} masked pixels: error {self.network:.3f} (in units of the noise variance)"
        if not self.network < self.noisy:
            return f"{found}, not below that of the noisy movie itself ({self.noisy:.3f})"
        if not self.better_by_sigmas > _SIGMAS:
            return (
                f"{found} against {self.trend:.3f} of the trend alone, {self.better_by_sigmas:.1f} standard errors "
                f"better where more than {_SIGMAS:.0f} are expected: the prediction would be a still picture"
            )
        return None

    @property
    def sentence(self) -> str:
        """Say how the network does beside the trend alone and the noisy movie."""
        return (
            f"masked pixels, in units of the noise variance: error {self.network:.3f}, "
            f"trend alone {self.trend:.3f}, noisy {self.noisy:.3f}"
        )

    def document(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return document_of(self) | {"leaks": self.leaks, "failure": self.failure}


class _Probe(NamedTuple):
    """One window of one movie, as arrays: see `HeldOut`."""

    movie: Prepared
    frame: int
    corner: tuple[int, int]
    frames: np.ndarray
    masked: np.ndarray
    window: Window
    counts: np.ndarray
    target: np.ndarray
    constant: np.ndarray
    noise_variance: np.ndarray
    quiet: np.ndarray


class HeldOut:
    """Masked windows of movies, always the same ones.

    Parameters
    ----------
    movies : list of (Prepared, ndarray of int)
        Movies and the frames to look at.
    settings : Settings
        Masks and network.
    occlusion : Occlusion
        Box hidden around each masked pixel.
    job : Job
        Seed, device and precision.
    windows : int
        How many windows.
    """

    def __init__(
        self,
        movies: list[tuple[Prepared, np.ndarray]],
        settings: Settings,
        occlusion: Occlusion,
        job: Job,
        windows: int = WINDOWS,
    ) -> None:
        self._job, self._order = job, settings.architecture.t_order
        self._padding_mode = settings.architecture.padding_mode
        self._groups: dict[tuple[int, ...], list[_Probe]] = {}  # by size, as only equal sizes make a batch
        for number in range(windows):
            movie, frames = movies[number % len(movies)]
            turn, turns = number // len(movies), -(-windows // len(movies))
            frame = int(frames[int((turn + 0.5) * len(frames) / turns)])
            rng = generator(job.seed, _PURPOSE, number)
            probe = _probe(movie, frame, settings, occlusion, rng)
            self._groups.setdefault(probe.frames.shape, []).append(probe)

    def evidence(self, network: CellMincer) -> Evidence:
        """Measure a network the way it is used for denoising; it is left in training mode."""
        network.eval()
        probes = [probe for group in self._groups.values() for probe in group]
        rows = [
            _errors(probe, self._predict(network, probe, probe.masked)) for probe in probes
        ]  # one at a time, to save memory
        network.train()
        return _summary(np.concatenate(rows))

    def reestimate(self, network: CellMincer) -> None:
        """Set the statistics of all batch normalisations to those of unmasked frames of the windows.

        Every batch holds one frame of each window, so that its variance includes that between places. The network
        is left in training mode.
        """
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        network.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over batches
        for offset in sorted({0, self._order // 3, self._order // 2, self._order - 1}):
            for group in self._groups.values():
                frames = np.stack([probe.frames[offset : offset + 1] for probe in group])
                self._embed(network, frames, group)
            give_back()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def residual(self, network: CellMincer) -> float:
        """Return the mean of movie minus prediction, no pixel hidden, in units of the features' scale."""
        return float(np.mean([(probe.target - predicted).mean() for probe, predicted in self._unhidden(network)]))

    def baseline(self, network: CellMincer, on: str) -> Baseline:
        """Measure what a network does to the mean, no pixel hidden, counts."""
        means = []
        for probe, predicted in self._unhidden(network):
            xs, ys = (slice(start, start + side) for start, side in zip(probe.corner, predicted.shape, strict=True))
            trend = float(probe.movie.trend.at(np.array([probe.frame]), xs, ys).mean(dtype=np.float64))
            scale = probe.movie.features.scale
            means.append([trend + scale * float(part.mean()) for part in (probe.target, predicted)])
        noisy, predicted = np.mean(means, axis=0)
        return Baseline(noisy=float(noisy), predicted=float(predicted), on=on)

    def _unhidden(self, network: CellMincer) -> Iterator[tuple[_Probe, np.ndarray]]:
        """Predict each window without a mask; pixels that never change stay as they are. Training mode again after."""
        network.eval()
        for probe in (probe for group in self._groups.values() for probe in group):
            yield probe, np.where(probe.constant, np.float32(0), self._predict(network, probe, probe.frames))
        network.train()

    def _embed(self, network: CellMincer, frames: np.ndarray, probes: list[_Probe]) -> torch.Tensor:
        with torch.no_grad(), autocast(self._job):
            singles = [network.spatial_unet.contexts(self._features(probe)) for probe in probes]
            contexts = [None if level[0] is None else torch.cat(level) for level in zip(*singles, strict=True)]
            return network.embed(torch.from_numpy(frames).to(self._job.device), contexts)

    def _features(self, probe: _Probe) -> torch.Tensor:
        """Return the maps of one window, (1, F, X', Y'), made when needed: those of all windows would fill memory."""
        maps = feature_window(probe.movie, probe.window, self._padding_mode)
        return torch.from_numpy(maps[None]).to(self._job.device)

    def _predict(self, network: CellMincer, probe: _Probe, frames: np.ndarray) -> np.ndarray:
        give_back()
        embedded = self._embed(network, frames[None], [probe])
        with torch.no_grad(), autocast(self._job):
            predicted = network.temporal_denoiser(embedded)
        return probe.window.cropped(predicted[0, 0].float().cpu().numpy())


def _probe(movie: Prepared, frame: int, settings: Settings, occlusion: Occlusion, rng: np.random.Generator) -> _Probe:
    """Cut a masked window out of a movie at a random place."""
    shape = movie.recording.shape[1:]
    width, height = (min(length, _SIDE) for length in shape)
    x, y = (int(rng.integers(0, length - side + 1)) for length, side in zip(shape, (width, height), strict=True))
    window = window_at((x, y), (width, height), settings.architecture.valid)
    order = settings.architecture.t_order
    frames = frame_window(movie, frames_around(frame, len(movie.recording), order), window)
    mask = draw_mask(rng, window, Span(order, 1), settings.fitting.occlusion_prob, occlusion)
    xs, ys = (
        slice(border.before, border.before + side) for border, side in zip(window.borders, (width, height), strict=True)
    )
    here = slice(x, x + width), slice(y, y + height)
    return _Probe(
        movie=movie,
        frame=frame,
        corner=(x, y),
        frames=frames,
        masked=hide(rng, frames, mask.hidden, noise_window(movie, window)),
        window=window,
        counts=mask.centres[0] & ~movie.constant[here],
        target=frames[order // 2, xs, ys],
        constant=movie.constant[here],
        noise_variance=movie.statistics.variance[here] / movie.features.scale**2,
        quiet=movie.quiet[here],
    )


def _errors(probe: _Probe, predicted: np.ndarray) -> np.ndarray:
    """Return sums over the masked pixels of each square of a window, (squares, 6).

    They are count, error of network and trend, noise; and error of the network and noise of the quiet ones among them.
    """
    error = (predicted - probe.target) ** 2
    quiet = probe.counts & probe.quiet
    maps = (
        probe.counts,
        error * probe.counts,
        probe.target**2 * probe.counts,
        probe.noise_variance * probe.counts,
        error * quiet,
        probe.noise_variance * quiet,
    )
    rows, columns = (np.arange(0, length, _SQUARE) for length in error.shape)
    sums = np.add.reduceat(np.add.reduceat(np.array(maps, np.float64), rows, axis=1), columns, axis=2)
    return sums.reshape(len(maps), -1).T


def _summary(squares: np.ndarray) -> Evidence:
    squares = squares[squares[:, 0] > 0]
    if not len(squares):
        squares = np.array([[0.0, 2.0, 1.0, 1.0, 1.0, 1.0]])
    pixels, network, trend, noise, quiet_network, quiet_noise = squares.sum(axis=0)
    count, better = len(squares), squares[:, 2] - squares[:, 1]
    unexplained = better - squares[:, 0] * better.sum() / max(pixels, 1)  # standard error of a ratio of sums
    spread = math.sqrt(float((unexplained**2).sum()) * count / (count - 1)) if count > 1 else 0.0
    unit = noise or 1.0
    return Evidence(
        network=float(network / unit),
        trend=float(trend / unit),
        noisy=2.0,
        better_by_sigmas=float(better.sum() / spread) if spread > 0 else 0.0,
        quiet_network=float(quiet_network / quiet_noise) if quiet_noise > 0 else 1.0,
        pixels=int(pixels),
    )
