"""The nouns of calm as frozen data; every other module speaks in these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from contract.params import Param
    from orchestrator.algorithms.origin import Paper, Upstream

EngineName = Literal["docker", "podman", "apptainer", "venv"]
Device = Literal["cpu", "cuda"]
Command = Literal["train", "predict"]
Precision = Literal["float32", "bfloat16"]
OutputDtype = Literal["float32", "input"]
ExportForm = Literal["imagej", "ome-zarr", "suite2p"]
Kind = Literal["control", "algorithm", "supervised"]

CURRENT = "current"  # the environment of requirements.in
SYSTEM = "system"  # the Python of the machine, whatever it holds: not pinned


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorUse:
    """What an algorithm does with a prior.

    Parameters
    ----------
    required : bool
        Whether it cannot do without.
    required_with : mapping of str to tuple
        Values of parameters, by name, with which it cannot do without.
    help : str
        What a prior may be.
    """

    required: bool
    required_with: Mapping[str, tuple[Any, ...]]
    help: str

    def when(self) -> str:
        """Return in words when a prior is needed."""
        choices = [f"{name}={value}" for name, values in self.required_with.items() for value in values]
        return "needed" if self.required else f"needed with {' or '.join(choices)}" if choices else "optional"

    def why(self, params: Mapping[str, Any]) -> str | None:
        """Return in words why these parameters need a prior, None where they need none."""
        if self.required:
            return "in every run"
        found = (f"with {name}={params[name]}" for name, values in self.required_with.items() if params[name] in values)
        return next(found, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Algorithm:
    """One folder of `containers/`, as its algorithm.yaml describes it.

    Parameters
    ----------
    folder : Path
        The folder.
    name, title, summary, licence : str
        As written there; the licence is upstream's.
    kind : {"control", "algorithm", "supervised"}
        Controls are scored beside every algorithm. An algorithm learns from noisy movies alone; a supervised one from
        their targets, too: a ceiling, and no choice for movies that have none.
    paper : Paper or None
        Its publication.
    upstream : Upstream
        Name, version and commit.
    environment : str
        Which pinned environment of the folder: "current", or one of `environments`; or "system", which is not pinned.
    environments : mapping of str to Upstream
        Upstream of each other environment that the folder has.
    devices : tuple of str
        Devices it can use.
    memory_bytes : int
        What a job needs in memory on a movie of a few hundred frames, for planning.
    needs_training : bool
        False where prediction needs no training.
    params : mapping of str to Param
        Its parameters.
    presets : mapping of str to mapping
        Values by preset name.
    shares : tuple of Path
        Files of other folders that its image holds too.
    controls : mapping of str to str
        Titles of the controls that its prediction writes beside its result, by the name of their folder.
    extra_movies : tuple of str
        Parameters, each true or a number, that say how many movies are written beside each prediction.
    prediction_params : tuple of str
        Parameters that only prediction reads: trainings that differ in nothing else are one training.
    prior : PriorUse or None
        None where it takes no prior.
    document : mapping
        The whole algorithm.yaml, for `algorithm.json` in the image.
    """

    folder: Path
    name: str
    title: str
    kind: Kind
    summary: str
    licence: str
    paper: Paper | None
    upstream: Upstream
    environment: str
    environments: Mapping[str, Upstream]
    devices: tuple[Device, ...]
    memory_bytes: int
    needs_training: bool
    params: Mapping[str, Param]
    presets: Mapping[str, Mapping[str, Any]]
    shares: tuple[Path, ...]
    controls: Mapping[str, str]
    extra_movies: tuple[str, ...]
    prediction_params: tuple[str, ...]
    prior: PriorUse | None
    document: Mapping[str, Any]

    @property
    def supervised(self) -> bool:
        """Whether its training is given targets."""
        return self.kind == "supervised"

    @property
    def full_name(self) -> str:
        """Name with the environment, where it is not the current one: n2v@study."""
        return self.name if self.environment == CURRENT else f"{self.name}@{self.environment}"

    @property
    def folder_name(self) -> str:
        """The same as the beginning of names of run folders: n2v-study."""
        return self.full_name.replace("@", "-")

    def lock(self, variant: Device) -> Path:
        """Return the lock of this environment for a device."""
        middle = "" if self.environment == CURRENT else f"{self.environment}-"
        return self.folder / f"requirements-{middle}{variant}.lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Movie:
    """One noisy stack, with its target where there is one.

    Parameters
    ----------
    split : str
        train, val or test.
    noisy : Path
        Absolute path of the noisy stack.
    target : Path or None
        High-SNR counterpart of the same shape.
    truth : Path or None
        What is known about regions: the NPZ of a simulator with `labels` and `spikes`, or a label image of shape
        (Y, X) as TIFF, 0 being background.
    """

    split: str
    noisy: Path
    target: Path | None = None
    truth: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """Everything an engine needs to make an environment: one lock, one wheelhouse, one folder of code.

    Parameters
    ----------
    algorithm : str
        Name of the algorithm.
    variant : {"cpu", "cuda"}
        Which lock.
    digest : str
        SHA-256 over lock, code and base: what the key of a run and the name of an image are made of.
    lock : Path
        The lock file.
    wheelhouse : Path
        Folder with every wheel of the lock.
    context : Path
        Folder with `contract/`, `algorithm/` and `Dockerfile`.
    files : mapping of str to str
        SHA-256 of every file that belongs into the context, by name.
    labels : mapping of str to str
        What an image says of itself, by the names of the OCI image specification.
    python : Path or None
        The Python of the environment "system"; then lock and wheelhouse do not exist. None for pinned environments.
    """

    algorithm: str
    variant: Device
    digest: str
    lock: Path
    wheelhouse: Path
    context: Path
    files: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    python: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One start of an image.

    Parameters
    ----------
    image : Image
        What to start.
    arguments : tuple of str
        Arguments of the `algorithm` command.
    read_only : tuple of Path
        Files the job may read.
    writable : Path or None
        The one folder the job may write to.
    environment : mapping
        Environment variables; nothing else of the caller's environment gets in.
    device : {"cpu", "cuda"}
        Whether a GPU is handed in.
    memory_bytes : int
        Memory limit, where the engine can set one.
    """

    image: Image
    arguments: tuple[str, ...]
    read_only: tuple[Path, ...] = ()
    writable: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    device: Device = "cpu"
    memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Exit:
    """How a launch ended.

    Parameters
    ----------
    code : int
        Exit code; negative for a signal.
    out_of_memory : bool
        Whether the engine says that the memory limit was hit.
    host_out_of_memory : bool
        Whether the kernel killed a process of this machine for want of memory while the job ran.
    output : str
        Tail of what was printed before the job's own log began.
    """

    code: int
    out_of_memory: bool = False
    host_out_of_memory: bool = False
    output: str = ""
