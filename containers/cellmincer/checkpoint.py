"""Checkpoints in upstream's layout: `state_dict` under `denoising_model.` and plain `hyper_parameters`.

Upstream's own files load as well. Only tensors and plain values are read from a file, no code; the one exception are
numpy's integer scalars, which upstream stores for sizes.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from contract.errors import JobRefused
from contract.files import atomic, write_json
from correlation import Occlusion
from network import CellMincer
from settings import architecture_of
from upstream_keys import NETWORK
from upstream_yaml import network_params

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "cellmincer.ckpt"
_PREFIX = "denoising_model."
_NUMPY_SCALARS = [
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # noqa: SLF001 - the name in files of numpy 1
    np._core.multiarray.scalar,  # noqa: SLF001 - the name in files of numpy 2
    np.dtype,
    type(np.dtype(np.int64)),
    type(np.dtype(np.float64)),
]


def save(folder: Path, network: CellMincer, occlusion: Occlusion, record: dict[str, Any]) -> None:
    """Write a trained network.

    Parameters
    ----------
    folder : Path
        Checkpoint folder; gets `cellmincer.ckpt` and, for people, `training.json`.
    network : CellMincer
        What was trained.
    occlusion : Occlusion
        What it was trained with.
    record : dict
        Evidence and estimates, as JSON.
    """
    architecture = asdict(network.architecture)
    architecture["temporal_denoiser_hidden_dense_layer_dims"] = list(network.architecture.hidden_dims)
    state = {f"{_PREFIX}{name}": tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    document = {
        "state_dict": state,
        "hyper_parameters": {
            "model_config": architecture | {"type": NETWORK, "n_global_features": network.n_features},
            "occlusion": asdict(occlusion),
        },
    }
    with atomic(folder / NAME) as part:
        torch.save(document, part)
    write_json(folder / "training.json", record)


class Loaded(NamedTuple):
    """A network from a file.

    Parameters
    ----------
    network : CellMincer
        On the CPU, in evaluation mode.
    occlusion : Occlusion
        What it was trained with; nothing hidden but the pixel itself for upstream's own checkpoints.
    """

    network: CellMincer
    occlusion: Occlusion


def checkpoint_in(folder: Path) -> Path:
    """Return the checkpoint of a folder: ours, or else the only `*.ckpt`, such as one of upstream's.

    Raises
    ------
    JobRefused
        When there is none, or several.
    """
    ours = folder / NAME
    found = [ours] if ours.exists() else sorted(folder.glob("*.ckpt"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        message = f"{folder}: expected {NAME} or one upstream checkpoint (*.ckpt), got {names}; has training ended?"
        raise JobRefused(message)
    return found[0]


def load(path: Path, params: Mapping[str, Any]) -> Loaded:
    """Read a checkpoint, ours or upstream's.

    Parameters
    ----------
    path : Path
        File.
    params : mapping
        Parameters of the job; for what the checkpoint does not say.

    Raises
    ------
    JobRefused
        When the file holds anything but tensors and plain values, or does not fit the network it describes.
    """
    document = _read(path)
    try:
        hyper = document["hyper_parameters"]
        config = dict(hyper["model_config"])
        n_features = int(config.pop("n_global_features"))
        state = document["state_dict"]
    except (KeyError, TypeError) as error:
        message = f"{path}: expected state_dict and hyper_parameters.model_config.n_global_features, got no {error}"
        raise JobRefused(message) from error
    where = f"{path}: model_config"
    network = CellMincer(architecture_of({**params, **network_params(config, where)}, where), n_features)
    tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items()}
    network.spatial_unet.accept_readout(tensors)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        message = f"{path}: expected the tensors of the network it describes, got {' '.join(str(error).split())}"
        raise JobRefused(message) from error
    return Loaded(network.eval(), Occlusion(**hyper.get("occlusion", {})))


def _read(path: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            document: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many classes on foreign files
        message = f"{path}: expected a checkpoint of tensors and plain values, got {type(error).__name__}: {error}"
        raise JobRefused(message) from error
    return document
