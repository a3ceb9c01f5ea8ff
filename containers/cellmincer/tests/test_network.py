"""The network against upstream's layer table and against literal re-computations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from cellmincer.tests.synthetic import params
from network import CellMincer, centre_crop
from sampling import Batch
from settings import settings_of
from training import learning_rate, masked_loss

DEFAULT = settings_of(params("default")).architecture
TINY = replace(
    DEFAULT,
    spatial_unet_first_conv_channels=4,
    temporal_denoiser_conv_channels=6,
    temporal_denoiser_hidden_dense_layer_dims="5",
)


def test_the_default_network_has_as_many_parameters_as_upstreams():
    """Counted on upstream's default network; 97,610 and 281,426 with 8 and 16 channels."""
    assert sum(one.numel() for one in CellMincer(DEFAULT, 74).parameters()) == 3_196_034
    for channels, expected in ((8, 97_610), (16, 281_426)):
        small = replace(DEFAULT, spatial_unet_first_conv_channels=channels, temporal_denoiser_conv_channels=channels)
        assert sum(one.numel() for one in CellMincer(small, 74).parameters()) == expected


def test_names_and_shapes_of_the_tensors_are_upstreams():
    """The layer table of upstream's default network, one tensor of each kind, and the number of all of them."""
    shapes = {name: tuple(tensor.shape) for name, tensor in CellMincer(DEFAULT, 74).state_dict().items()}
    expected = {
        "spatial_unet.down_path.0.block.0.weight": (64, 75, 3, 3),
        "spatial_unet.down_path.0.block.3.weight": (64, 64, 3, 3),
        "spatial_unet.down_path.0.block.2.running_mean": (64,),
        "spatial_unet.down_path.0.block.8.weight": (64,),
        "spatial_unet.down_path.1.block.0.weight": (128, 138, 3, 3),
        "spatial_unet.down_path.1.block.6.bias": (128,),
        "spatial_unet.down_path.2.block.0.weight": (256, 202, 3, 3),
        "spatial_unet.up_path.0.up.1.weight": (128, 256, 1, 1),
        "spatial_unet.up_path.0.conv_block.block.0.weight": (128, 330, 3, 3),
        "spatial_unet.up_path.1.up.1.weight": (64, 128, 1, 1),
        "spatial_unet.up_path.1.conv_block.block.0.weight": (64, 202, 3, 3),
        "spatial_unet.up_path.1.conv_block.block.5.running_var": (64,),
        "spatial_unet.readout.0.weight": (64, 64, 1, 1),
        "spatial_unet.readout.2.weight": (64,),
        "spatial_unet.readout.3.weight": (1, 64, 1, 1),
        "temporal_denoiser.conv_block.0.weight": (64, 64, 5, 1, 1),
        "temporal_denoiser.conv_block.4.weight": (64, 64, 5, 1, 1),
        "temporal_denoiser.dense_block.0.weight": (32, 64, 1, 1, 1),
        "temporal_denoiser.dense_block.2.weight": (1, 32, 1, 1, 1),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    assert len(shapes) == 5 * 3 * 7 + 2 * 2 + (2 + 5 + 2) + 5 * 2  # blocks, projections, read-out, convolutions in time


def literal_embedding(network: CellMincer, frame: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Embed one frame (1, 1, X, Y) by concatenating features everywhere, as the paper draws it."""
    unet, f, x, bridges = network.spatial_unet, features, frame, []
    for level, block in enumerate(unet.down_path):
        x = block.block(torch.cat([f, x], dim=1))
        f = centre_crop(f, *x.shape[-2:])
        bridges.append(torch.cat([f, x], dim=1))
        if level < 2:
            f, x = functional.max_pool2d(f, 2), functional.max_pool2d(x, 2)
    for up, bridge in zip(unet.up_path, reversed(bridges[:-1]), strict=True):
        u = up.up(x)
        x = up.conv_block.block(torch.cat([u, centre_crop(bridge, *u.shape[-2:])], dim=1))
    return x


def literal_denoised(network: CellMincer, embeddings: torch.Tensor) -> torch.Tensor:
    """Denoise (1, C, 13, X, Y) by the 3D convolutions themselves."""
    denoiser = network.temporal_denoiser
    return denoiser.dense_block(denoiser.conv_block(embeddings))[:, 0]


@pytest.mark.parametrize("training", [False, True])
def test_sharing_the_features_changes_nothing(training):
    """Against concatenation frame by frame; in training mode batch normalisation sees single frames."""
    torch.manual_seed(0)
    network = CellMincer(TINY, 7).double().train(training)
    frames, features = torch.randn(1, 15, 70, 74).double(), torch.randn(1, 7, 70, 74).double()
    with torch.no_grad():
        expected = torch.stack(
            [literal_embedding(network, frames[:, [number]], features) for number in range(15)], dim=2
        )
        found = network.embed(frames, network.spatial_unet.contexts(features), one_by_one=training)
        assert found.shape == (1, 4, 15, 10, 14)
        assert torch.allclose(found, expected, atol=1e-9)
        denoised = network.temporal_denoiser(found)
        windows = [literal_denoised(network, found[:, :, start : start + 13]) for start in range(3)]
        assert torch.allclose(denoised, torch.cat(windows, dim=1), atol=1e-9)


@pytest.mark.parametrize(("mode", "first", "second"), [("once", 8, 4), ("none", 1, 4), ("repeat", 8, 11)])
def test_features_go_in_where_the_mode_says(mode, first, second):
    """Input channels by hand: 7 features, 1 frame, 4 channels; every mode runs."""
    network = CellMincer(replace(TINY, spatial_unet_feature_mode=mode), 7).eval()
    assert network.spatial_unet.down_path[0].block[0].in_channels == first
    assert network.spatial_unet.down_path[1].block[0].in_channels == second
    with torch.no_grad():
        contexts = network.spatial_unet.contexts(torch.randn(1, 7, 70, 70))
        assert network.embed(torch.randn(1, 2, 70, 70), contexts).shape == (1, 4, 2, 10, 10)


def test_the_output_sees_60_more_pixels_than_it_yields_and_13_frames():
    """Receptive field: gradients of the corner pixel of the middle frame reach the corner of the input, no further."""
    torch.manual_seed(1)
    network = CellMincer(TINY, 3).eval()
    frames = torch.randn(1, 15, 66, 66, requires_grad=True)
    output = network.temporal_denoiser(network.embed(frames, network.spatial_unet.contexts(torch.randn(1, 3, 66, 66))))
    assert output.shape == (1, 3, 6, 6)
    output[0, 0].sum().backward()
    reached = frames.grad[0].abs() > 0
    assert reached.any(dim=0).any(dim=0).all()
    assert reached.any(dim=1).any(dim=1).tolist() == [True] * 13 + [False] * 2


def test_blocks_are_convolution_activation_normalisation_and_enlarging_keeps_the_corners():
    """By hand on one block; twofold enlarging by linear interpolation of numpy between aligned corners."""
    torch.manual_seed(6)
    unet = CellMincer(TINY, 3).double().eval().spatial_unet
    convolution, _, norm = unet.down_path[0].block[:3]
    norm.running_mean.copy_(torch.randn(4))
    norm.running_var.copy_(torch.rand(4) + 0.5)
    values = torch.randn(1, 4, 9, 9).double()
    activated = convolution(values).clamp(min=0)
    scale = (norm.running_var + 1e-5).rsqrt()[:, None, None]
    expected = (activated - norm.running_mean[:, None, None]) * scale
    assert torch.allclose(unet.down_path[0].block[:3](values), expected)
    place = np.linspace(0, 8, 18)
    rows = np.apply_along_axis(lambda line: np.interp(place, np.arange(9), line), 2, values.numpy())
    expected = np.apply_along_axis(lambda line: np.interp(place, np.arange(9), line), 3, rows)
    for up in unet.up_path:
        assert np.allclose(up.up[0](values).numpy(), expected)


def test_the_learning_rate_follows_the_formula():
    """By hand for 100 steps, warm-up 0.1, 0 to 1e-4: rise over 10 steps, half-way of the cosine at step 55."""
    fitting = settings_of(params("default", n_iters=100)).fitting
    assert learning_rate(0, fitting) == 0
    assert learning_rate(5, fitting) == pytest.approx(5e-5)
    assert learning_rate(10, fitting) == pytest.approx(1e-4)
    assert learning_rate(55, fitting) == pytest.approx(5e-5)
    assert learning_rate(99, fitting) == pytest.approx(1e-4 * (1 + np.cos(np.pi * 89 / 90)) / 2)
    assert learning_rate(99, replace(fitting, lr_type="constant")) == 1e-4


def random_batch(rng: np.random.Generator) -> Batch:
    return Batch(
        frames=rng.normal(size=(2, 13, 66, 66)).astype(np.float32),
        features=rng.normal(size=(2, 3, 66, 66)).astype(np.float32),
        target=rng.normal(size=(2, 1, 6, 6)).astype(np.float32),
        centres=rng.random((2, 1, 6, 6)) < 0.4,
        weights=np.array([0.02, 1.98], np.float32),
    )


def test_the_loss_is_that_of_the_formula():
    """Loops over pixels in numpy, exponent 1.5."""
    batch = random_batch(np.random.default_rng(2))
    predicted = np.random.default_rng(3).normal(size=(2, 1, 6, 6)).astype(np.float32)
    total = 0.0
    for sample, _, x, y in zip(*np.nonzero(batch.centres), strict=True):
        error = abs(predicted[sample, 0, x, y] - batch.target[sample, 0, x, y])
        total += batch.weights[sample] * (error + 1e-8) ** 1.5
    expected = total / (1e-8 + batch.centres.sum())
    assert float(masked_loss(torch.from_numpy(predicted), batch, 1.5)) == pytest.approx(expected, rel=1e-5)


def test_one_training_step_is_that_of_a_hand_written_one():
    """The forward pass by concatenation frame by frame, loss and AdamW by formula, gradients by autograd."""
    torch.manual_seed(4)
    network, reference = CellMincer(TINY, 3).double(), CellMincer(TINY, 3).double()
    reference.load_state_dict(network.state_dict())
    batch = random_batch(np.random.default_rng(5))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.999), weight_decay=0.1)
    frames, features = torch.from_numpy(batch.frames).double(), torch.from_numpy(batch.features).double()
    embedded = network.embed(frames, network.spatial_unet.contexts(features), one_by_one=True)
    masked_loss(network.temporal_denoiser(embedded), batch, 2.0).backward()
    optimiser.step()

    single = [literal_embedding(reference, frames[:, [number]], features) for number in range(13)]
    error = literal_denoised(reference, torch.stack(single, dim=2)) - torch.from_numpy(batch.target)
    mask = torch.from_numpy(batch.centres) * torch.from_numpy(batch.weights)[:, None, None, None]
    ((error.abs() + 1e-8) ** 2 * mask).sum().div(batch.centres.sum()).backward()
    for (name, one), other in zip(network.named_parameters(), reference.parameters(), strict=True):
        if other.grad is None:
            assert name.startswith("spatial_unet.readout")
            continue
        step = other.grad / (other.grad.abs() + 1e-8)  # AdamW's first step: both moments are the gradient's
        expected = other.detach() * (1 - 1e-3 * 0.1) - 1e-3 * step
        settled = other.grad.abs() > 1e-9  # the sign of a gradient of 0 is rounding
        assert torch.allclose(one.detach()[settled], expected[settled], atol=1e-7), name
