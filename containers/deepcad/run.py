"""DeepCAD-RT: train and predict with upstream's network, pairs and tiles."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from allocation import prepare_allocation
from checkpoints import new_network, trained_network, write_manifest
from contract.device import torch_device
from contract.errors import JobRefused
from contract.evidence import judge, tell_baseline
from contract.predictions import predictions_of
from contract.seeding import seed_everything
from contract.stacks import open_stack
from exact import predict_exactly
from fast import predict_fast
from intensities import Centred, mean_for_training
from learning import Learner, learn
from patch_grid import training_grid, used_frames
from settings import settings_of
from upstream import upstream
from validation import gather_evidence, measure_baseline, validator

if TYPE_CHECKING:
    from contract.events import Events
    from contract.job import Job


def train(job: Job, events: Events) -> None:
    """Train on all movies of the job, sorted by name; weights of every epoch go to the checkpoint folder."""
    settings = settings_of(job)
    prepare_allocation()
    if not job.inputs.train:
        message = f"{job.path}: expected at least one movie to train on, got none"
        raise JobRefused(message)
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        paths = sorted(job.inputs.train, key=lambda path: (path.name, path))
        stacks = [opened.enter_context(open_stack(path, job.axes)) for path in paths]
        grid = training_grid(stacks, settings)
        events.message(f"{len(grid.coordinates)} patches per epoch, {settings.train_datasets_size} were wished")
        means = [mean_for_training(stack, used_frames(stack, settings)) for stack in stacks]
        movies = [Centred(stack.memmap(job.folder), mean) for stack, mean in zip(stacks, means, strict=True)]
        numbers = range(len(grid.coordinates))
        pairs = upstream("data_process").trainset(numbers, grid.coordinates, movies, grid.stack_index)
        seed_everything(job.seed, job.threads)  # as if upstream were seeded before its run: the network draws first
        learner = Learner(new_network(settings.fmap), job, settings)
        events.network(sum(weight.numel() for weight in learner.network.parameters()))
        weights = learn(job, events, settings, learner, pairs, validator(job, events, settings, learner))
        if baseline := measure_baseline(job, settings, learner):
            tell_baseline(baseline, job, events)
        judge(gather_evidence(learner, pairs), events)
    write_manifest(job, weights, {"patches": len(grid.coordinates), "means": [float(mean) for mean in means]})


def predict(job: Job, events: Events) -> None:
    """Predict every movie of the job with the weights of the last epoch."""
    settings = settings_of(job)
    prepare_allocation()
    device = torch_device(job)
    network = trained_network(job.checkpoint, device)
    for stack, prediction in predictions_of(job, events):
        match settings.mode:
            case "exact":
                predict_exactly(stack, prediction, network, settings, job, events)
            case "fast":
                predict_fast(stack, prediction, network, settings, job, events)
