"""Run careamics' 3D UNet over a movie of any length with memory for a few frames, layer by layer.

Every layer holds back the few frames its kernel still needs, so no frame is computed twice and the values are those of
the network applied to all frames at once. The layers are upstream's own; only their order of work is changed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from careamics_unet import Conv_Block, MaxBlurPool

if TYPE_CHECKING:
    from careamics_unet import UNet, UnetDecoder

CHUNK = 4  # frames at a time; more cost memory and gain no speed
_TIME = 2  # axis of time in (1, channels, t, y, x)
_KERNEL = 3  # frames that a convolution of the UNet spans
_ONES = [1, 1, 1]  # stride and dilation


class StreamedUNet:
    """A 3D UNet that is given a movie chunk by chunk.

    Parameters
    ----------
    network : UNet
        In evaluation mode, for one channel.
    """

    def __init__(self, network: UNet) -> None:
        self._layers: list[_Layer] = []
        kept: list[_Keep | None] = []
        for module in network.encoder.encoder_blocks:
            self._layers.append(_layer(module))
            if isinstance(module, Conv_Block):
                kept.append(_Keep() if kept or not network.decoder.n2v2 else None)  # N2V2 has no skip at the top
                self._layers += [kept[-1]] if kept[-1] else []
        self._layers.append(_ConvBlock(network.decoder.bottleneck))
        for module in network.decoder.decoder_blocks:
            self._layers.append(_layer(module))
            if isinstance(module, nn.Upsample) and (skip := kept.pop()):
                self._layers.append(_Join(network.decoder, skip))
        self._layers.append(_Final(network))

    def push(self, chunk: Tensor, *, end: bool) -> list[Tensor]:
        """Take the next frames and return those that are ready.

        Parameters
        ----------
        chunk : Tensor of shape (1, 1, t, y, x)
            y, x and the frames of all chunks together are multiples of 4.
        end : bool
            Whether these are the last frames.

        Returns
        -------
        list of Tensor of shape (1, 1, t, y, x)
            The next predicted frames; they lag behind those that went in until the end.
        """
        return self._through(0, chunk, end=end)

    def _through(self, first: int, chunk: Tensor, *, end: bool) -> list[Tensor]:
        frames: Tensor | None = chunk
        del chunk  # or it would stay in memory while later layers work
        for number in range(first, len(self._layers)):
            frames = self._layers[number].push(frames, end=end)
            if frames is None:
                return []
            if frames.shape[_TIME] > CHUNK:  # at the end all layers let go of what they held back
                pieces = frames.split(CHUNK, _TIME)
                ends = [end and piece is pieces[-1] for piece in pieces]
                return [
                    result
                    for piece, piece_ends in zip(pieces, ends, strict=True)
                    for result in self._through(number + 1, piece, end=piece_ends)
                ]
        return [frames]


class _Layer(Protocol):
    def push(self, chunk: Tensor, *, end: bool) -> Tensor | None:
        """Take the next frames, one at least; return those that are ready, at the end all."""


def _layer(module: nn.Module) -> _Layer:
    if isinstance(module, Conv_Block):
        return _ConvBlock(module)
    if isinstance(module, MaxBlurPool):
        return _MaxBlurPool(module)
    return _Upsample(module) if isinstance(module, nn.Upsample) else _MaxPool(module)


class _ConvBlock:
    def __init__(self, block: Conv_Block) -> None:
        self._convs = (_Conv(block.conv1), _Conv(block.conv2))
        self._norms = (block.batch_norm1, block.batch_norm2)
        self._activation = block.activation

    def push(self, chunk: Tensor, *, end: bool) -> Tensor | None:
        frames: Tensor | None = chunk
        for conv, norm in zip(self._convs, self._norms, strict=True):
            frames = conv.push(frames, end=end)
            if frames is None:
                return None
            frames = self._activation(norm(frames))
        return frames


class _Conv:
    """Convolution over 3 frames; before the first and after the last frame there are zeros."""

    def __init__(self, conv: nn.Conv3d) -> None:
        self._conv = conv
        self._held: Tensor | None = None

    def push(self, chunk: Tensor, *, end: bool) -> Tensor | None:
        frames = _padded(self._held, chunk, end=end)
        self._held = frames[:, :, 1 - _KERNEL :].clone()
        return _convolve(self._conv, frames, [0, 1, 1]) if frames.shape[_TIME] >= _KERNEL else None


class _MaxPool:
    """Maximum of pairs of frames."""

    def __init__(self, pool: nn.Module) -> None:
        self._pool = pool
        self._held: Tensor | None = None

    def push(self, chunk: Tensor, *, end: bool) -> Tensor | None:  # noqa: ARG002 - the last frame ends a pair
        frames = chunk if self._held is None else torch.cat([self._held, chunk], _TIME)
        even = frames.shape[_TIME] // 2 * 2
        self._held = frames[:, :, even:].clone()
        return self._pool(frames[:, :, :even]) if even else None


class _MaxBlurPool:
    """Maximum of neighbours, then a blur over 3 frames at every other one; zeros before and after the maxima."""

    def __init__(self, pool: MaxBlurPool) -> None:
        self._pool = pool
        self._last: Tensor | None = None
        self._maxima: Tensor | None = None

    def push(self, chunk: Tensor, *, end: bool) -> Tensor | None:
        frames = chunk if self._last is None else torch.cat([self._last, chunk], _TIME)
        self._last = frames[:, :, -1:].clone()
        if frames.shape[_TIME] == 1:
            return None
        new = functional.max_pool3d(frames, kernel_size=self._pool.max_pool_size, stride=1)
        maxima = _padded(self._maxima, new, end=end)
        count = (maxima.shape[_TIME] - 1) // 2
        self._maxima = maxima[:, :, 2 * count :].clone()
        return self._blur(maxima[:, :, : 2 * count + 1]) if count else None

    def _blur(self, maxima: Tensor) -> Tensor:
        channels = maxima.shape[1]
        kernel = self._pool.kernel.to(maxima.dtype).repeat((channels, 1, 1, 1, 1))
        return functional.conv3d(maxima, kernel, padding=(0, 1, 1), stride=self._pool.stride, groups=channels)


class _Upsample:
    """Twice the frames; each new one lies between two, so the last waits for the frame after it."""

    def __init__(self, upsample: nn.Upsample) -> None:
        self._upsample = upsample
        self._held: Tensor | None = None

    def push(self, chunk: Tensor, *, end: bool) -> Tensor | None:
        first = self._held is None
        doubled = self._upsample(chunk if first else torch.cat([self._held, chunk], _TIME))
        self._held = chunk[:, :, -1:].clone()
        return doubled[:, :, 0 if first else 1 : None if end else -1]


class _Keep:
    """Frames on their way past the lower levels."""

    def __init__(self) -> None:
        self._kept: deque[Tensor] = deque()

    def push(self, chunk: Tensor, *, end: bool) -> Tensor:  # noqa: ARG002 - nothing is held back
        self._kept.append(chunk)
        return chunk

    def take(self, count: int) -> Tensor:
        """Return the next `count` frames; they were kept before, as the decoder lags behind the encoder."""
        parts = []
        while count:
            chunk = self._kept.popleft()
            parts.append(chunk[:, :, :count])
            if chunk.shape[_TIME] > count:
                self._kept.appendleft(chunk[:, :, count:])
            count -= parts[-1].shape[_TIME]
        return parts[0] if len(parts) == 1 else torch.cat(parts, _TIME)


class _Join:
    """The frames from below beside those that were kept."""

    def __init__(self, decoder: UnetDecoder, skip: _Keep) -> None:
        self._decoder = decoder
        self._skip = skip

    def push(self, chunk: Tensor, *, end: bool) -> Tensor:  # noqa: ARG002 - nothing is held back
        kept = self._skip.take(chunk.shape[_TIME])
        return self._decoder._interleave(chunk, kept, self._decoder.groups)  # noqa: SLF001 - upstream's way to join


class _Final:
    def __init__(self, network: UNet) -> None:
        self._network = network

    def push(self, chunk: Tensor, *, end: bool) -> Tensor:  # noqa: ARG002 - nothing is held back
        return self._network.final_activation(_convolve(self._network.final_conv, chunk, [0, 0, 0]))


def _padded(held: Tensor | None, chunk: Tensor, *, end: bool) -> Tensor:
    """Put the frames held back, or zeros at the start of the movie, before a chunk, and zeros after the last."""
    zeros = torch.zeros_like(chunk[:, :, :1])
    return torch.cat([zeros if held is None else held, chunk, *([zeros] if end else [])], _TIME)


def _convolve(conv: nn.Conv3d, frames: Tensor, padding: list[int]) -> Tensor:
    if frames.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        # For small inputs conv3d takes another, slower code path (ATen ConvParams::use_mkldnn) that rounds differently.
        return torch.mkldnn_convolution(frames, conv.weight, conv.bias, padding, _ONES, _ONES, 1)
    return functional.conv3d(frames, conv.weight, conv.bias, padding=padding)
