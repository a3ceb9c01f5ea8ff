"""What a report shows, as plain data: metrics, scores of runs, movies to picture, and the run record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from evaluation.metrics import Summary
    from evaluation.scores.catalogue import Metric
    from evaluation.study.verdict import Comparison
    from orchestrator.experiments import Status

Role = Literal["noisy", "control", "algorithm"]

NOISY = "noisy"
TARGET = "target"


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a run needed; None where it was not measured or does not apply."""

    train_s: float | None = None
    predict_s: float | None = None
    peak_memory_bytes: int | None = None
    peak_gpu_bytes: int | None = None
    device: str = ""
    hardware: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCurve:
    """Loss over training."""

    steps: Sequence[float]
    loss: Sequence[float]
    val_steps: Sequence[float] = ()
    val_loss: Sequence[float] = ()
    step_unit: str = "steps"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContent:
    """One row of the score tables: the noisy input, a control or an algorithm."""

    name: str
    title: str
    role: Role
    status: Status = "ok"
    reason: str = ""
    scores: Mapping[str, Mapping[str, Summary]] = field(default_factory=dict)
    gains: Mapping[str, Mapping[str, Summary]] = field(default_factory=dict)
    resources: Resources | None = None
    curve: TrainingCurve | None = None
    warnings: tuple[str, ...] = ()
    doi: str = ""
    figures: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class MovieContent:
    """One movie to picture; files are opened only while the report is written, a few frames at a time."""

    name: str
    split: str
    noisy: Path
    predictions: Mapping[str, Path]
    target: Path | None = None
    frame_rate_hz: float | None = None
    unit: str = "grey levels"
    fit_target: bool = False
    frame_scores: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    axes: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything on one report page."""

    title: str
    subtitle: str
    metrics: tuple[Metric, ...]
    runs: tuple[RunContent, ...]
    movies: tuple[MovieContent, ...] = ()
    warnings: tuple[str, ...] = ()
    record: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One row of a leaderboard: a run, or a control, on one split of one dataset."""

    run: str
    title: str
    role: Role
    dataset: str
    split: str
    comparisons: Mapping[str, Comparison]
    status: Status = "ok"
    reason: str = ""
    environment: str = ""
    resources: Resources | None = None
    report: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaderboard:
    """Everything on one leaderboard page; attributes as in `Report`, with entries in place of runs."""

    title: str
    subtitle: str
    metrics: tuple[Metric, ...]
    entries: tuple[Entry, ...]
    movies: tuple[MovieContent, ...] = ()
    warnings: tuple[str, ...] = ()
    record: Mapping[str, object] = field(default_factory=dict)
