"""What a page shows, as plain data: metrics, a row for each run, movies to picture, and the records of the runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from evaluation.checks.lights import Verdict
    from evaluation.metrics import Summary
    from evaluation.report.shortlist import Shortlist
    from evaluation.scores.catalogue import Metric
    from evaluation.study.verdict import Comparison
    from orchestrator.algorithms.experiments import Status
    from orchestrator.records.regions import Regions

Role = Literal["noisy", "control", "algorithm", "supervised"]

NOISY: Final = "noisy"
SUPERVISED: Final = "supervised"
TARGET = "target"
STUDY = "as the study scored"
_KINDS = {"test": "test movies", "val": "validation movies", "train": "training movies"}


def kind_of(split: str) -> str:
    """Name the movies of a split in words."""
    return _KINDS.get(split, split)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Movies that are scored together: of one dataset or of the user, of one kind, by one protocol."""

    movies: str
    split: str
    own: bool = False
    protocol: str = ""

    @property
    def title(self) -> str:
        """In words: own movies have a name only."""
        kind = "" if self.own else kind_of(self.split)
        return ", ".join(word for word in (self.movies, kind, self.protocol) if word)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One metric of one row on one part: our value, its gain over the noisy movie, and what the study says of it."""

    value: Summary | None
    gain: Summary | None = None
    study: Comparison | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a run needed; None where it was not measured or does not apply."""

    train_s: float | None = None
    predict_s: float | None = None
    peak_memory_bytes: int | None = None
    peak_gpu_bytes: int | None = None
    device: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCurve:
    """Loss over training."""

    steps: Sequence[float]
    loss: Sequence[float]
    val_steps: Sequence[float] = ()
    val_loss: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of the tables: the noisy input, a control, an algorithm, or an experiment of the study."""

    name: str
    title: str
    role: Role
    scores: Mapping[Part, Mapping[str, Score]] = field(default_factory=dict)
    status: Status = "ok"
    reason: str = ""
    environment: str = ""
    doi: str = ""
    resources: Resources | None = None
    curve: TrainingCurve | None = None
    warnings: tuple[str, ...] = ()
    figures: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class MovieContent:
    """One movie to picture; files are opened only while the page is written, a few frames at a time.

    `predictions` and `frame_scores` are by the name of the row. Without regions, active spots are looked for.
    """

    name: str
    part: Part
    noisy: Path
    predictions: Mapping[str, Path]
    target: Path | None = None
    frame_rate_hz: float | None = None
    unit: str = "grey levels"
    fit_target: bool = False
    frame_scores: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    axes: str | None = None
    regions: Regions | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Everything on one page; `verdicts` say of denoised movies, by a title, whether they can be believed.

    `raw` says what each raw movie is like, by its name.

    A `shared` page names files without their folders.
    """

    title: str
    subtitle: str
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    movies: tuple[MovieContent, ...] = ()
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    raw: Mapping[str, Sequence[str]] = field(default_factory=dict)
    comparison: Shortlist | None = None
    warnings: tuple[str, ...] = ()
    record: Mapping[str, object] = field(default_factory=dict)
    shared: bool = False
