"""Denoising: a window of embeddings slides over the movie, whole frames at a time.

Each frame goes through the U-Net once, and each convolution over time runs once for each frame: its last inputs are
kept for the next block. Memory does not depend on the length of the movie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from contract.batches import Batches
from contract.device import autocast
from contract.pipeline import ahead, depth_for, later
from contract.transfer import leaving, ready_for
from timing import frames_around
from window import Window, feature_window, frame_window, upstream_shift, window_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.job import Job
    from network import CellMincer, TemporalDenoiser
    from preprocess import Prepared

_PIXELS = 1 << 18  # padded pixels embedded at a time: enough to keep the processor busy
_MOST_FRAMES = 8
_GPU_FRAMES = 32  # at a time on a GPU, the same on every card, as the bits may depend on it
_STRIP_PIXELS = 1 << 16  # pixels that the convolutions over time see at a time


class Denoiser:
    """Denoise one movie with one network.

    Parameters
    ----------
    network : CellMincer
        Trained network; put into evaluation mode.
    prepared : Prepared
        The movie.
    job : Job
        Device and precision.
    upstream : bool
        Read the movie one pixel off where upstream does, and copy the first and last frames.
    tell : callable
        Is told how many frames a GPU embeds at a time, as of tiles.
    """

    def __init__(
        self,
        network: CellMincer,
        prepared: Prepared,
        job: Job,
        *,
        upstream: bool,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._network, self._prepared, self._job, self._upstream = network.eval(), prepared, job, upstream
        architecture = network.architecture
        self._order = architecture.t_order
        self._window = _whole_frame(prepared, network, upstream=upstream)
        features = feature_window(prepared, self._window, architecture.padding_mode)
        with torch.no_grad(), autocast(job):
            self._contexts = network.spatial_unet.contexts(torch.from_numpy(features[None]).to(job.device))
        self._at_a_time = int(np.clip(_PIXELS // features[0].size, 1, _MOST_FRAMES))
        self._batches = Batches(job.device, tell, self._embedded, at_once=self._at_a_time)
        if job.device == "cuda":
            self._at_a_time = _GPU_FRAMES

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the denoised movie in order.

        Yields
        ------
        ndarray of shape (n, X, Y), float32
            Counts: what the network found plus the trend.
        """
        length, half = len(self._prepared.recording), self._order // 2
        if length < self._order:
            yield from self._near_an_end(np.arange(length), self._embed(self._read(0, length)))
            return
        held = self._embed(self._read(0, self._order - 1))
        if not self._upstream:
            yield from self._near_an_end(np.arange(half), held)
        for start, block in self._sliding(held):
            if self._upstream and start == half:
                yield from (self._finished(frame, block[:1]) for frame in range(half))
            yield self._finished(start, block)
        last = np.arange(length - half, length)
        if self._upstream:
            yield from (self._finished(frame, block[-1:]) for frame in last)
        else:
            yield from self._near_an_end(last, self._embed(self._read(length - self._order + 1, length)))

    def _sliding(self, held: torch.Tensor) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of the first frame and the frames, for all that have `order` frames around them.

        `held` are the embeddings of the first ``order - 1`` frames.
        """
        parts = self._strips()
        slides = [_Slide(self._network.temporal_denoiser) for _ in parts]
        self._push(slides, parts, held)
        length, first = len(self._prepared.recording), self._order - 1
        starts = range(first, length, self._at_a_time)
        reading = ((start, self._read(start, min(start + self._at_a_time, length))) for start in starts)
        depth = depth_for(self._job.device)
        made = (
            (start - self._order // 2, self._push(slides, parts, self._embed(frames)))
            for start, frames in ahead(reading, depth)
        )
        for start, strips in later(made, depth):
            yield start, np.concatenate([arrived()[0] for arrived in strips], axis=1)

    def _push(self, slides: list[_Slide], parts: list[slice], embedded: torch.Tensor) -> list[Callable[[], np.ndarray]]:
        with torch.no_grad(), autocast(self._job):
            made = [slide.push(embedded[:, :, :, part]) for slide, part in zip(slides, parts, strict=True)]
        return [leaving(strip.float()) for strip in made if strip is not None]

    def _near_an_end(self, frames: np.ndarray, held: torch.Tensor) -> Iterator[np.ndarray]:
        """Denoise frames at an end of the movie from the embeddings of the up to ``order - 1`` frames there."""
        length = len(self._prepared.recording)
        first = 0 if frames[0] == 0 else length - held.shape[2]
        for frame in frames:
            around = torch.from_numpy(frames_around(int(frame), length, self._order) - first).to(held.device)
            with torch.no_grad(), autocast(self._job):
                strips = [self._network.temporal_denoiser(held[:, :, around, part]) for part in self._strips()]
            block = np.concatenate([leaving(strip[0].float())() for strip in strips], axis=1)
            yield self._finished(int(frame), block)

    def _read(self, start: int, stop: int) -> torch.Tensor:
        """Return frames [start, stop) with surroundings, (n, X, Y), where the device can take them from."""
        window = frame_window(self._prepared, np.arange(start, stop), self._window)
        return ready_for(self._job.device, np.ascontiguousarray(window))

    def _embed(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of frames: (1, C, n, X, Y)."""
        return torch.stack(list(self._batches.over(frames)), dim=1)[None]

    def _embedded(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of frames: (n, C, X, Y)."""
        with torch.no_grad(), autocast(self._job):
            embedded = self._network.embed(frames[None], self._contexts)
        return self._window.cropped(embedded)[0].transpose(0, 1)

    def _strips(self) -> list[slice]:
        """Cut the frame for the convolutions over time, which do not look sideways."""
        width, height = self._prepared.recording.shape[1:]
        rows = max(1, _STRIP_PIXELS // height)
        return [slice(start, min(start + rows, width)) for start in range(0, width, rows)]

    def _finished(self, start: int, block: np.ndarray) -> np.ndarray:
        """Return counts; pixels that never change stay as they are."""
        trend = self._prepared.trend.at(np.arange(start, start + len(block)))
        signal = np.where(self._prepared.constant, np.float32(0), block * np.float32(self._prepared.features.scale))
        return trend + signal


class _Slide:
    """The convolutions over time on a stream of embeddings: what each needs of the past is kept."""

    def __init__(self, denoiser: TemporalDenoiser) -> None:
        self._denoiser = denoiser
        self._kept: dict[int, torch.Tensor] = {}

    def push(self, embedded: torch.Tensor) -> torch.Tensor | None:
        """Take embeddings (1, C, n, X, Y) and return the frames that have become possible: (1, n', X, Y), or None."""
        values = embedded.flatten(3)
        for number, layer in enumerate(self._denoiser.layers):
            past = layer.kernel_size[0] - 1 if isinstance(layer, torch.nn.Conv3d) else 0
            if past:
                values = torch.cat([self._kept[number], values], dim=2) if number in self._kept else values
                self._kept[number] = values[:, :, -past:].clone()
                if values.shape[2] <= past:
                    return None
            values = self._denoiser.apply_layer(layer, values)
        return values[:, 0].unflatten(2, embedded.shape[3:])


def _whole_frame(prepared: Prepared, network: CellMincer, *, upstream: bool) -> Window:
    width, height = prepared.recording.shape[1:]
    valid = network.architecture.valid
    shift = upstream_shift(width, height, (width, height), valid) if upstream else (0, 0)
    return window_at((0, 0), (width, height), valid, shift)
