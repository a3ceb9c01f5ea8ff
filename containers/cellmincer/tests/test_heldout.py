"""The evidence on masked pixels, and batch normalisation re-estimated where that is better."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from cellmincer.tests.jobs import job_of
from cellmincer.tests.synthetic import params
from contract.events import Events
from correlation import Occlusion
from heldout import Evidence, HeldOut
from network import CellMincer
from preprocess import prepare
from recording import Mapped, Recording
from settings import settings_of
from training import settle
from window import feature_window

EVIDENCE = Evidence(network=1.0, trend=1.5, noisy=2.0, better_by_sigmas=9.0, quiet_network=1.0, pixels=10_000)


@pytest.fixture
def looked_at(tmp_path):
    """Return evidence-taking on a movie of white noise, a random network and its settings."""
    torch.manual_seed(0)
    settings = settings_of(params("smoke"))
    movie = np.random.default_rng(0).normal(100, 5, (60, 30, 34)).astype(np.float32)
    prepared = prepare(Recording(Mapped(movie), "movie"), settings, seed=0, rate_hz=30.0, say=lambda _: None)
    job = job_of(tmp_path / "job", "train", params("smoke"))
    evaluation = HeldOut([(prepared, prepared.frames)], settings, Occlusion(), job)
    return evaluation, CellMincer(settings.architecture, 74), settings


@pytest.fixture
def events(tmp_path):
    """Yield events and close them."""
    made = Events(tmp_path / "events.jsonl")
    yield made
    made.close()


def test_a_network_that_says_nothing_is_as_good_as_the_trend_and_fails(looked_at):
    """Weights of 0 predict the trend; without any signal the error of the trend is the noise variance, 1 in its units.

    The trend has 2 of 60 degrees of freedom, and the noise variance is known to a few percent.
    """
    evaluation, network, _ = looked_at
    for tensor in network.parameters():
        torch.nn.init.zeros_(tensor)
    found = evaluation.evidence(network)
    assert found.network == found.trend == pytest.approx(1, abs=0.05)
    assert "the prediction would be a still picture" in found.failure


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, None),
        ({"network": 2.1}, "not below that of the noisy movie itself (2.000)"),
        ({"network": float("nan")}, "not below that of the noisy movie itself"),
        ({"better_by_sigmas": 1.9}, "1.9 standard errors better where more than 2 are expected"),
    ],
)
def test_a_network_is_of_use_only_if_it_beats_the_noisy_movie_and_the_trend(changes, word):
    failure = replace(EVIDENCE, **changes).failure
    assert failure is None if word is None else word in failure


def _better_by(signal, predicted, rng, monkeypatch, looked_at):
    """Return the standard errors for windows of a known signal (N, 34, 30) plus noise of variance 1."""
    evaluation, network, _ = looked_at
    (group,) = evaluation._groups.values()  # noqa: SLF001 - the windows are random
    noisy = signal + rng.normal(size=signal.shape)
    group[:] = [
        probe._replace(target=target, noise_variance=np.ones_like(target))
        for probe, target in zip(group, noisy, strict=True)
    ]
    monkeypatch.setattr(
        evaluation, "_predict", lambda _, probe, __: predicted[[one is probe for one in group].index(True)]
    )
    return evaluation.evidence(network).better_by_sigmas


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_not_better_than_the_trend(looked_at, monkeypatch, seed):
    """A prediction that has nothing to do with the noise is worse by its own variance, but for chance."""
    rng = np.random.default_rng(seed)
    predicted = rng.normal(0, 0.05, (32, 34, 30))
    assert _better_by(np.zeros_like(predicted), predicted, rng, monkeypatch, looked_at) < 2


@pytest.mark.parametrize("seed", range(3))
def test_one_bright_window_does_not_hide_that_all_are_predicted_better(looked_at, monkeypatch, seed):
    """A transient in one window of 32 and a weak signal everywhere, found in part; over windows it is 1 to 2 only."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(0, 0.2, (32, 34, 30))
    signal[7, 10:20, 10:20] += 6
    assert _better_by(signal, 0.7 * signal, rng, monkeypatch, looked_at) > 2


def test_an_error_far_below_the_noise_floor_is_leakage():
    """No honest prediction of a hidden pixel has an error of less than the variance of its noise."""
    assert not replace(EVIDENCE, quiet_network=0.8).leaks
    leaking = replace(EVIDENCE, quiet_network=0.6)
    assert leaking.leaks
    assert "the error is 0.60 of the noise variance, so noise is copied" in leaking.leakage
    assert leaking.document()["leaks"] is True


def test_evidence_of_a_network_that_exploded_is_json_with_null_for_its_numbers():
    document = json.loads(json.dumps(replace(EVIDENCE, network=float("nan")).document(), allow_nan=False))
    assert (document["network"], document["trend"]) == (None, 1.5)


def test_reestimated_statistics_are_the_mean_and_variance_over_unmasked_frames(looked_at):
    """The first batch normalisation by hand: frames 0, 4, 6 and 12 of all windows, one batch for each."""
    evaluation, network, _ = looked_at
    (group,) = evaluation._groups.values()  # noqa: SLF001 - the windows are random
    convolution, activation, norm = network.spatial_unet.down_path[0].block
    features = torch.from_numpy(np.stack([feature_window(probe.movie, probe.window, "reflect") for probe in group]))
    means, variances = [], []
    for number in (0, 4, 6, 12):
        frames = torch.from_numpy(np.stack([probe.frames[[number]] for probe in group]))
        with torch.no_grad():
            values = activation(convolution(torch.cat([features, frames], dim=1)))
        means.append(values.mean(dim=(0, 2, 3)))
        variances.append(values.var(dim=(0, 2, 3)))
    norm.running_mean.fill_(30)
    norm.num_batches_tracked.fill_(100)
    evaluation.reestimate(network)
    assert torch.allclose(norm.running_mean, torch.stack(means).mean(dim=0), rtol=1e-3, atol=1e-5)
    assert torch.allclose(norm.running_var, torch.stack(variances).mean(dim=0), rtol=1e-3, atol=1e-5)
    assert norm.momentum == 0.1  # of torch


@pytest.mark.parametrize("better", [True, False])
def test_statistics_are_reestimated_only_where_that_lowers_the_error(looked_at, events, tmp_path, better):
    """Statistics of another movie make a random network much worse; a read-out of 0 leaves nothing to improve."""
    evaluation, network, settings = looked_at
    network.spatial_unet.up_path[0].conv_block.block[2].running_mean.fill_(30)
    if not better:
        for tensor in network.temporal_denoiser.dense_block[2].parameters():
            torch.nn.init.zeros_(tensor)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = settle(network, evaluation, events, settings)
    assert found == evaluation.evidence(network)
    same = all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert same is not better
    assert ("batch normalisation re-estimated" in (tmp_path / "events.jsonl").read_text()) is better


def test_compat_upstream_leaves_the_statistics_of_training(looked_at, events):
    evaluation, network, settings = looked_at
    network.spatial_unet.up_path[0].conv_block.block[2].running_mean.fill_(30)
    settle(network, evaluation, events, replace(settings, upstream=True))
    assert (network.spatial_unet.up_path[0].conv_block.block[2].running_mean == 30).all()
