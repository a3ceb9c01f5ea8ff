"""What the documents of a run folder hold, as frozen types; `orchestrator.records.run` reads them."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from msgspec import UNSET, Meta, UnsetType

from orchestrator.algorithms.origin import Upstream
from orchestrator.documents import (
    Count,
    Document,
    Hertz,
    Length,
    Name,
    Nanoseconds,
    Positive,
    Sealed,
    Seconds,
    Sha256,
    plain,
)
from orchestrator.domain import Device, EngineName, OutputDtype, Precision

ParamValue = bool | int | float | str | None
Status = Literal["ok", "failed", "refused", "out of memory", "device missing", "did not converge", "interrupted"]
Protocol = Literal["movies", "images"]

TRAINED = "trained/"  # begins the names of the files of a checkpoint among the inputs of a run
_KEY_DIGITS = 16


class MovieName(NamedTuple):
    """SPLIT/NAME, the name of a movie in the documents of a run."""

    split: str
    file: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Take a name apart."""
        split, _, file = text.partition("/")
        return cls(split, file)

    def __str__(self) -> str:
        return f"{self.split}/{self.file}"


class FileRecord(Document, frozen=True, kw_only=True):
    """One file that a job made."""

    path: Name  # below the run folder for checkpoints, below `predictions/` for all others
    sha256: Sha256
    bytes: Count
    mtime_ns: Nanoseconds | UnsetType = UNSET  # when the run was finished; what an image writes has none


class JobRecord(Document, frozen=True, kw_only=True):
    """What a job took and made."""

    seconds: Seconds
    files: tuple[FileRecord, ...]
    peak_memory_bytes: Count
    peak_gpu_bytes: Count
    clipped_pixels: dict[str, Count]
    documents: tuple[FileRecord, ...] = ()  # that reports read, below the run folder


class Choice(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What a user says of how movies are to be read; None where the files are to be believed.

    Parameters
    ----------
    axes : str or None
        Axes as stored, one letter each, ending in YX.
    channel, plane, series : int or None
        Which of several, counted from 1.
    inside : str or None
        Path of the movie inside an HDF5, NWB or Zarr file.
    frame_rate_hz : float or None
        Frames per second.
    """

    axes: str | None = None
    channel: Length | None = None
    plane: Length | None = None
    series: Length | None = None
    inside: str | None = None
    frame_rate_hz: Hertz | None = None


class PartRecord(Document, frozen=True, kw_only=True):
    """One file of a recording, and how many planes lie in it."""

    file: Path
    planes: Count


class StatedNumber(Document, frozen=True, kw_only=True):
    """A number, and who says so."""

    value: Positive
    origin: str


class StatedSize(Document, frozen=True, kw_only=True):
    """Height and width of a pixel, and who says so."""

    value: tuple[Positive, Positive]
    origin: str


class RecordingRecord(Document, frozen=True, kw_only=True):
    """How a movie is stored, and how it was read; `copied` where jobs read a copy in another form."""

    given: Path
    format: str
    parts: tuple[PartRecord, ...]
    files: tuple[Path, ...]
    stored_dtype: str
    copied: bool
    frame_rate_hz: StatedNumber | None
    pixel_um: StatedSize | None
    notes: tuple[str, ...]


class MovieRecord(Document, frozen=True, kw_only=True):
    """One noisy movie: its files, its shape (T, Y, X) and dtype."""

    noisy: Path
    target: Path | None
    truth: Path | None
    shape: tuple[Length, Length, Length]
    dtype: str
    recording: RecordingRecord | None = None

    @property
    def given(self) -> Path:
        """The movie as the user named it."""
        return self.noisy if self.recording is None else self.recording.given

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the movie."""
        return (self.noisy,) if self.recording is None else self.recording.files

    def places(self) -> tuple[Path | None, ...]:
        """Return where all that belongs to it lies."""
        return (self.noisy, self.target, self.truth, self.given, *self.files)


def input_names(movie: str, files: tuple[Path, ...]) -> tuple[str, ...]:
    """Return the names under which a record keeps the SHA-256 of the files of a movie; an only file goes by its."""
    if len(files) == 1:
        return (movie,)
    root = Path(os.path.commonpath([path.parent for path in files]))
    return tuple(f"{movie}/{path.relative_to(root).as_posix()}" for path in files)


class DeviceRecord(Document, frozen=True, kw_only=True):
    """The device that was asked for, and what the job calls it."""

    asked: Device
    found: str


class EngineRecord(Document, frozen=True, kw_only=True):
    """The engine, and which promises it keeps."""

    name: EngineName
    version: str
    promises: dict[str, bool]


class HardwareRecord(Document, frozen=True, kw_only=True):
    """The machine."""

    machine: str
    system: str
    cpus: Count | None


class ImageRecord(Document, frozen=True, kw_only=True):
    """The image: digest of its code and lock, and the engine's own identifier."""

    digest: str
    engine_identifier: str | None
    variant: Device


class KeyParts(Document, frozen=True, kw_only=True):
    """All that the bits of a result depend on; the engine is not among them."""

    choice: Choice
    contract: Count
    device: Device
    frame_rate_hz: Hertz | None
    image: str
    inputs: dict[str, Sha256]
    output_dtype: OutputDtype
    params: dict[str, ParamValue]
    precision: Precision
    seed: Count
    threads: Count

    @property
    def key(self) -> str:
        """The name of the run folder: a content hash."""
        text = json.dumps(plain(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


class Record(Sealed, frozen=True, kw_only=True):
    """run.json, the provenance record of a finished run."""

    algorithm: Name
    axes: str | None
    began_s: Seconds
    choice: Choice
    command_line: tuple[str, ...]
    contract: Count
    dataset: Name
    device: DeviceRecord
    engine: EngineRecord
    environment: str
    experiment: Name
    frame_rate_hz: Hertz | None
    hardware: HardwareRecord
    image: ImageRecord
    inputs: dict[str, Sha256]
    jobs: dict[str, JobRecord]
    key: str
    memory_limit_bytes: Count
    movies: dict[str, MovieRecord]
    network_parameters: Count | None
    output_dtype: OutputDtype
    params: dict[str, ParamValue]
    precision: Precision
    preset: str
    prior: tuple[Path, ...]
    python: str
    seconds: Seconds
    seed: Count
    threads: Count
    trained: Path | UnsetType = UNSET  # the run whose training this one uses; what trains itself has none
    training_of: Path | UnsetType = UNSET  # the run whose equal training was taken over, checkpoint and all
    upstream: Upstream
    versions: dict[str, str]

    @property
    def training(self) -> JobRecord:
        """The job that trained, or took over a training."""
        return self.jobs["train"]

    @property
    def predicting_s(self) -> float:
        """Seconds of all other jobs."""
        return math.fsum(job.seconds for name, job in self.jobs.items() if name != "train")

    @property
    def full_name(self) -> str:
        """Name of the algorithm with its environment: n2v@study."""
        return f"{self.algorithm}@{self.environment}"

    @property
    def key_parts(self) -> KeyParts:
        """What the key was made of."""
        return KeyParts(
            choice=self.choice,
            contract=self.contract,
            device=self.device.asked,
            frame_rate_hz=self.frame_rate_hz,
            image=self.image.digest,
            inputs=self.inputs,
            output_dtype=self.output_dtype,
            params=self.params,
            precision=self.precision,
            seed=self.seed,
            threads=self.threads,
        )


class JobError(Document, frozen=True, kw_only=True):
    """Why a job did not end well."""

    kind: str
    message: str


class Result(Document, frozen=True, kw_only=True):
    """result.json of a job, which its image writes last."""

    contract: Count
    status: Status
    error: JobError | None
    seconds: Seconds
    files: tuple[FileRecord, ...]
    clipped_pixels: dict[str, Count]
    network_parameters: Count | None
    upstream: Upstream | None
    versions: dict[str, str]
    device: str
    python: str
    peak_memory_bytes: Count
    peak_gpu_bytes: Count


class Event(Document, frozen=True, kw_only=True):
    """One line of events.jsonl: a step, or a message."""

    step: Count = 0
    steps: Count = 0
    loss: float | None = None
    val_loss: float | None = None
    message: str | None = None
    time_s: float


class History(Document, frozen=True, kw_only=True):
    """history.json: the loss of every step, and pairs of step and validation loss."""

    loss: tuple[float, ...]
    val_loss: tuple[tuple[Count, float], ...]


class Curve(Document, frozen=True, kw_only=True):
    """One curve of a plot."""

    name: str
    kind: Literal["line", "points", "bars"]
    x: tuple[float | None, ...]
    y: tuple[float | None, ...]


class ScoredCurve(Document, frozen=True, kw_only=True):
    """Predictions of some frames after so much of something, to be scored against the target."""

    movie: str
    file: Name
    at: tuple[float, ...]
    frames: tuple[Count, ...]


class DeclaredPlot(Document, frozen=True, kw_only=True):
    """One plot of figures.json; docs/contract.md describes it."""

    title: str
    note: str
    x: str
    y: str | None = None
    curves: tuple[Curve, ...] | None = None
    scored: tuple[ScoredCurve, ...] = ()


class Score(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Mean, sample sd (ddof = 1) and n of a metric, and the interval of the mean; None for what is not defined."""

    mean: float | None
    sd: float | None
    n: Annotated[int, Meta(ge=0, le=10**12)]
    low: float | None = None
    high: float | None = None


class MovieScores(Document, frozen=True, kw_only=True):
    """Scores of one movie: of the whole of it, and of its frames."""

    data_range: float | None
    movie: dict[str, float | None]
    frames: dict[str, Score]


class ScoreTable(Document, frozen=True, kw_only=True):
    """Scores by movie, and pooled by split."""

    movies: dict[str, MovieScores]
    splits: dict[str, dict[str, Score]]


FileState = tuple[Path, Count, Nanoseconds]  # path, bytes, mtime in ns


class ScoreBasis(Document, frozen=True, kw_only=True):
    """What scores depend on: the run, by the digest of its record, and files that are not of the run."""

    record: Sha256
    controls: tuple[str, ...]
    targets: dict[str, FileState]
    truths: dict[str, FileState]
    version: Count


class Scores(Sealed, frozen=True, kw_only=True):
    """scores.json: those of the predictions, and of each control that prediction wrote."""

    basis: ScoreBasis
    controls: dict[str, ScoreTable]
    frames: dict[str, Sha256]  # of the tables of frames beside it, by name
    movies: dict[str, MovieScores]
    splits: dict[str, dict[str, Score]]


class StudyBasis(Document, frozen=True, kw_only=True):
    """What scores by the study's protocol depend on."""

    scores: ScoreBasis
    protocol: Protocol
    version: Count


class StudyScores(Sealed, frozen=True, kw_only=True):
    """scores-study.json: by the study's protocol, by a corrected one, and the images that this leaves out."""

    basis: StudyBasis
    copies: tuple[str, ...]
    corrected: dict[str, dict[str, Score]]
    protocol: Protocol
    study: dict[str, dict[str, Score]]
