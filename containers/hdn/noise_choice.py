"""Make the noise model that a job asks for: estimated, fitted, given, or read from another run."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contract.errors import JobRefused
from contract.stacks import open_stack
from noise_estimate import Estimate, estimate_affine, residual_pairs
from noise_mixture import fit_mixture
from noise_models import AffineNoise, MixtureNoise, load_noise_model
from noise_pairs import Pairs, pairs_with_calibration, pairs_with_prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.events import Events
    from contract.job import Job
    from contract.stacks import Stack

_NARROW = 0.2  # relative error of the gain above which gain and read noise cannot be told apart
_DISTURBED = 0.7  # share of undisturbed differences below which the user is told
_FLOOR_SHARE = 0.05  # smallest component of a mixture over the spread of all residuals, where no floor is given
_ROUNDING_SIGMA = 12**-0.5  # of a value rounded to an integer


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A noise model and the data behind it.

    Parameters
    ----------
    noise_model : AffineNoise or MixtureNoise
        What to train with.
    pairs : Pairs
        Noisy pixels beside (an estimate of) their signal, to compare the model with.
    estimate : Estimate or None
        The windows of an estimated one.
    """

    noise_model: AffineNoise | MixtureNoise
    pairs: Pairs
    estimate: Estimate | None = None


def choose_noise_model(job: Job, stacks: Sequence[Stack], events: Events) -> Choice:
    """Make the noise model of a train job.

    Parameters
    ----------
    job : Job
        Its params say how; `job.inputs.prior` holds predictions, calibration stacks or one noise model.
    stacks : sequence of Stack
        The training stacks, open.
    events : Events
        Told what was found.

    Raises
    ------
    JobRefused
        When the prior is missing or does not fit what is asked for.
    DidNotConverge
        When the fit of a mixture is not finite.
    """
    prior = job.inputs.prior
    with ExitStack() as opened:
        if len(prior) == 1 and prior[0].suffix == ".npz":
            choice = _given(job, stacks, events)
        else:
            others = [opened.enter_context(open_stack(path, job.axes)) for path in prior]
            choice = _made(job, stacks, others, events)
    return choice


def _given(job: Job, stacks: Sequence[Stack], events: Events) -> Choice:
    noise_model = load_noise_model(job.inputs.prior[0])
    events.message(f"noise model read from {job.inputs.prior[0]}")
    return Choice(noise_model=noise_model, pairs=residual_pairs(stacks, job.params["differences"]))


def _made(job: Job, stacks: Sequence[Stack], others: Sequence[Stack], events: Events) -> Choice:
    kind, calibration = job.params["noise_model"], job.params["earlier_kind"] == "calibration"
    if kind == "gmm":
        return _mixture(job, stacks, others, events)
    if others and not calibration:
        message = (
            f"earlier result: noise_model {kind} uses no predictions, got {len(others)}; set noise_model to gmm, or "
            "earlier_kind to calibration if these are frames of a motionless scene"
        )
        raise JobRefused(message)
    sources = others if others and calibration else stacks
    pairs = residual_pairs(sources, job.params["differences"])
    if kind == "gaussian" and job.params["sigma"] is not None:
        return Choice(noise_model=_constant(job.params["sigma"] ** 2), pairs=pairs)
    estimate = estimate_affine(sources, job.params["differences"])
    if kind == "gaussian":
        windows = estimate.windows
        constant = _constant(float(np.average(windows.variance, weights=windows.count)))
        events.message(f"noise: standard deviation {constant.min_variance**0.5:.4g}, estimated")
        return Choice(noise_model=constant, pairs=pairs, estimate=estimate)
    _tell(estimate, job.params["camera_offset"], events)
    return Choice(noise_model=estimate.noise_model, pairs=pairs, estimate=estimate)


def _constant(variance: float) -> AffineNoise:
    return AffineNoise(variance_at_zero=variance, gain=0.0, min_variance=variance)


def _tell(estimate: Estimate, camera_offset: float, events: Events) -> None:
    fit = estimate.noise_model
    read_noise = fit.read_noise(camera_offset)
    if read_noise is None:
        shown = f"read noise unknown: the variance vanishes at {-fit.variance_at_zero / fit.gain:.6g}"
    else:
        shown = f"read noise {read_noise:.4g}"
    events.message(
        f"noise: gain {fit.gain:.4g} +- {fit.gain_error:.2g} intensity units per photo-electron, {shown} "
        f"(camera_offset {camera_offset:g}); {len(estimate.windows.mean)} windows, {estimate.kept:.0%} of the "
        "differences undisturbed"
    )
    if estimate.kept < _DISTURBED:
        events.message(
            f"noise: in {1 - estimate.kept:.0%} of the differences between frames more than noise changed; if the "
            "frames do not follow each other, set differences to spatial"
        )
    if fit.gain == 0 or fit.gain_error > _NARROW * fit.gain:
        events.message("noise: the signal varies too little to tell gain from read noise; their sum is well known")


def _mixture(job: Job, stacks: Sequence[Stack], others: Sequence[Stack], events: Events) -> Choice:
    params = job.params
    if not others:
        message = (
            "earlier result: noise_model gmm is fitted from predictions of another experiment, calibration frames or a "
            "noise_model.npz, got none; noise_model affine needs none"
        )
        raise JobRefused(message)
    options = {"share": params["random_perc"], "clip_percent": params["clip_perc"], "seed": job.seed}
    if params["earlier_kind"] == "calibration":
        pairs = pairs_with_calibration(others, **options)
    else:
        pairs = pairs_with_prediction(stacks, others, **options)
    fit = fit_mixture(
        pairs,
        n_gaussian=params["n_gaussian"],
        n_coeff=params["n_coeff"],
        min_sigma=_min_sigma(params["min_sigma"], pairs, stacks),
        learning_rate=params["noise_lr"],
        batch_size=params["noise_batch_size"],
        n_epochs=params["noise_epochs"],
        seed=job.seed,
    )
    ended = "converged" if fit.converged else "NOT converged: raise noise_epochs"
    events.message(
        f"noise: mixture of {params['n_gaussian']} fitted to {len(pairs.signal)} pixels, {fit.loss[0][1]:.4f} -> "
        f"{fit.loss[-1][1]:.4f} nats per pixel after {fit.loss[-1][0]} batches, {ended}"
    )
    return Choice(noise_model=fit.noise_model, pairs=pairs)


def _min_sigma(given: float | None, pairs: Pairs, stacks: Sequence[Stack]) -> float:
    """Return the smallest standard deviation of a component: as given, or from the data, in their units."""
    if given is not None:
        return given
    spread = float(np.sqrt(np.mean((pairs.noisy - pairs.signal) ** 2)))
    rounded = all(stack.dtype.kind in "iu" for stack in stacks)
    return max(_FLOOR_SHARE * spread, _ROUNDING_SIGMA if rounded else 0.0)
