"""Training: predict masked pixels from their surroundings in space and time.

The loss is sum_masked w (|d - y| + 1e-8)^p / (k (1e-8 + n)) with d the prediction, y the noisy value, w the weight of
the sample, k the predicted frames and n the masked pixels of each. Wang et al., npj Imaging 2024,
doi 10.1038/s44303-024-00055-x.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch

from checkpoint import load, save
from contract.device import autocast, torch_device
from contract.errors import JobRefused
from contract.evidence import judge, tell_baseline
from contract.pipeline import depth_for, in_turn
from contract.seeding import generator
from contract.training import run_steps
from contract.transfer import ready_for
from correlation import Occlusion
from features import feature_count
from heldout import Evidence, HeldOut
from network import CellMincer, centre_crop
from sampling import Batch, Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from contract.events import Events
    from contract.job import Job
    from preprocess import Prepared
    from settings import Fitting, Settings

_BATCH_PURPOSE, _SAMPLER_PURPOSE = 0xBA7C, 0x5A3B
_VALIDATIONS, _WATCHED_WINDOWS, _SETTLING_WINDOWS = 5, 8, 16
_HINT = "more n_iters or a larger lr_max may help; convergence: reported ends well all the same"


def fit(job: Job, events: Events, settings: Settings, movies: list[Prepared], watched: list[Prepared]) -> None:
    """Train a network and write its checkpoint.

    Parameters
    ----------
    job : Job
        A train job.
    events : Events
        Progress and messages go here.
    settings : Settings
        What to do.
    movies : list of Prepared
        Movies to train on.
    watched : list of Prepared
        Movies to watch the loss on; the held-out frames of `movies` when there are none.

    Raises
    ------
    DidNotConverge
        When the network is of no use on held-out pixels; the checkpoint is written all the same.
    """
    network = _start(job, settings)
    events.network(sum(weight.numel() for weight in network.parameters()))
    settings = replace(settings, architecture=network.architecture)
    occlusion = _occlusion(settings, movies, events)
    sampler = Sampler(movies, settings, occlusion, generator(job.seed, _SAMPLER_PURPOSE))
    optimiser = _optimiser(network, settings.fitting)
    held = [(movie, frames) for movie, frames in zip(movies, sampler.held, strict=True) if len(frames)]
    held = held or [(movie, movie.frames) for movie in movies]
    evaluation = HeldOut(held, settings, occlusion, job)
    watching = HeldOut([(movie, movie.frames) for movie in watched] or held, settings, occlusion, job, _WATCHED_WINDOWS)
    coming = _batches(job, sampler, settings.fitting.n_iters)

    def step(number: int) -> torch.Tensor:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(number, settings.fitting)
        batch = Batch(*(part.to(job.device, non_blocking=True) for part in coming(number)))
        optimiser.zero_grad(set_to_none=True)
        with autocast(job):
            predicted = _predict(network, batch, one_by_one=settings.upstream)
        loss = masked_loss(predicted.float(), batch, settings.fitting.norm_p)
        loss.backward()
        optimiser.step()
        return loss.detach()

    run_steps(
        job,
        events,
        parts={"network": network, "optimiser": optimiser},
        steps=settings.fitting.n_iters,
        step=step,
        validate=lambda: watching.evidence(network).network,
        validate_every=max(1, settings.fitting.n_iters // _VALIDATIONS),
    )
    evidence = settle(network, evaluation, events, settings)
    if settings.settle:
        _move_to_the_mean(network, job, settings, movies, occlusion)
        evidence = evaluation.evidence(network)
    tell_baseline(evaluation.baseline(network, "held-out frames"), job, events)
    save(job.checkpoint, network, occlusion, _record(evidence, occlusion, movies))
    if evidence.leakage is not None:
        events.message(evidence.leakage)
    judge(evidence, events, on="held-out frames", required=settings.require_convergence, hint=_HINT)


def _batches(job: Job, sampler: Sampler, steps: int) -> Callable[[int], Batch]:
    """Return a function that gives the batch of each step in turn, cut ahead of it on a GPU."""

    def drawn(number: int) -> Batch:
        batch = sampler.draw(generator(job.seed, _BATCH_PURPOSE, number), number)
        return Batch(*(ready_for(job.device, part) for part in batch))

    return in_turn(drawn, steps, depth_for(job.device))


def masked_loss(predicted: torch.Tensor, batch: Batch, norm_p: float) -> torch.Tensor:
    """Return the loss.

    Parameters
    ----------
    predicted : Tensor of shape (N, k, width, height)
        Prediction.
    batch : Batch
        Target, masked pixels and weights.
    norm_p : float
        Exponent p.
    """
    target, centres, weights = (
        torch.as_tensor(part, device=predicted.device) for part in (batch.target, batch.centres, batch.weights)
    )
    error = (predicted - target).abs().add(1e-8).pow(norm_p) * weights[:, None, None, None] * centres
    counts = centres.sum(dim=(0, 2, 3))
    return (error.sum(dim=(0, 2, 3)) / (1e-8 + counts)).sum() / predicted.shape[1]


def learning_rate(step: int, fitting: Fitting) -> float:
    """Return the learning rate of a step: a linear rise from `lr_min` to `lr_max`, then half a cosine back."""
    if fitting.lr_type == "constant":
        return fitting.lr_max
    warmup = int(fitting.n_iters * fitting.lr_warmup)
    if step < warmup:
        return fitting.lr_min + (fitting.lr_max - fitting.lr_min) * step / warmup
    progress = (step - warmup) / (fitting.n_iters - warmup)
    return fitting.lr_min + (fitting.lr_max - fitting.lr_min) * (1 + math.cos(math.pi * progress)) / 2


def _predict(network: CellMincer, batch: Batch, *, one_by_one: bool) -> torch.Tensor:
    contexts = network.spatial_unet.contexts(batch.features)
    embedded = network.embed(batch.frames, contexts, one_by_one=one_by_one)
    return centre_crop(network.temporal_denoiser(embedded), *batch.target.shape[2:])


def _occlusion(settings: Settings, movies: list[Prepared], events: Events) -> Occlusion:
    """Return the box to hide: as given, or else as the noise of all movies asks for; nothing for upstream."""
    if settings.upstream:
        return Occlusion()
    box = Occlusion()
    for movie in movies:
        box = box.union(movie.statistics.correlation.occlusion())
        if movie.statistics.correlation.exceeds():
            events.message(
                f"{movie.recording.name}: the noise is correlated further than can be hidden; "
                "what is left of it will pass into the prediction"
            )
    radius, frames = settings.fitting.occlusion_radius, settings.fitting.occlusion_frames
    box = Occlusion(
        x=box.x if radius is None else radius,
        y=box.y if radius is None else radius,
        t=box.t if frames is None else frames,
    )
    events.message(f"hidden with each masked pixel: {box.x} x {box.y} pixels and {box.t} frames on either side")
    return box


def _start(job: Job, settings: Settings) -> CellMincer:
    """Make the network, from random numbers or from a checkpoint given as prior (upstream's --pretrain)."""
    n_features = feature_count(settings.preprocess.feature_depth)
    torch.manual_seed(job.seed)
    if job.inputs.prior:
        network = load(job.inputs.prior[0], job.params).network
    else:
        network = CellMincer(settings.architecture, n_features)
    if network.n_features != n_features:
        message = (
            f"{job.inputs.prior[0]}: expected a network for {n_features} features, got {network.n_features}; "
            "set feature_depth to that of the checkpoint"
        )
        raise JobRefused(message)
    network.spatial_unet.to(memory_format=torch.channels_last)
    return network.to(torch_device(job)).train()


def _optimiser(network: CellMincer, fitting: Fitting) -> torch.optim.Optimizer:
    common = {"lr": fitting.lr_max, "weight_decay": fitting.optim_weight_decay}
    if fitting.optim_type == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=fitting.optim_momentum, **common)
    return torch.optim.AdamW(network.parameters(), betas=(fitting.optim_beta1, fitting.optim_beta2), **common)


def settle(network: CellMincer, evaluation: HeldOut, events: Events, settings: Settings) -> Evidence:
    """Measure a network and re-estimate its batch normalisation if that is better on held-out pixels.

    The statistics of training are those of the last few batches of masked windows, while denoising sees whole frames
    without masks.

    Returns
    -------
    Evidence
        Of the network as it is left.
    """
    evidence = evaluation.evidence(network)
    if settings.upstream or not network.architecture.spatial_unet_batch_norm:
        return evidence
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    evaluation.reestimate(network)
    other = evaluation.evidence(network)
    if other.network < evidence.network:
        change = f"{evidence.network:.3f} -> {other.network:.3f}"
        events.message(f"batch normalisation re-estimated: error on masked pixels {change}")
        return other
    network.load_state_dict(state)
    return evidence


def _move_to_the_mean(
    network: CellMincer, job: Job, settings: Settings, movies: list[Prepared], occlusion: Occlusion
) -> None:
    """Set the last bias so that the mean of a movie comes back: steps leave it where their batches drew it."""
    anywhere = [(movie, movie.frames) for movie in movies]
    windows = HeldOut(anywhere, settings, occlusion, job, _SETTLING_WINDOWS)
    with torch.no_grad():
        network.temporal_denoiser.dense_block[-1].bias += windows.residual(network)


def _record(evidence: Evidence, occlusion: Occlusion, movies: list[Prepared]) -> dict[str, Any]:
    """Return what training found, as JSON."""
    noise = [
        {
            "name": movie.recording.name,
            "line": asdict(movie.noise),
            "correlation_x": movie.statistics.correlation.x.tolist(),
            "correlation_y": movie.statistics.correlation.y.tolist(),
            "correlation_t": movie.statistics.correlation.t.tolist(),
            "scale": movie.features.scale,
        }
        for movie in movies
    ]
    return {"evidence": evidence.document(), "occlusion": asdict(occlusion), "noise": noise}
