"""The network, its samples, one training step and the judgement at the end; no training to speak of."""

import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
import torch
from hdn_jobs import clean_movie, make_job, noisy_movie, write_movie

from contract.errors import DidNotConverge, JobRefused
from contract.events import Events
from contract.evidence import document_of, judge
from contract.stacks import open_stack
from convergence import Evidence, gather_evidence
from ladder import build_ladder, multiple_of
from ladder_training import LadderTraining, Skips
from movie_prediction import Request, predict_movie
from noise_models import AffineNoise
from objective import Terms, divergence_weight, evidence
from patch_source import PatchSource, Scale, scale_of
from posterior import Posterior, Window
from sample_count import Noise, fit_count, measure_noise, needed
from sample_mean import SampleMean, Settling, settling_counts

torch.set_num_threads(1)
TINY = {
    "patch_size": 32, "n_layers": 2, "z_dim": 3, "blocks_per_layer": 1, "encoder_n_filters": 8,
    "decoder_n_filters": 8, "encoder_dropout": 0.0, "decoder_dropout": 0.0, "nonlinearity": "ELU",
    "analytical_kl": True, "use_uncond_mode_at": "",
}  # fmt: skip
NOISE = AffineNoise(variance_at_zero=64.0, gain=2.0, min_variance=1.0)
SCALE = Scale(mean=150.0, std=60.0)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_ladder(TINY)


def _posterior(network, seed=1):
    return Posterior(network, SCALE, seed=seed, device="cpu", precision=nullcontext)


def _whole(height, width):
    return Window(height, width, slice(0, height), slice(0, width))


def _pixels(height=32, width=40, seed=0):
    return np.random.default_rng(seed).normal(150, 60, (height, width)).astype(np.float32)


def test_samples_equal_upstreams_forward_pass_with_the_same_latents(network, monkeypatch):
    posterior, window = _posterior(network), _whole(32, 40)
    (sample,) = posterior.samples(_pixels(), window, 5, 1)
    order = reversed(posterior.latents)  # upstream draws from the top layer down
    monkeypatch.setattr(torch.distributions.normal, "_standard_normal", lambda *_, **__: next(order))
    for layer in network.top_down_layers:
        del layer.stochastic.get_z  # upstream's own again
    with torch.no_grad():
        output, _ = network(torch.from_numpy((_pixels() - 150) / 60)[None, None])
    torch.testing.assert_close(sample, output[0, 0] * 60 + 150, rtol=1e-5, atol=1e-3)


def test_a_sample_depends_on_its_number_and_frame_but_not_on_how_many_there_are(network):
    posterior = _posterior(network)
    few = list(posterior.samples(_pixels(), _whole(32, 40), 5, 2))
    many = list(posterior.samples(_pixels(), _whole(32, 40), 5, 7))
    other = list(posterior.samples(_pixels(), _whole(32, 40), 6, 2))
    for one, two in zip(few, many, strict=False):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-3)
    assert not torch.allclose(few[0], few[1])
    assert not torch.allclose(few[0], other[0])


class _Frames:
    """A stack and a prediction in memory."""

    def __init__(self, movie):
        self.movie, self.shape, self.path = movie, movie.shape, Path("movie.tif")
        self.written = []

    def frames(self, start, stop):
        return self.movie[start:stop].copy()

    def write(self, frame):
        self.written.append(frame.copy())


def _predict(network, movie, tmp_path, **changes):
    options = {"mmse_count": 3, "save_sd": False, "save_samples": 0, "tile_size": 512, "tile_halo": 0, "multiple": 4}
    stack = _Frames(movie)
    predict_movie(_posterior(network), Request(**options | changes), stack, stack, tmp_path)
    return np.stack(stack.written)


def test_tiles_with_enough_context_give_the_frame_in_one_piece(network, tmp_path):
    movie = _pixels(150, 131)[None]  # no multiple of 4
    whole = _predict(network, movie, tmp_path)
    tiles = _predict(network, movie, tmp_path, tile_size=64, tile_halo=64)
    assert whole.shape == movie.shape
    np.testing.assert_allclose(tiles, whole, rtol=0, atol=1e-3)  # intensity units, of a noise of 20


def test_the_multiple_is_what_the_layers_halve():
    assert multiple_of(TINY) == 4
    with pytest.raises(JobRefused, match="multiple of 4"):
        build_ladder(TINY | {"patch_size": 34})


def test_six_layers_and_five_blocks_as_in_the_study_can_be_built_and_run():
    published = TINY | {"patch_size": 64, "n_layers": 6, "blocks_per_layer": 5, "use_uncond_mode_at": "0,1"}
    network = build_ladder(published)
    assert len(network.bottom_up_layers[0].net) + len(network.bottom_up_layers[0].net_downsized) == 5
    with torch.no_grad():
        output, latents = network(torch.zeros(2, 1, 64, 64))
    assert output.shape == (2, 1, 64, 64)
    assert latents["z"][-1].shape[-2:] == (1, 1)


def test_a_layer_without_the_encoder_ignores_the_image():
    torch.manual_seed(0)
    network = build_ladder(TINY | {"n_layers": 3, "use_uncond_mode_at": "0"})
    seen = []
    network.top_down_layers[0].merge.register_forward_hook(lambda *_: seen.append(0))
    network.top_down_layers[1].merge.register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        network(torch.zeros(1, 1, 32, 32))
    assert seen == [1]
    with pytest.raises(JobRefused, match="below 1"):
        build_ladder(TINY | {"use_uncond_mode_at": "1"})


def test_mean_and_variance_of_samples_equal_numpys():
    samples = np.random.default_rng(0).normal(1000, 3, (11, 5, 6))
    tile = SampleMean(11, keep=2)
    for sample in samples:
        tile.add(sample)
    np.testing.assert_allclose(tile.mean, samples.mean(axis=0))
    np.testing.assert_allclose(tile.variance, samples.var(axis=0, ddof=1))
    np.testing.assert_array_equal(tile.kept, samples[:2])


def test_the_mean_settles_as_one_over_the_root_of_the_samples():
    assert settling_counts(10) == [1, 2, 4, 8, 10]
    settling = Settling(64)
    tile = SampleMean(64, keep=0)
    for sample in np.random.default_rng(0).normal(0, 3, (64, 60, 60)):
        tile.add(sample)
    settling.add(tile)
    document = settling.document()
    assert document["rms_sd_of_samples"] == pytest.approx(3, rel=0.02)
    expected = [
        3 * np.sqrt(1 / count - 1 / 64) for count in document["samples"]
    ]  # means of n and of 64 share n samples
    assert document["rms_to_mean_of_all"] == pytest.approx(expected, rel=0.05)


class _Noisy:
    """A posterior whose mean has a noise of its own in every frame, and whose samples another around it."""

    def __init__(self, result, samples):
        self.result, self.spread = result, samples

    def samples(self, pixels, _, frame, count):
        mean = 100 + self.result * np.random.default_rng(frame).normal(size=pixels.shape)
        for number in range(count):
            noise = np.random.default_rng((frame, number + 1)).normal(size=pixels.shape)
            yield torch.from_numpy(mean + self.spread * noise)


REQUEST = Request(mmse_count=50, save_sd=False, save_samples=0, tile_size=512, tile_halo=0, multiple=4)


def _fitted(posterior, frames=40, share=0.25, **changes):
    told = []
    stack = _Frames(np.zeros((frames, 32, 40), np.float32))
    return fit_count(posterior, replace(REQUEST, **changes), stack, share, told.append).mmse_count, told


def test_the_noise_of_the_result_is_told_from_that_of_sampling():
    found = measure_noise(_Noisy(result=2, samples=5), REQUEST, _Frames(np.zeros((40, 64, 64), np.float32)))
    assert found.result == pytest.approx(4, rel=0.15)  # 4096 pixels in each of 8 pairs
    assert found.samples == pytest.approx(25, rel=0.05)


def test_sampling_stops_where_it_adds_the_share_of_the_noise_that_was_allowed():
    count, told = _fitted(_Noisy(result=2, samples=5))
    assert count == pytest.approx(25 / (0.25 * 4), abs=4)
    assert f"{count} samples of at most 50" in told[0]
    assert _fitted(_Noisy(result=2, samples=5)) == (count, told)


@pytest.mark.parametrize(
    ("noise", "expected"), [((4.0, 2.0), 8), ((4.0, 0.5), 32), ((4.0, 0.1), 50), ((4.0, -0.1), 50), ((0.0, 1.0), 8)]
)
def test_the_number_of_samples_has_a_floor_and_the_stated_maximum(noise, expected):
    assert needed(Noise(*noise), 0.25, 8, 50) == expected


@pytest.mark.parametrize(
    ("frames", "share", "count"), [(40, None, 50), (15, 0.25, 50), (40, 0.25, 10)], ids=["all", "short", "few"]
)
def test_all_samples_are_drawn_where_they_are_asked_for_or_nothing_is_to_be_saved(frames, share, count):
    assert _fitted(_Noisy(result=9, samples=1), frames, share, mmse_count=count) == (count, [])


def test_samples_that_are_to_be_written_are_drawn():
    assert _fitted(_Noisy(result=9, samples=1), save_samples=20)[0] == 20


def test_a_report_says_how_many_samples_were_used(tmp_path):
    stack = _Frames(np.zeros((40, 32, 40), np.float32))
    posterior = _Noisy(result=9, samples=1)
    predict_movie(posterior, fit_count(posterior, REQUEST, stack, 0.25, [].append), stack, stack, tmp_path)
    assert json.loads((tmp_path / "settling" / "movie.tif.json").read_text())["samples"] == [1, 2, 4, 8]


def test_the_loss_is_the_negative_evidence_with_free_bits(network):
    noisy = torch.randn(2, 1, 32, 32)
    torch.manual_seed(3)
    terms = evidence(network, noisy, NOISE, SCALE, free_bits=1.0)
    torch.manual_seed(3)
    output, latents = network(noisy)
    signal = output * 60 + 150
    density = torch.distributions.Normal(signal, (64 + 2 * signal).clamp(min=1.0).sqrt()).log_prob(noisy * 60 + 150)
    torch.testing.assert_close(terms.reconstruction, -density.mean(), rtol=1e-4, atol=1e-4)
    expected = torch.stack([layer.clamp(min=1.0).mean() for layer in latents["kl"]]) / 32**2
    torch.testing.assert_close(terms.divergence, expected)
    torch.testing.assert_close(terms.loss(0.5), terms.reconstruction + 0.5 * expected.sum())


def test_the_weight_of_the_divergence_rises_to_one():
    assert [divergence_weight(number, 10, 0.5) for number in (0, 3, 4, 9)] == [0.2, 0.8, 1.0, 1.0]
    assert divergence_weight(0, 10, 0.0) == 1.0


def test_the_scale_of_a_large_offset_keeps_its_digits(tmp_path):
    movie = (32768 + np.random.default_rng(0).integers(0, 3, (40, 64, 64))).astype(np.uint16)
    with open_stack(write_movie(tmp_path / "movie.tif", movie)) as stack:
        scale = scale_of([stack])
    assert scale.mean == pytest.approx(movie.mean(dtype=np.float64), abs=1e-9)
    assert scale.std == pytest.approx(movie.std(dtype=np.float64), rel=1e-9)


def test_a_constant_stack_is_refused(tmp_path):
    path = write_movie(tmp_path / "movie.tif", np.full((4, 64, 64), 7, np.uint16))
    with open_stack(path) as stack, pytest.raises(JobRefused, match="different values"):
        scale_of([stack])


def test_patches_come_from_every_stack_and_depend_on_seed_and_step_alone(tmp_path):
    stacks = [
        open_stack(write_movie(tmp_path / f"{value}.tif", np.full((3, 32, 40), value, np.uint16))) for value in (1, 2)
    ]
    source = PatchSource(stacks, 32, Scale(mean=0.0, std=1.0), tmp_path)
    batch = source.batch(32, 1, 5)
    assert set(batch.unique().tolist()) == {1.0, 2.0}
    assert torch.equal(batch, source.batch(32, 1, 5))
    assert not torch.equal(batch, source.batch(32, 1, 6))
    with pytest.raises(JobRefused, match="at least 64 x 64"):
        PatchSource(stacks, 64, Scale(mean=0.0, std=1.0), tmp_path)
    for stack in stacks:
        stack.close()


@pytest.fixture
def training(tmp_path):
    """Return a function that makes a training of 12 steps with some noise model."""
    path = write_movie(tmp_path / "noisy.tif", noisy_movie(clean_movie(16, 64), gain=2, read_noise=8, offset=100))
    stack = open_stack(path)
    scale = scale_of([stack])
    source = PatchSource([stack], 32, scale, tmp_path)
    opened = []
    small = {"patch_size": 32, "max_epochs": 3, "steps_per_epoch": 4, "batch_size": 2}

    def make(noise_model=NOISE, name="run", **changes):
        job = make_job(tmp_path / name / "train", "train", "smoke", inputs={"train": [path]}, **small | changes)
        opened.append(Events(job.folder / "events.jsonl"))
        return LadderTraining(job, noise_model, scale, train=source, val=source), opened[-1]

    yield make
    for one in (stack, *opened):
        one.close()


class _Failing:
    """A noise model that gives NaN in some calls, or an error in one."""

    def __init__(self, calls, stop_at=None):
        self.calls, self.stop_at, self.number = calls, stop_at, -1

    def log_density(self, residual, signal):
        self.number += 1
        if self.number == self.stop_at:
            raise ZeroDivisionError
        density = NOISE.log_density(residual, signal)
        return density * np.nan if self.number in self.calls else density


def test_a_step_with_nan_is_left_out_and_counted(training):
    made, events = training(_Failing({2}))
    before = []
    made.network.register_forward_pre_hook(
        lambda *_: before.append({name: value.clone() for name, value in made.network.state_dict().items()})
    )
    made.run(events)
    assert made.skips.count == 1
    for name, value in before[2].items():
        assert torch.equal(value, before[3][name]), name  # neither weights nor running statistics moved in step 2
    assert any(not torch.equal(before[3][name], before[5][name]) for name in before[3])


def test_too_many_steps_with_nan_end_the_training_with_the_evidence(training):
    made, events = training(_Failing(set(range(1, 99))), max_epochs=1, steps_per_epoch=12)
    with pytest.raises(DidNotConverge, match=r"the loss is not finite; 6 steps left out for that, at most 5 allowed"):
        made.run(events)


def test_a_gradient_that_is_not_finite_is_left_out_too(training):
    made, events = training()
    weight = next(made.network.parameters())
    calls = []
    weight.register_hook(lambda gradient: gradient * (np.nan if calls.append(0) or len(calls) == 3 else 1))
    made.run(events)
    assert made.skips.count == 1
    assert all(torch.isfinite(value).all() for value in made.network.state_dict().values())


def test_gradients_are_scaled_down_to_the_norm_that_was_asked_for(training):
    norms = []
    for most in (1e-3, 1e9):
        made, events = training(name=f"norm{most}", max_grad_norm=most, max_epochs=1, steps_per_epoch=1)
        made.run(events)
        norms.append(torch.linalg.vector_norm(torch.cat([one.grad.ravel() for one in made.network.parameters()])))
    assert norms[0].item() == pytest.approx(1e-3, rel=1e-3)
    assert norms[1] > 0.01  # without clipping


def test_skips_survive_a_restart():
    skips, again = Skips(count=3, last_loss=1.5), Skips()
    again.load_state_dict(skips.state_dict())
    assert again == skips


def test_a_training_interrupted_anywhere_ends_with_the_same_bits(training, monkeypatch):
    whole, events = training(name="whole")
    whole.run(events)
    monkeypatch.setattr("contract.training._SAVE_EVERY_S", 0.0)
    monkeypatch.setattr("contract.training._SAVE_SHARE", 0)
    first, events = training(_Failing({}, stop_at=7), name="parts")
    with pytest.raises(ZeroDivisionError):
        first.run(events)
    second, events = training(name="parts")
    second.run(events)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name


class _Fake(torch.nn.Module):
    """A network whose output and divergence are given."""

    def __init__(self, output, divergence):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.output, self.divergence = output, divergence

    def forward(self, noisy):
        return self.output(noisy), {"kl": [torch.full((len(noisy),), self.divergence) * noisy[0].numel()]}


class _Patches:
    """Patches of a smooth pattern (variance 0.5) with noise of variance 0.25, standardised by hand."""

    def batch(self, count, *purpose):
        rng = np.random.default_rng(purpose)
        y, x = np.mgrid[:64, :64]
        signal = np.sin(x / 3 + rng.uniform(0, 6, (count, 1, 1, 1))) * np.ones_like(y)
        return torch.from_numpy((signal + 0.5 * rng.normal(size=signal.shape)).astype(np.float32))


def _judge(output, divergence=0.1, variance=0.25):
    noise_model = AffineNoise(variance_at_zero=variance, gain=0.0, min_variance=variance)
    scale = Scale(mean=0.0, std=1.0)
    return gather_evidence(_Fake(output, divergence), _Patches(), noise_model, scale, seed=1, free_bits=1.0, skipped=0)


def _refuse_failure(evidence):
    judge(evidence, SimpleNamespace(message=lambda _: None))


def _blurred(noisy):
    return torch.nn.functional.avg_pool2d(noisy, (5, 1), 1, (2, 0), count_include_pad=False)


def test_a_denoiser_passes_and_its_error_is_that_on_hidden_pixels():
    found = _judge(_blurred)
    _refuse_failure(found)
    assert found.noise == pytest.approx(0.25)
    assert found.constant == pytest.approx(0.75, rel=0.1)  # variance of signal and noise
    # the pattern does not change along Y: noise of the hidden pixel, and a fifth of that of the neighbours in the blur
    assert found.restored == pytest.approx(0.25 + 0.25 * 4 / 25, rel=0.35)


def test_the_identity_is_no_better_than_the_identity():
    with pytest.raises(DidNotConverge, match="worse than without denoising"):
        _refuse_failure(_judge(lambda noisy: noisy))


def test_a_network_that_ignores_the_image_is_a_collapse():
    with pytest.raises(DidNotConverge, match="posterior collapse"):
        _refuse_failure(_judge(_blurred, divergence=1e-6))


def _evidence(**changes):
    """Return what a collapsed network leaves: a signal half as strong as the noise, and latents that cost nothing."""
    figures = {"restored": 1.0, "identity": 1.4, "constant": 1.0, "noise": 0.67, "divergence": [3e-4, 2e-4]}
    return Evidence(**figures | {"free": 2 / 64**2, "skipped": 0} | changes)


def test_latents_as_cheap_as_the_free_bits_that_restore_nothing_are_a_collapse():
    with pytest.raises(DidNotConverge, match=r"posterior collapse.*of a constant 1, noise 0.67"):
        _refuse_failure(_evidence())
    _refuse_failure(_evidence(divergence=[3e-3, 2e-4]))  # they say something
    _refuse_failure(_evidence(restored=0.9))  # a third of the signal is restored: large free bits were asked for


def test_a_noise_model_that_is_too_wide_does_not_hide_the_signal():
    """Half the mean squared difference of neighbours of the pattern: 0.25 of noise, 0.5 (1 - cos(1 / 3)) of signal."""
    assert _judge(_blurred, variance=1e6).noise == pytest.approx(0.25 + 0.5 * (1 - np.cos(1 / 3)), rel=0.02)


def test_nan_from_the_network_is_a_failure_with_figures():
    found = _judge(lambda noisy: noisy * np.nan)
    with pytest.raises(DidNotConverge, match=r"not finite.*mean squared error"):
        _refuse_failure(found)
    assert document_of(found)["restored"] is None


def test_no_signal_is_no_collapse():
    _refuse_failure(_evidence(identity=2.0, noise=0.99, divergence=[0.0, 0.0]))


def test_terms_weigh_only_the_divergence():
    terms = Terms(torch.tensor(2.0), torch.tensor([0.5, 0.25]))
    assert terms.loss(0.0).item() == 2.0
    assert terms.loss(2.0).item() == 3.5
