"""The checkpoint folder: weights as upstream writes them, the state of a training, and what prediction needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from contract.errors import JobRefused
from contract.files import atomic, write_json
from upstream import upstream

if TYPE_CHECKING:
    from pathlib import Path

    from contract.job import Job

_STATE = "state.pt"
_MANIFEST = "manifest.json"


def new_network(fmap: int) -> torch.nn.Module:
    """Return upstream's network with random weights.

    Parameters
    ----------
    fmap : int
        Feature maps of the first level.
    """
    network: torch.nn.Module = upstream("network").Network_3D_Unet(in_channels=1, out_channels=1, f_maps=fmap)
    return network


def save_weights(path: Path, network: torch.nn.Module) -> None:
    """Write weights that stock DeepCAD-RT loads: a plain state_dict of contiguous tensors on the CPU."""
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with atomic(path) as part:
        torch.save(weights, part)


def save_state(job: Job, state: dict[str, Any]) -> None:
    """Write the state of a training, with what it must not be mixed up with."""
    with atomic(job.checkpoint / _STATE) as part:
        torch.save(state | {"job": _fingerprint(job)}, part)


def load_state(job: Job) -> dict[str, Any] | None:
    """Read the state of a training into main memory, None where there is none.

    Loading it into network and optimiser moves what belongs on the device; Adam's step counts and the states of the
    generators stay off it, as in a training that was never interrupted.

    Raises
    ------
    JobRefused
        When the state belongs to another job.
    """
    path = job.checkpoint / _STATE
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state["job"] != _fingerprint(job):
        message = f"{path}: expected the state of this job, got one with other params, seed, precision or stacks"
        raise JobRefused(message)
    return state


def write_manifest(job: Job, weights: str, facts: dict[str, Any]) -> None:
    """Say that training is finished and how its weights are to be used.

    Parameters
    ----------
    job : Job
        The train job.
    weights : str
        File name of the weights of the last epoch.
    facts : dict
        What else is worth keeping: patches per epoch, mean of each movie.
    """
    document = {"weights": weights, "fmap": job.params["fmap"], "mode": job.params["mode"], "seed": job.seed}
    write_json(job.checkpoint / _MANIFEST, document | {"device": job.device, "precision": job.precision} | facts)


def trained_network(checkpoint: Path, device: torch.device) -> torch.nn.Module:
    """Read the network that a finished training left.

    Parameters
    ----------
    checkpoint : Path
        Checkpoint folder; nothing else is needed.
    device : torch.device
        Where the network goes, wherever it was trained.

    Raises
    ------
    JobRefused
        When there is no finished training in the folder.
    """
    try:
        manifest = json.loads((checkpoint / _MANIFEST).read_text())
    except OSError as error:
        message = f"{checkpoint}: expected a finished training, got no {_MANIFEST}; train first, or resume the training"
        raise JobRefused(message) from error
    network = new_network(manifest["fmap"])
    network.load_state_dict(torch.load(checkpoint / manifest["weights"], map_location="cpu", weights_only=True))
    return network.to(device).eval()


def _fingerprint(job: Job) -> dict[str, Any]:
    stacks = [[path.name, path.stat().st_size] for path in job.inputs.train]
    return {"params": job.params, "seed": job.seed, "precision": job.precision, "train": stacks}
