"""The job: what the orchestrator asks of an image, read from `job.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from contract import TARGET_SINCE
from contract.errors import JobRefused
from contract.schema import job_schema, problems


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Stacks a job reads; every path is absolute and read-only.

    Parameters
    ----------
    train, val : tuple of Path
        Noisy stacks to train on and to watch the loss on.
    target : tuple of Path
        Clean counterparts of the stacks of `train` and then of those of `val`, in the same order; given to supervised
        algorithms only.
    noisy : tuple of Path
        Noisy stacks to predict.
    prior : tuple of Path
        Predictions of another experiment, one for each stack of `train` in the same order, or a noise model.
    """

    train: tuple[Path, ...] = ()
    val: tuple[Path, ...] = ()
    target: tuple[Path, ...] = ()
    noisy: tuple[Path, ...] = ()
    prior: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Return every file, once and sorted."""
        return tuple(sorted({*self.train, *self.val, *self.target, *self.noisy, *self.prior}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One command for one image.

    Parameters
    ----------
    folder : Path
        Folder of `job.json`; events, log and result are written here.
    job : str
        Name of the job, for people.
    command : {"train", "predict"}
        What to do.
    axes : str or None
        Axes of the input stacks as stored, for instance "TYX"; None where they differ and each file is believed.
    frame_rate_hz : float or None
        Frames per second, None when unknown.
    inputs : Inputs
        Stacks to read.
    checkpoint : Path
        Folder that training writes and prediction reads; opaque to the orchestrator.
    predictions : Path
        Folder that prediction writes, one TIFF per stack of `inputs.noisy`, of the same name.
    params : dict
        Every parameter of the algorithm by name, complete: defaults and preset already filled in.
    seed : int
        Seed of every random number.
    device : {"cpu", "cuda"}
        Where to compute; a missing device ends the job.
    threads : int
        Threads of every thread pool; results depend on it.
    precision : {"float32", "bfloat16"}
        Arithmetic of the network.
    output_dtype : {"float32", "input"}
        dtype of predictions; "input" rounds and clips to the dtype of the input.
    """

    folder: Path
    job: str
    command: Literal["train", "predict"]
    axes: str | None
    frame_rate_hz: float | None
    inputs: Inputs
    checkpoint: Path
    predictions: Path
    params: dict[str, Any] = field(default_factory=dict)
    seed: int
    device: Literal["cpu", "cuda"]
    threads: int
    precision: Literal["float32", "bfloat16"]
    output_dtype: Literal["float32", "input"] = "float32"

    @property
    def path(self) -> Path:
        """The `job.json` of this job."""
        return self.folder / "job.json"


def read_job(path: Path) -> Job:
    """Read and check a `job.json`.

    Raises
    ------
    JobRefused
        When the file is missing, is not JSON or does not fit the schema.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path}: expected a readable job.json, got {error}"
        raise JobRefused(message) from error
    found = problems(document, job_schema())
    if not found and document["contract"] < TARGET_SINCE and "target" in document["inputs"]:
        found = [f"job: expected contract {TARGET_SINCE} where inputs.target is given, got {document['contract']}"]
    if found:
        raise JobRefused(f"{path}: " + "; ".join(found))
    return from_document(document, path.parent)


def from_document(document: dict[str, Any], folder: Path) -> Job:
    """Build a `Job` from a document that fits the schema."""
    fields = {name: value for name, value in document.items() if name != "contract"}
    inputs = {name: tuple(map(Path, paths)) for name, paths in document["inputs"].items()}
    fields |= {
        "folder": folder,
        "inputs": Inputs(**inputs),
        "checkpoint": Path(document["checkpoint"]),
        "predictions": Path(document["predictions"]),
    }
    return Job(**fields)


def to_document(job: Job) -> dict[str, Any]:
    """Return the JSON document of a job, the inverse of `from_document`, in the lowest version that can say it."""
    document = asdict(job)
    del document["folder"]
    inputs = {name: [str(path) for path in paths] for name, paths in document["inputs"].items()}
    if not job.inputs.target:
        del inputs["target"]
    return document | {
        "contract": TARGET_SINCE if job.inputs.target else 1,
        "inputs": inputs,
        "checkpoint": str(job.checkpoint),
        "predictions": str(job.predictions),
    }
