"""HDN: a hierarchical variational autoencoder with a noise model, on the ladder network of careamics 0.3.5."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import torch

from baseline import REPORTED, SETTLING, means_of
from contract.device import autocast, torch_device
from contract.errors import JobRefused
from contract.evidence import Baseline, document_of, judge, tell_baseline
from contract.figures import write_figures
from contract.files import write_json
from contract.pipeline import depth_for
from contract.predictions import predictions_of
from contract.stacks import open_stack
from convergence import gather_evidence
from declared_figures import noise_figures, sample_figures
from ladder import build_ladder, multiple_of
from ladder_training import LadderTraining
from movie_prediction import Request, predict_movie
from noise_choice import choose_noise_model
from noise_models import save_noise_model
from noise_report import noise_report
from patch_source import PatchSource, Scale, scale_of
from posterior import Posterior
from sample_count import fit_count

if TYPE_CHECKING:
    from careamics.models.lvae.lvae import LadderVAE

    from contract.events import Events
    from contract.job import Job

_OFFSET = "offset.json"


def train(job: Job, events: Events) -> None:
    """Make the noise model, train the network, and see whether it denoises pixels it is not shown."""
    torch_device(job)
    _request(job, multiple_of(job.params))
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        stacks, val = (
            [opened.enter_context(open_stack(path, job.axes)) for path in paths]
            for paths in (job.inputs.train, job.inputs.val)
        )
        scale = scale_of(stacks)
        write_json(job.checkpoint / "scale.json", asdict(scale))
        choice = choose_noise_model(job, stacks, events)
        save_noise_model(job.checkpoint / "noise_model.npz", choice.noise_model)
        report = noise_report(choice, job.params["camera_offset"])
        write_json(job.checkpoint / "noise_model.json", report)
        write_figures(job, noise_figures(report))
        cut = partial(PatchSource, size=job.params["patch_size"], scale=scale, folder=job.folder)
        source = cut(stacks)
        watched = cut(val) if val else source
        training = LadderTraining(job, choice.noise_model, scale, train=source, val=watched)
        training.run(events)
        offset = _settled(job, training.network, source, scale)
        noisy, predicted = means_of(training.network, watched, scale, job.seed, REPORTED)
        on = "validation movies" if val else "training frames"
        tell_baseline(Baseline(noisy=noisy, predicted=predicted + offset, on=on), job, events)
        evidence = gather_evidence(
            training.network,
            watched,
            choice.noise_model,
            scale,
            seed=job.seed,
            free_bits=job.params["free_bits"],
            skipped=training.skips.count,
        )
    write_json(job.checkpoint / "evidence.json", document_of(evidence))
    judge(evidence, events)


def _settled(job: Job, network: LadderVAE, source: PatchSource, scale: Scale) -> float:
    """Find what has to be added to predictions so that they have the mean of the movie, and keep it."""
    if not job.params["settle"]:
        return 0.0
    noisy, predicted = means_of(network, source, scale, job.seed, SETTLING)
    write_json(job.checkpoint / _OFFSET, {"offset": noisy - predicted})
    return noisy - predicted


def predict(job: Job, events: Events) -> None:
    """Write the mean of samples of every frame; spread, single samples and figures go to the folder `extra/<split>`."""
    device = torch_device(job)
    state = torch.load(job.checkpoint / "state.pt", map_location=device, weights_only=True)
    network = build_ladder(state["job"]["params"]).to(device)
    network.load_state_dict(state["parts"]["network"])
    scale = Scale(**json.loads((job.checkpoint / "scale.json").read_text()))
    precision = partial(autocast, job)
    settled = job.checkpoint / _OFFSET
    offset = json.loads(settled.read_text())["offset"] if settled.exists() else 0.0
    seeing = {"seed": job.seed, "device": job.device, "precision": precision, "tell": events.message}
    posterior = Posterior(network, scale, offset=offset, **seeing)
    request = _request(job, multiple_of(state["job"]["params"]))
    extra = job.predictions.parent / "extra" / job.predictions.name  # two splits may have movies of the same name
    extra.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(job.checkpoint / "noise_model.json", extra / "noise_model.json")
    share = (
        None if job.params["differences"] == "spatial" else job.params["sampling_noise"]
    )  # frames that do not follow
    for stack, prediction in predictions_of(job, events):
        fitted = fit_count(posterior, request, stack, share, events.message)
        predict_movie(posterior, fitted, stack, prediction, extra, depth_for(job.device))
    names = [path.name for path in job.inputs.noisy]
    write_figures(job, sample_figures(names, extra / "settling", job.folder))


def _request(job: Job, multiple: int) -> Request:
    """Return what to predict; read before training, too, as a refusal after hours comes late."""
    params = job.params
    if params["save_samples"] > params["mmse_count"]:
        message = f"save_samples: expected at most mmse_count {params['mmse_count']}, got {params['save_samples']}"
        raise JobRefused(message)
    if params["save_sd"] and params["mmse_count"] == 1:
        message = "save_sd: expected mmse_count of at least 2, as one sample has no spread, got 1"
        raise JobRefused(message)
    return Request(
        mmse_count=params["mmse_count"],
        save_sd=params["save_sd"],
        save_samples=params["save_samples"],
        tile_size=params["tile_size"],
        tile_halo=params["tile_halo"],
        multiple=multiple,
    )
