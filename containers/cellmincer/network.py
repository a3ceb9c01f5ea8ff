"""The network: a U-Net on every frame, conditioned on the global features, then convolutions over time.

Names and shapes of all tensors are upstream's. The features are the same for all frames of a movie and only pass
through crops and pooling, so their share of each convolution is computed once for all frames (`Context`).
Wang et al., npj Imaging 2024, doi 10.1038/s44303-024-00055-x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from settings import Architecture

_ACTIVATIONS = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
}


def centre_crop(values: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Cut the last two axes down to (width, height) around their centre."""
    left, top = (values.shape[-2] - width) // 2, (values.shape[-1] - height) // 2
    return values[..., left : left + width, top : top + height]


class ConvBlock(nn.Module):
    """`n_conv_layers` times valid convolution, activation and batch normalisation.

    The input is a concatenation, of which a slice of the channels, the features, comes separately and once for
    several frames: a convolution of a concatenation is the sum of the convolutions of its parts.
    """

    def __init__(self, architecture: Architecture, in_channels: int, out_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for layer in range(architecture.spatial_unet_n_conv_layers):
            channels = in_channels if layer == 0 else out_channels
            layers.append(nn.Conv2d(channels, out_channels, architecture.spatial_unet_kernel_size))
            layers.append(_ACTIVATIONS[architecture.spatial_unet_activation]())
            if architecture.spatial_unet_batch_norm:
                layers.append(nn.BatchNorm2d(out_channels))
        self.block = nn.Sequential(*layers)

    def context(self, features: torch.Tensor, first: int) -> torch.Tensor:
        """Convolve features that are channels [first, first + F) of the concatenation; the bias is included."""
        conv = self.block[0]
        weight = conv.weight[:, first : first + features.shape[1]]
        return functional.conv2d(features, weight, conv.bias)

    def forward(self, values: torch.Tensor, context: torch.Tensor | None, first: int, count: int) -> torch.Tensor:
        """Apply the block.

        Parameters
        ----------
        values : Tensor of shape (N * n, C, X, Y)
            The other channels, n frames for each of N contexts.
        context : Tensor of shape (N, C', X', Y') or None
            From `context`; None where there are no features.
        first, count : int
            Where the features are in the concatenation.
        """
        conv = self.block[0]
        if context is None:
            made = conv(values)
        else:
            weight = torch.cat([conv.weight[:, :first], conv.weight[:, first + count :]], dim=1)
            made = functional.conv2d(values, weight)
            made = (made.unflatten(0, (len(context), -1)) + context[:, None]).flatten(0, 1)
        return self.block[1:](made)


class Up(nn.Module):
    """One level of the expanding path: enlarge twofold, project, join the bridge, convolve."""

    def __init__(self, architecture: Architecture, in_channels: int, bridge_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(in_channels, out_channels, 1)
        )
        self.conv_block = ConvBlock(architecture, out_channels + bridge_channels, out_channels)


class SpatialUnet(nn.Module):
    """U-Net with valid convolutions on single frames.

    Parameters
    ----------
    architecture : Architecture
        Depth, channels, kernel and where features go in: "repeat" (every level), "once" (the first), "none".
    n_features : int
        Feature maps F.
    """

    def __init__(self, architecture: Architecture, n_features: int) -> None:
        super().__init__()
        self.depth = architecture.spatial_unet_depth
        self.shrink = architecture.valid.shrink
        mode = architecture.spatial_unet_feature_mode
        self.feature_levels = {"repeat": self.depth, "once": 1, "none": 0}[mode]
        bridged = n_features if mode == "repeat" else 0
        channels = [architecture.spatial_unet_first_conv_channels * 2**level for level in range(self.depth)]
        inputs = [1, *channels[:-1]]
        joined = [n_features if level < self.feature_levels else 0 for level in range(self.depth)]
        self.down_path = nn.ModuleList(
            ConvBlock(architecture, extra + before, after)
            for extra, before, after in zip(joined, inputs, channels, strict=True)
        )
        self.up_path = nn.ModuleList(
            Up(architecture, 2 * after, bridged + after, after) for after in reversed(channels[:-1])
        )
        norm = [nn.BatchNorm2d(channels[0])] if architecture.spatial_unet_batch_norm else []
        activation = _ACTIVATIONS[architecture.spatial_unet_activation]()
        # Upstream's read-out of single frames: in every checkpoint, in no loss and in no output.
        self.readout = nn.Sequential(
            nn.Conv2d(channels[0], channels[0], 1), activation, *norm, nn.Conv2d(channels[0], 1, 1)
        )

    def accept_readout(self, state: Mapping[str, torch.Tensor]) -> None:
        """Give the read-out the kernels that it has in a state of this module; it is of no use, but part of the file.

        Parameters
        ----------
        state : mapping of str to Tensor
            By the name of the tensor; those of other modules do not count.
        """
        for place, layer in enumerate(self.readout):
            weight = state.get(f"spatial_unet.readout.{place}.weight")
            if isinstance(layer, nn.Conv2d) and weight is not None and weight.shape != layer.weight.shape:
                self.readout[place] = nn.Conv2d(layer.in_channels, layer.out_channels, tuple(weight.shape[2:]))

    def contexts(self, features: torch.Tensor) -> list[torch.Tensor | None]:
        """Compute what the features contribute to the first convolution of every block.

        Parameters
        ----------
        features : Tensor of shape (N, F, X, Y)
            Padded feature maps.

        Returns
        -------
        list of Tensor of shape (N, C, X', Y') or None
            Down path, then up path; None where a block sees no features.
        """
        found: list[torch.Tensor | None] = [None] * (2 * self.depth - 1)
        bridges: list[torch.Tensor] = []
        for level in range(self.feature_levels):
            found[level] = self.down_path[level].context(features, 0)
            features = centre_crop(features, *(side - self.shrink for side in features.shape[-2:]))
            bridges.append(features)
            features = functional.max_pool2d(features, 2)
        if self.feature_levels < self.depth or not bridges:
            return found
        sides = bridges.pop().shape[-2:]
        for number, (up, bridge) in enumerate(zip(self.up_path, reversed(bridges), strict=True)):
            sides = tuple(2 * side for side in sides)
            found[self.depth + number] = up.conv_block.context(centre_crop(bridge, *sides), up.up[1].out_channels)
            sides = tuple(side - self.shrink for side in sides)
        return found

    def forward(self, frames: torch.Tensor, contexts: list[torch.Tensor | None]) -> torch.Tensor:
        """Embed frames.

        Parameters
        ----------
        frames : Tensor of shape (N * n, 1, X, Y)
            Padded frames, n for each of N contexts.
        contexts : list
            From `contexts`.

        Returns
        -------
        Tensor of shape (N * n, C, X', Y')
            Embeddings of what the valid convolutions leave.
        """
        bridges: list[torch.Tensor] = []
        values = frames
        for level, block in enumerate(self.down_path):
            values = functional.max_pool2d(values, 2) if level else values
            values = block(values, contexts[level], 0, _channels(block, values))
            bridges.append(values)
        bridges.pop()
        for up, context in zip(self.up_path, contexts[self.depth :], strict=True):
            risen = up.up(values)
            bridge = centre_crop(bridges.pop(), *risen.shape[-2:])
            joined = torch.cat([risen, bridge], dim=1)
            values = up.conv_block(joined, context, risen.shape[1], _channels(up.conv_block, joined))
        return values


def _channels(block: ConvBlock, values: torch.Tensor) -> int:
    """Return how many channels of a block are features."""
    return block.block[0].in_channels - values.shape[1]


class TemporalDenoiser(nn.Module):
    """Convolutions over time alone, pixel by pixel, from the embeddings of `t_order` frames to the middle frame."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        activation = _ACTIVATIONS[architecture.temporal_denoiser_activation]
        kernel = (architecture.temporal_denoiser_kernel_size, 1, 1)
        channels = architecture.spatial_unet_first_conv_channels
        layers: list[nn.Module] = []
        for _ in range(architecture.temporal_denoiser_n_conv_layers):
            layers += [nn.Conv3d(channels, architecture.temporal_denoiser_conv_channels, kernel), activation()]
            channels = architecture.temporal_denoiser_conv_channels
        self.conv_block = nn.Sequential(*layers)
        dense: list[nn.Module] = []
        for hidden in architecture.hidden_dims:
            dense += [nn.Conv3d(channels, hidden, 1), activation()]
            channels = hidden
        self.dense_block = nn.Sequential(*dense, nn.Conv3d(channels, 1, 1))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Denoise.

        Parameters
        ----------
        embeddings : Tensor of shape (N, C, T, X, Y)
            T consecutive frames, at least `t_order`.

        Returns
        -------
        Tensor of shape (N, T - t_order + 1, X, Y)
            One frame for each full window, in units of the features' scale.
        """
        flat = embeddings.flatten(3)
        for layer in self.layers:
            flat = self.apply_layer(layer, flat)
        return flat[:, 0].unflatten(2, embeddings.shape[3:])

    @property
    def layers(self) -> tuple[nn.Module, ...]:
        """All layers in order."""
        return (*self.conv_block, *self.dense_block)

    @staticmethod
    def apply_layer(layer: nn.Module, flat: torch.Tensor) -> torch.Tensor:
        """Apply one layer to (N, C, T, X * Y): convolving over time alone is 2D with space in a single axis."""
        if isinstance(layer, nn.Conv3d):
            return functional.conv2d(flat, layer.weight[..., 0], layer.bias)
        return layer(flat)


class CellMincer(nn.Module):
    """The whole network.

    Parameters
    ----------
    architecture : Architecture
        Sizes.
    n_features : int
        Feature maps.
    """

    def __init__(self, architecture: Architecture, n_features: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.n_features = n_features
        self.spatial_unet = SpatialUnet(architecture, n_features)
        self.temporal_denoiser = TemporalDenoiser(architecture)

    def embed(
        self, frames: torch.Tensor, contexts: list[torch.Tensor | None], *, one_by_one: bool = False
    ) -> torch.Tensor:
        """Embed the frames of N windows.

        Parameters
        ----------
        frames : Tensor of shape (N, T, X, Y)
            Padded frames.
        contexts : list
            From `spatial_unet.contexts` of N feature windows.
        one_by_one : bool
            Give the U-Net one frame at a time, as upstream does: then batch normalisation sees single frames.

        Returns
        -------
        Tensor of shape (N, C, T, X', Y')
        """
        if one_by_one:
            singles = frames.unbind(dim=1)
            return torch.stack([self.spatial_unet(single[:, None], contexts) for single in singles], dim=2)
        embedded = self.spatial_unet(frames.flatten(0, 1)[:, None], contexts)
        return embedded.unflatten(0, frames.shape[:2]).transpose(1, 2)
