"""Draw reconstructions of frames from a trained network, each from random numbers of its own.

The encoder runs once per window, the decoder once per sample. The latents of (frame, sample) come from one field over
the whole frame, of which a tile takes its part: tiles of one sample fit together, and no result depends on how many
samples or which other frames are computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from contract.batches import Batches
from contract.seeding import torch_generator
from contract.transfer import ready_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    from careamics.models.lvae.lvae import LadderVAE

    from patch_source import Scale

_LATENTS = 0x1A7E7  # keeps these random numbers apart from those of training
_PIXELS_AT_ONCE = 2**16  # of all samples of a batch; larger batches were slower on a CPU


class Window(NamedTuple):
    """A part of a frame, in pixels of the frame padded to the multiple the network needs.

    Parameters
    ----------
    height, width : int
        Size of the padded frame.
    rows, columns : slice
        The part; begins and ends at multiples.
    """

    height: int
    width: int
    rows: slice
    columns: slice


class Posterior:
    """A trained network as a distribution of clean frames.

    Parameters
    ----------
    network : LadderVAE
        Trained; is put into prediction mode.
    scale : Scale
        Standardisation of the training stacks.
    seed : int
        Seed of the job.
    device : {"cpu", "cuda"}
        Of the job; where the network is.
    precision : callable
        Returns the context in which the network runs.
    offset : float
        Added to what the network gives, intensity units.
    tell : callable, optional
        Is told how many samples a GPU draws at a time, as of tiles.

    Attributes
    ----------
    latents : sequence of torch.Tensor of shape (n, channels, Y, X)
        Standard normal numbers of the samples drawn last, for each layer from the bottom.
    """

    def __init__(  # noqa: PLR0913 - one argument per role
        self,
        network: LadderVAE,
        scale: Scale,
        *,
        seed: int,
        device: str,
        precision: Callable[[], AbstractContextManager[Any]],
        offset: float = 0.0,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._network = network.eval()
        self._network.mode_pred = True  # no divergences are computed
        self._scale, self._seed, self._device, self._precision = scale, seed, device, precision
        self._base = scale.mean + offset
        self._tell = tell or (lambda _: None)
        self._on_gpu = Batches(device, self._tell, self._decode)
        self._encoded: Sequence[torch.Tensor] = ()
        self.latents: Sequence[torch.Tensor] = ()
        self._shapes: list[torch.Size] = []
        for layer, top_down in enumerate(network.top_down_layers):
            top_down.stochastic.get_z = self._latent_of(layer)

    def samples(self, pixels: np.ndarray, window: Window, frame: int, count: int) -> Iterator[torch.Tensor]:
        """Draw reconstructions of one window of a frame.

        Parameters
        ----------
        pixels : ndarray of shape (y, x), float32
            Noisy pixels of the window, intensity units.
        window : Window
            Where they lie.
        frame : int
            Number of the frame in its movie; with the seed and the number of the sample it chooses the latents.
        count : int
            Samples to draw.

        Yields
        ------
        torch.Tensor of shape (y, x), float32
            Samples 0 .. count - 1, intensity units.
        """
        there = ready_for(self._device, pixels).to(self._device, non_blocking=True)
        with torch.inference_mode(), self._precision():
            self._encoded = self._network.bottomup_pass(((there - self._scale.mean) / self._scale.std)[None, None])
        batches = self._on_gpu
        if self._device != "cuda":
            at_once = max(1, min(count, _PIXELS_AT_ONCE // pixels.size))
            batches = Batches("cpu", self._tell, self._decode, at_once=at_once)
        yield from batches.over(self._fields(window, frame, number) for number in range(count))

    @torch.inference_mode()
    def _decode(self, fields: torch.Tensor) -> torch.Tensor:
        """Return reconstructions (n, y, x) from the latents of n samples."""
        layers = fields.split([shape.numel() for shape in self._shapes], dim=1)
        self.latents = [layer.unflatten(1, shape) for layer, shape in zip(layers, self._shapes, strict=True)]
        with self._precision():
            repeated = [value.expand(len(fields), -1, -1, -1) for value in self._encoded]
            output = self._network.output_layer(self._network.topdown_pass(repeated)[0])
        return output[:, 0].float() * self._scale.std + self._base

    def _fields(self, window: Window, frame: int, number: int) -> torch.Tensor:
        """Draw the standard normal numbers of one sample for the whole frame, and line up those of the window."""
        rng = torch_generator(self._seed, _LATENTS, frame, number, device=self._device)
        cut = []
        for layer, channels in enumerate(self._network.z_dims):
            part = 2 ** (layer + 1)
            shape = (channels, window.height // part, window.width // part)
            field = torch.randn(shape, generator=rng, device=self._device)
            rows, columns = (slice(axis.start // part, axis.stop // part) for axis in (window.rows, window.columns))
            cut.append(field[:, rows, columns])
        self._shapes = [field.shape for field in cut]
        return torch.cat([field.flatten() for field in cut])

    def _latent_of(self, layer: int) -> Callable[..., torch.Tensor]:
        def latent(distribution: torch.distributions.Normal, *mode: object) -> torch.Tensor:
            _forced_latent, _mode_pred, use_uncond_mode = mode
            if use_uncond_mode:  # upstream: a layer without the encoder takes its most likely latents
                return distribution.mean
            return distribution.mean + distribution.stddev * self.latents[layer]

        return latent
