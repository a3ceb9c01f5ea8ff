"""Upstream's network in other arithmetic: the same function of the same weights, in less time and memory.

Upstream's decoder doubles a coarse image, joins it with the fine one and convolves both together. Here both are
convolved apart and added: nothing is joined, and doubling and then convolving with 3 taps is one transposed
convolution with 4, of which 2 fall on each pixel. Only the rounding of the last bits differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from contract.pooling import LargestOfEight

if TYPE_CHECKING:
    from torch import Tensor, nn

_AXES = (2, 3, 4)  # T, Y, X of weights and images
_POOLING = LargestOfEight()


def lean_forward(network: nn.Module, window: Tensor) -> Tensor:
    """Apply the network.

    Parameters
    ----------
    network : torch.nn.Module
        Upstream's Network_3D_Unet; its weights get gradients as usual.
    window : torch.Tensor of shape (N, 1, T, Y, X)
        Grey levels minus their mean.

    Returns
    -------
    torch.Tensor of shape (N, 1, T, Y, X)
        Equal to ``network(window)`` but for rounding.
    """
    unet = network.Generator
    skips = []
    for encoder in unet.encoders:
        if encoder.pooling is not None:  # that of torch is faster on a CPU, and has the same bits
            window = (_POOLING if window.is_cuda else encoder.pooling)(window)
        window = encoder.basic_module(window)
        skips.append(window)
    skips.pop()
    for decoder in unet.decoders:
        window = _decoded(decoder.basic_module, skips.pop(), window)
    # On one thread torch computes a convolution with a single tap without oneDNN and copies its input for it.
    weights = unet.final_conv.weight.flatten(1)
    return functional.linear(window.movedim(1, -1), weights, unet.final_conv.bias).movedim(-1, 1)


def _decoded(block: nn.Module, fine: Tensor, coarse: Tensor) -> Tensor:
    """Return upstream's decoder applied to an image of the encoder and the coarser one below it."""
    convolution = block.SingleConv1.conv
    layout = torch.channels_last_3d
    for_fine, for_coarse = convolution.weight.tensor_split([fine.shape[1]], dim=1)
    joined = functional.conv3d(fine, for_fine.contiguous(memory_format=layout), convolution.bias, padding=1)
    if all(fine.shape[axis] == 2 * coarse.shape[axis] for axis in _AXES):
        taps = _doubling(for_coarse).transpose(0, 1).contiguous(memory_format=layout)
        joined += functional.conv_transpose3d(coarse, taps, stride=2, padding=1)
    else:  # an odd length was halved: upstream stretches by less or more than 2
        stretched = functional.interpolate(coarse, size=fine.shape[2:], mode="nearest")
        joined += functional.conv3d(stretched, for_coarse.contiguous(memory_format=layout), padding=1)
    return block.SingleConv2(functional.relu_(joined))


def _doubling(taps: Tensor) -> Tensor:
    """Turn the 3 taps along each axis into the 4 of a transposed convolution that doubles the image first."""
    for axis in _AXES:
        first, middle, last = taps.split(1, axis)
        taps = torch.cat([last, middle + last, first + middle, first], axis)
    return taps
