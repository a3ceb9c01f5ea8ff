"""Denoising with a network that changes nothing, and movies that upstream cannot take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cellmincer.tests.synthetic import clean_movie, params
from contract.errors import AlgorithmFailed, JobRefused
from contract.job import Inputs, Job
from denoise import Denoiser
from network import CellMincer
from preprocess import prepare
from recording import Mapped, Recording
from settings import settings_of
from timing import frames_around
from window import feature_window, frame_window, window_at


def job_of() -> Job:
    folder = Path("/nowhere")
    return Job(
        folder=folder, job="test", command="predict", axes="TYX", frame_rate_hz=30.0, inputs=Inputs(),
        checkpoint=folder, predictions=folder, seed=1, device="cpu", threads=1, precision="float32",
    )  # fmt: skip


def identity_network(**changes: object) -> CellMincer:
    """Return a network of upstream's depth that passes the middle frame on, as (v, -v) through every activation."""
    architecture = replace(
        settings_of(params("default", **changes)).architecture,
        spatial_unet_first_conv_channels=2,
        temporal_denoiser_conv_channels=2,
        temporal_denoiser_hidden_dense_layer_dims="2",
    )
    network = CellMincer(architecture, 74).eval()
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            bn = name.endswith("weight") and tensor.dim() == 1
            tensor.fill_((1 + 1e-5) ** 0.5 if bn else 0)  # cancels the epsilon of batch normalisation
        down, up = network.spatial_unet.down_path[0].block, network.spatial_unet.up_path[1].conv_block.block
        down[0].weight[0, 74, 1, 1], down[0].weight[1, 74, 1, 1] = 1, -1
        bridge = up[0].in_channels - 2
        for sign in (0, 1):
            up[0].weight[sign, bridge + sign, 1, 1] = 1
            for later in (down[3], down[6], up[3], up[6]):
                later.weight[sign, sign, 1, 1] = 1
            for layer in network.temporal_denoiser.conv_block[::2]:
                layer.weight[sign, sign, 2] = 1
            network.temporal_denoiser.dense_block[0].weight[sign, sign] = 1
        network.temporal_denoiser.dense_block[2].weight[0, :, 0, 0, 0] = torch.tensor([1.0, -1.0])
    return network


def with_trend(movie: np.ndarray, network: CellMincer, **changes: object) -> tuple[np.ndarray, np.ndarray]:
    """Preprocess and denoise a movie (T, Y, X), as `predict` does; return the result and the trend."""
    settings = settings_of(params("default", n_bootstrap=10, **changes))
    prepared = prepare(Recording(Mapped(movie), "movie"), settings, seed=0, rate_hz=30.0, say=lambda _: None)
    blocks = Denoiser(network, prepared, job_of(), upstream=settings.upstream).frames()
    trend = prepared.trend.at(np.arange(len(movie)))
    return np.concatenate(list(blocks)).transpose(0, 2, 1), trend.transpose(0, 2, 1)


def denoised(movie: np.ndarray, network: CellMincer, **changes: object) -> np.ndarray:
    """Return the result alone."""
    return with_trend(movie, network, **changes)[0]


@pytest.mark.parametrize("shape", [(62, 62), (66, 66), (64, 64), (63, 65), (20, 33), (490, 490)])
def test_an_identity_network_returns_the_movie_unshifted(shape):
    """The expected output is the input, to float precision; (490, 490) is the size of a published movie."""
    movie = np.random.default_rng(0).integers(90, 160, (13, *shape)).astype(np.uint16)
    assert np.abs(denoised(movie, identity_network()) - movie).max() < 0.01


@pytest.mark.parametrize(("side", "shift"), [(62, 1), (66, 1), (64, 0)])
def test_compat_upstream_shifts_the_movie_and_copies_the_ends_as_upstream_does(side, shift):
    """Upstream's defects: one pixel along both axes where the size leaves 2 when divided by 4, and 6 frames copied."""
    movie = np.random.default_rng(1).normal(100, 10, (20, side, side)).astype(np.float32)
    found, trend = with_trend(movie, identity_network(), compat="upstream")
    moved = np.roll(movie - trend, (shift, shift), (1, 2))
    for frame in range(20):
        source = min(max(frame, 6), 13)
        assert np.allclose((found - trend)[frame, 1:, 1:], moved[source, 1:, 1:], atol=0.01)


@pytest.mark.parametrize("frames", [2, 5, 12, 13, 14, 40])
def test_every_frame_is_there_however_short_the_movie(frames):
    """An identity network again; upstream needs 13 frames and copies the first and last 6."""
    movie = np.random.default_rng(2).normal(100, 5, (frames, 24, 26)).astype(np.float32)
    assert np.abs(denoised(movie, identity_network()) - movie).max() < 0.01


@pytest.mark.parametrize("frames", [9, 40])
def test_every_frame_is_what_the_network_makes_of_the_13_frames_around_it(frames):
    """A random network: the stream against whole windows, one by one."""
    torch.manual_seed(3)
    settings = settings_of(params("quick"))
    network = CellMincer(settings.architecture, 74).eval()
    movie = np.random.default_rng(4).normal(100, 5, (frames, 24, 26)).astype(np.float32)
    prepared = prepare(Recording(Mapped(movie), "movie"), settings, seed=0, rate_hz=30.0, say=lambda _: None)
    streamed = np.concatenate(list(Denoiser(network, prepared, job_of(), upstream=False).frames()))
    window = window_at((0, 0), (26, 24), settings.architecture.valid)
    contexts = network.spatial_unet.contexts(torch.from_numpy(feature_window(prepared, window, "reflect")[None]))
    for frame in range(frames):
        around = frame_window(prepared, frames_around(frame, frames, 13), window)
        with torch.no_grad():
            alone = network.temporal_denoiser(network.embed(torch.from_numpy(around[None]), contexts))[0].numpy()
        expected = window.cropped(alone)[0] * prepared.features.scale + prepared.trend.at(np.array([frame]))[0]
        assert np.allclose(streamed[frame], expected, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.uint8])
def test_every_dtype_comes_back_as_counts(dtype):
    movie = np.random.default_rng(5).integers(20, 90, (20, 24, 24)).astype(dtype)
    found = denoised(movie, identity_network())
    assert found.dtype == np.float32
    assert np.abs(found - movie).max() < 0.01


def test_dead_pixels_black_borders_and_few_grey_levels_survive():
    """A random network: constant pixels come back as they are, all is finite; one dead pixel ends upstream."""
    torch.manual_seed(6)
    movie = np.round(clean_movie(40, 40, 44) / 25).astype(np.uint16)
    movie[:, :3] = movie[:, :, -2:] = 0
    movie[:, 20, 20] = 0
    movie[:, 21, 30] = 7
    settings = settings_of(params("quick"))
    found = denoised(movie, CellMincer(settings.architecture, 74))
    assert np.isfinite(found).all()
    constant = movie.max(axis=0) == movie.min(axis=0)
    assert constant.sum() >= 3 * 44
    assert np.allclose(found[:, constant], movie[:, constant], atol=1e-4)
    with pytest.raises(AlgorithmFailed, match="by which upstream divides"):
        denoised(movie, CellMincer(settings.architecture, 74), compat="upstream")


@pytest.mark.parametrize("frames", [2, 3])
def test_a_trend_never_runs_through_every_frame_of_a_short_movie(frames):
    """Least squares with one degree of freedom left: the mean of 2 frames, the line through 3; the rest is noise."""
    movie = np.random.default_rng(9).integers(90, 160, (frames, 24, 26)).astype(np.uint16)
    found, trend = with_trend(movie, identity_network(), poly_order=2)
    expected = np.polyfit(np.arange(frames), movie.reshape(frames, -1), frames - 2)
    values = np.stack([np.polyval(column, np.arange(frames)) for column in expected.T], axis=1)
    assert np.allclose(trend.reshape(frames, -1), values, atol=1e-2)
    assert np.abs(found - movie).max() < 0.01


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_their_frame(value):
    movie = np.random.default_rng(10).normal(100, 5, (20, 16, 16)).astype(np.float32)
    movie[13, 4, 5] = value
    with pytest.raises(JobRefused, match="expected finite values, got NaN or infinity in frame 13"):
        denoised(movie, identity_network())


def test_a_movie_without_any_change_or_of_one_frame_is_refused():
    with pytest.raises(JobRefused, match="got a movie without any change"):
        denoised(np.full((20, 16, 16), 7, np.uint16), identity_network())
    with pytest.raises(JobRefused, match="expected at least 2 frames, got 1"):
        denoised(np.zeros((1, 16, 16), np.uint16), identity_network())


def test_trimmed_frames_and_several_segments_are_denoised_too():
    """Upstream drops trimmed frames and the rest behind the last segment; here every frame comes back."""
    movie = np.random.default_rng(7).normal(100, 5, (70, 24, 26)).astype(np.float32)
    changes = {"n_frames_per_segment": 30, "trim_left": 3, "trim_right": 2}
    assert np.abs(denoised(movie, identity_network(), **changes) - movie).max() < 0.01
