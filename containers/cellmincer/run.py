"""CellMincer: train and predict, from job to files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from checkpoint import checkpoint_in, load
from contract.device import torch_device
from contract.pipeline import behind, depth_for
from contract.predictions import predictions_of
from contract.stacks import open_stack
from control import Controls
from denoise import Denoiser
from heldout import HeldOut
from preprocess import prepare
from recording import Mapped, Recording, Streamed
from settings import settings_of
from training import fit, settle

if TYPE_CHECKING:
    from pathlib import Path

    from contract.events import Events
    from contract.job import Job
    from preprocess import Prepared
    from settings import Settings


def train(job: Job, events: Events) -> None:
    """Preprocess the movies and train one network on all of them."""
    torch_device(job)
    settings = _settings(job, events)
    with ExitStack() as opened:

        def prepared(path: Path) -> Prepared:
            stack = opened.enter_context(open_stack(path, job.axes))
            events.message(f"preprocessing {path.name}")
            return _prepared(job, settings, events, Recording(Mapped(stack.memmap(job.folder)), path.name))

        movies = [prepared(path) for path in job.inputs.train]
        fit(job, events, settings, movies, [prepared(path) for path in job.inputs.val])


def predict(job: Job, events: Events) -> None:
    """Preprocess every movie, denoise it frame by frame and write what the trend alone would have given beside it."""
    device = torch_device(job)
    settings = _settings(job, events)
    network, occlusion = load(checkpoint_in(job.checkpoint), job.params)
    settings = replace(settings, architecture=network.architecture)
    network.spatial_unet.to(memory_format=torch.channels_last)
    network.to(device)
    trained = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    controls = Controls(job, trend_only=settings.trend_only)
    for stack, prediction in predictions_of(job, events):
        name = stack.path.name
        movie = _prepared(job, settings, events, Recording(Streamed(stack), name))
        network.load_state_dict(trained)
        evidence = settle(network, HeldOut([(movie, movie.frames)], settings, occlusion, job), events, settings)
        for sentence in filter(None, (evidence.failure or evidence.sentence, evidence.leakage)):
            events.message(f"{name}: {sentence}")
        controls.add(stack, movie, evidence)
        denoiser = Denoiser(network, movie, job, upstream=settings.upstream, tell=events.message)
        with behind(prediction.write, depth_for(job.device)) as hand_over:
            for frames in controls.watched(name, movie, denoiser.frames()):
                hand_over(frames.transpose(0, 2, 1))
    controls.write_figures()


def _settings(job: Job, events: Events) -> Settings:
    settings = settings_of(job.params)
    if settings.without_effect:
        events.message("accepted without effect: " + ", ".join(settings.without_effect))
    return settings


def _prepared(job: Job, settings: Settings, events: Events, recording: Recording) -> Prepared:
    return prepare(recording, settings, seed=job.seed, rate_hz=job.frame_rate_hz, say=events.message)
