"""Noise models as densities and as files."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
import torch
from hdn_jobs import clean_movie, noisy_movie, write_movie

from contract.errors import DidNotConverge, JobRefused
from contract.stacks import open_stack
from noise_mixture import fit_mixture
from noise_models import AffineNoise, MixtureNoise, load_noise_model, save_noise_model
from noise_pairs import Pairs, pairs_with_calibration, pairs_with_prediction

FIT = {"n_gaussian": 3, "n_coeff": 2, "learning_rate": 0.1, "batch_size": 10000, "n_epochs": 1000, "seed": 1}
torch.set_num_threads(1)
ONE = {"share": 1.0, "clip_percent": 0.1, "seed": 1}


def _truth(signal):
    """Return weight, mean around the signal and variance of two components, as functions of the signal 700 .. 800."""
    return [(0.8, -1.0, 4 + 0.05 * (signal - 700)), (0.2, 4.0, 9 + 0.3 * (signal - 700))]


def _true_pairs(count=100_000):
    rng = np.random.default_rng(0)
    signal = rng.uniform(700, 800, count)
    (_, mean, variance), (_, other_mean, other_variance) = _truth(signal)
    first = rng.random(count) < 0.8
    spread = np.where(first, variance, other_variance) ** 0.5
    return Pairs(signal + np.where(first, mean, other_mean) + spread * rng.normal(size=count), signal)


@pytest.fixture(scope="module")
def fitted():
    return fit_mixture(_true_pairs(), min_sigma=0.3, **FIT)


def _density(noise_model, residual, signal):
    at = torch.full((len(residual),), float(signal), dtype=torch.float64)
    return noise_model.log_density(torch.from_numpy(residual), at).exp().numpy()


@pytest.mark.parametrize("signal", [710, 750, 790])
def test_a_fitted_mixture_equals_the_exact_density(fitted, signal):
    residual = np.linspace(-25, 40, 1000)
    exact = sum(
        weight * np.exp(-((residual - mean) ** 2) / 2 / variance) / np.sqrt(2 * np.pi * variance)
        for weight, mean, variance in _truth(signal)
    )
    distance = 0.5 * np.abs(_density(fitted.noise_model, residual, signal) - exact).sum() * (residual[1] - residual[0])
    assert distance < 0.015  # total variation; 0 is equal, 1 is disjoint


def test_the_fit_says_that_it_converged_and_is_its_own_last_word(fitted):
    assert fitted.converged
    assert fitted.loss[-1][0] < FIT["n_epochs"]
    pairs = _true_pairs(20_000)
    residual, signal = (torch.from_numpy(array) for array in (pairs.noisy - pairs.signal, pairs.signal))
    here = -fitted.noise_model.log_density(residual, signal).mean().item()
    assert here == pytest.approx(min(loss for _, loss in fitted.loss), abs=0.02)  # nats per pixel: what was returned


def test_a_fit_cut_short_says_so():
    assert not fit_mixture(_true_pairs(5000), min_sigma=0.3, **FIT | {"n_epochs": 30}).converged


def test_a_fit_to_nonsense_ends_as_not_converged():
    with pytest.raises(DidNotConverge, match="loss"):
        fit_mixture(_true_pairs(5000), min_sigma=0.3, **FIT | {"learning_rate": 1e6})


def test_no_component_is_narrower_than_the_floor():
    signal = np.random.default_rng(0).uniform(0, 10, 5000)
    fit = fit_mixture(Pairs(signal + 1e-3, signal), min_sigma=0.5, **FIT | {"n_epochs": 50})
    assert fit.noise_model.min_variance == pytest.approx(0.25)
    assert fit.noise_model.variance(np.array([5.0]))[0] >= 0.25


def test_far_residuals_keep_a_finite_density_and_gradient(fitted):
    signal = torch.tensor([750.0], requires_grad=True)
    density = fitted.noise_model.log_density(torch.tensor([1e6]) - signal, signal)  # log(exp(-3e10)) without logsumexp
    density.sum().backward()
    assert torch.isfinite(density).all()
    assert torch.isfinite(signal.grad).all()
    assert signal.grad.abs().sum() > 0


def test_the_mean_of_a_mixture_is_the_signal(fitted):
    residual = np.linspace(-60, 60, 4001)
    density = _density(fitted.noise_model, residual, 760)
    assert (density * residual).sum() / density.sum() == pytest.approx(0, abs=1e-3)


def test_an_affine_density_is_that_of_a_gaussian():
    noise_model = AffineNoise(variance_at_zero=-100.0, gain=2.0, min_variance=5.0)
    residual = np.linspace(-100, 100, 2001)
    for signal, variance in ((150, 200.0), (51, 5.0)):  # below 52.5 the floor holds
        density = _density(noise_model, residual, signal)
        assert density.sum() * 0.1 == pytest.approx(1, abs=1e-6)
        assert (density * residual**2).sum() * 0.1 == pytest.approx(variance, rel=1e-3)


@pytest.mark.parametrize("kind", ["affine", "mixture"])
def test_a_noise_model_survives_its_file_bit_by_bit(tmp_path, fitted, kind):
    made = AffineNoise(variance_at_zero=1 / 3, gain=0.1, min_variance=1e-3) if kind == "affine" else fitted.noise_model
    for name in ("one.npz", "two.npz"):
        save_noise_model(tmp_path / name, made)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    again = load_noise_model(tmp_path / "one.npz")
    residual, signal = torch.linspace(-9, 9, 50), torch.linspace(700, 800, 50)
    assert torch.equal(again.log_density(residual, signal), made.log_density(residual, signal))


def test_a_file_with_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "bad.npz", kind=np.array(object()))
    with pytest.raises(JobRefused, match=r"noise_model\.npz"):
        load_noise_model(tmp_path / "bad.npz")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_file_cut_short_is_refused(tmp_path, share):
    save_noise_model(tmp_path / "whole.npz", AffineNoise(variance_at_zero=1.0, gain=2.0, min_variance=0.1))
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(JobRefused, match=r"cut\.npz: expected the noise_model\.npz of an hdn run"):
        load_noise_model(tmp_path / "cut.npz")


def test_a_file_with_other_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", kind=np.asarray("affine"), slope=1.0)
    with pytest.raises(JobRefused, match=r"other\.npz: expected the noise_model\.npz of an hdn run"):
        load_noise_model(tmp_path / "other.npz")


@pytest.fixture
def stacks(tmp_path):
    clean = clean_movie(24, 64)
    for number, name in enumerate(("b.tif", "a.tif")):
        movie = noisy_movie(clean + 30 * number, gain=2, read_noise=8, offset=100, seed=number)
        write_movie(tmp_path / "noisy" / name, movie)
        write_movie(tmp_path / "prior" / name, (clean + 30 * number + 100).astype(np.float32))
    opened = {role: [open_stack(tmp_path / role / name) for name in ("b.tif", "a.tif")] for role in ("noisy", "prior")}
    yield opened
    for stack in opened["noisy"] + opened["prior"]:
        stack.close()


def test_pairs_do_not_depend_on_the_order_of_the_predictions(stacks):
    one = pairs_with_prediction(stacks["noisy"], stacks["prior"], **ONE)
    two = pairs_with_prediction(stacks["noisy"], stacks["prior"][::-1], **ONE)
    np.testing.assert_array_equal(one.noisy, two.noisy)
    np.testing.assert_array_equal(one.signal, two.signal)
    expected = 64 + 2 * (one.signal.mean() - 100)  # read noise 8 and gain 2 of the simulation
    assert np.var(one.noisy - one.signal) == pytest.approx(expected, rel=0.03)


def test_exchanged_roles_are_refused(stacks):
    with pytest.raises(JobRefused, match="smoother"):
        pairs_with_prediction(stacks["prior"], stacks["noisy"], **ONE)


@pytest.mark.parametrize("change", [lambda clean: (clean - 150) / 60, lambda clean: clean[:, ::-1]])
def test_a_prediction_in_other_units_or_of_another_movie_is_refused(stacks, tmp_path, change):
    prior = [
        open_stack(write_movie(tmp_path / "other" / one.path.name, change(one.frames(0, 24))))
        for one in stacks["prior"]
    ]
    with pytest.raises(JobRefused, match="intensity units, got one whose mean squared distance"):
        pairs_with_prediction(stacks["noisy"], prior, **ONE)
    for stack in prior:
        stack.close()


def test_predictions_of_other_names_are_refused(stacks):
    with pytest.raises(JobRefused, match=r"a\.tif, b\.tif"):
        pairs_with_prediction(stacks["noisy"], stacks["prior"][:1], **ONE)


def test_clipping_takes_the_tails_of_the_signal_at_both_ends(stacks):
    every = pairs_with_prediction(stacks["noisy"], stacks["prior"], **ONE | {"clip_percent": 0.0})
    most = pairs_with_prediction(stacks["noisy"], stacks["prior"], **ONE | {"clip_percent": 5.0})
    assert len(most.signal) == pytest.approx(0.9 * len(every.signal), rel=0.01)
    assert every.signal.min() < most.signal.min() < most.signal.max() < every.signal.max()


def test_calibration_frames_give_the_noise_without_the_share_their_mean_holds(tmp_path):
    scene = np.repeat(np.linspace(50, 400, 64 * 64).reshape(1, 64, 64), 24, axis=0)
    path = write_movie(tmp_path / "calibration.tif", noisy_movie(scene, gain=2, read_noise=8, offset=100))
    with open_stack(path) as stack:
        pairs = pairs_with_calibration([stack], **ONE)
    assert np.var(pairs.noisy - pairs.signal) == pytest.approx(64 + 2 * 225, rel=0.02)  # 225 is the mean of the scene


def test_too_few_calibration_frames_are_refused(tmp_path):
    with (
        open_stack(write_movie(tmp_path / "few.tif", np.zeros((5, 32, 32), np.uint16))) as stack,
        pytest.raises(JobRefused, match="at least 20"),
    ):
        pairs_with_calibration([stack], **ONE)


def test_a_mixture_with_one_component_and_no_slope_is_a_gaussian():
    made = MixtureNoise(
        means=np.zeros((1, 1)), log_variances=np.log(np.full((1, 1), 9.0)), logits=np.zeros((1, 1)),
        min_variance=0.1, signal_low=0.0, signal_high=1.0,
    )  # fmt: skip
    other = AffineNoise(variance_at_zero=9.0, gain=0.0, min_variance=0.1)
    residual, signal = torch.linspace(-9, 9, 50), torch.linspace(0, 1, 50)
    torch.testing.assert_close(made.log_density(residual, signal), other.log_density(residual, signal))
