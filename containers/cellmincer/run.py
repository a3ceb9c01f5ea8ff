"""CellMincer: train and predict, from job to files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from checkpoint import checkpoint_in, load
from contract.device import torch_device
from contract.files import write_json
from contract.predictions import open_prediction, predictions_of
from contract.stacks import open_stack
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
    from contract.stacks import Stack
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
            return _prepared(job, settings, events, Recording(Mapped(stack.memmap(job.folder / "scratch")), path.name))

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
    for stack, prediction in predictions_of(job, events):
        movie = _prepared(job, settings, events, Recording(Streamed(stack), stack.path.name))
        network.load_state_dict(trained)
        evidence = settle(network, HeldOut([(movie, movie.frames)], settings, occlusion, job), events, settings)
        for sentence in filter(None, (evidence.failure or evidence.sentence, evidence.leakage)):
            events.message(f"{stack.path.name}: {sentence}")
        _write_extra(job, settings, stack, movie, evidence.document())
        for frames in Denoiser(network, movie, job, upstream=settings.upstream).frames():
            prediction.write(frames.transpose(0, 2, 1))


def _settings(job: Job, events: Events) -> Settings:
    settings = settings_of(job.params)
    if settings.without_effect:
        events.message("accepted without effect: " + ", ".join(settings.without_effect))
    return settings


def _prepared(job: Job, settings: Settings, events: Events, recording: Recording) -> Prepared:
    return prepare(recording, settings, seed=job.seed, rate_hz=job.frame_rate_hz, say=events.message)


def _write_extra(job: Job, settings: Settings, stack: Stack, movie: Prepared, evidence: dict[str, Any]) -> None:
    """Write `extra/evidence/SPLIT/NAME.json` and, when asked for, the control `extra/trend_only/SPLIT/NAME`.

    SPLIT is the folder of the predictions: movies of different splits may bear the same name.
    """
    extra, split = job.predictions.parent / "extra", job.predictions.name
    (extra / "evidence" / split).mkdir(parents=True, exist_ok=True)
    write_json(extra / "evidence" / split / f"{stack.path.name}.json", evidence)
    if not settings.trend_only:
        return
    (extra / "trend_only" / split).mkdir(parents=True, exist_ok=True)
    size = movie.recording.block_frames()
    with open_prediction(extra / "trend_only" / split / stack.path.name, stack, job.output_dtype) as control:
        for start in range(0, stack.shape[0], size):
            frames = np.arange(start, min(start + size, stack.shape[0]))
            control.write(movie.trend.at(frames).transpose(0, 2, 1))
