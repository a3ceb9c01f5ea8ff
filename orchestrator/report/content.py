"""What a report shows, as plain data: metrics, scores of runs, movies to picture, and the run record."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Better = Literal["higher", "lower", "neither"]
Role = Literal["noisy", "control", "algorithm"]
Status = Literal["ok", "did not converge", "failed"]
Verdict = Literal["reproduced", "within seed spread", "deviates", "not comparable", "not published"]

NOISY = "noisy"
TARGET = "target"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One column of a score table.

    Attributes
    ----------
    name : str
        Key of this metric in `RunContent.scores`, for example "si_psnr".
    title : str
        Heading, for example "SI-PSNR".
    unit : str
        Unit of the value, for example "dB"; empty for a plain number.
    better : {"higher", "lower", "neither"}
        Which direction is better; "neither" marks no best value.
    over : str
        What one value stands for, in the plural: "frames", "files".
    decimals : int
        Digits shown behind the decimal point.
    reference : bool
        Whether the metric compares with a clean target; the others go into a table of their own.
    explanation : str
        One sentence for readers who do not know the metric; empty for none.
    """

    name: str
    title: str
    unit: str
    better: Better
    over: str = "frames"
    decimals: int = 2
    reference: bool = True
    explanation: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Mean, sample standard deviation (ddof=1, NaN for one value or when unknown) and number of values.

    `low` and `high` bound the mean with 95 % confidence; NaN where unknown.
    """

    mean: float
    sd: float
    n: int
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a run needed; None where it was not measured or does not apply.

    Attributes
    ----------
    train_s, predict_s : float, optional
        Wall-clock seconds.
    peak_memory_bytes, peak_gpu_bytes : int, optional
        Highest resident and highest GPU memory.
    device : str
        For example "cpu" or "cuda".
    hardware : str
        For example "2 cores, 24 GiB".
    """

    train_s: float | None = None
    predict_s: float | None = None
    peak_memory_bytes: int | None = None
    peak_gpu_bytes: int | None = None
    device: str = ""
    hardware: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCurve:
    """Loss over training.

    Attributes
    ----------
    steps, loss : sequence of float
        Training loss after each recorded step, equal lengths.
    val_steps, val_loss : sequence of float
        Validation loss, equal lengths; empty without validation.
    step_unit : str
        What `steps` counts: "steps" or "epochs".
    """

    steps: Sequence[float]
    loss: Sequence[float]
    val_steps: Sequence[float] = ()
    val_loss: Sequence[float] = ()
    step_unit: str = "steps"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContent:
    """One row of the score tables: the noisy input, a control or an algorithm.

    Attributes
    ----------
    name : str
        Short unique name, also the key in `MovieContent.predictions` and `MovieContent.frame_scores`; the noisy
        input has the name "noisy", and no run has the name "target".
    title : str
        What readers see, for example "Noise2Void (CAREamics 0.0.25)".
    role : {"noisy", "control", "algorithm"}
        Exactly one run of a report has the role "noisy".
    status : {"ok", "did not converge", "failed"}
        Outcome; anything but "ok" is shown in words with `reason`.
    reason : str
        Why the status is not "ok".
    scores, gains : mapping of split to mapping of metric name to Summary
        Scores, and paired differences to the noisy input; without `gains` the difference of the means is shown.
    resources : Resources, optional
        What it needed.
    curve : TrainingCurve, optional
        Loss while training.
    warnings : tuple of str
        Sentences to show at the top, for example about clipped pixels.
    doi : str
        DOI of the paper, without resolver address; empty for none.
    figures : mapping of split to Path
        Plots that its jobs declare, see `orchestrator.report.declared`; training has the split "".
    """

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
    """One movie to picture; files are opened only while the report is written, a few frames at a time.

    Attributes
    ----------
    name, split : str
        File name and split.
    noisy : Path
        The input movie, shape (T, Y, X).
    predictions : mapping of str to Path
        Run name to prediction, each of the same shape; empty when there is none.
    target : Path, optional
        Clean movie of the same shape.
    frame_rate_hz : float, optional
        Frames per second; without it time axes count frames.
    unit : str
        Intensity unit of noisy and predictions.
    fit_target : bool
        Whether the target has an intensity scale of its own (another detector path, rescaled files).
        Gain and offset are then fitted to the noisy movie, for display only, and stated.
    frame_scores : mapping of run name to mapping of metric name to sequence of float
        Score of every frame, length T; plotted over time.
    axes : str, optional
        Axes as stored where the files do not say, as in `contract.stacks.open_stack`.
    """

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
    """Everything on one report page.

    Attributes
    ----------
    title, subtitle : str
        Heading and one line below it.
    metrics : tuple of Metric
        Columns in order; the first one with scores makes the headline.
    runs : tuple of RunContent
        Noisy input, controls and algorithms.
    movies : tuple of MovieContent
        Movies to picture, the most telling first.
    warnings : tuple of str
        Sentences about the whole, shown at the top.
    record : mapping
        The run record: nested mappings, sequences and plain values.
    """

    title: str
    subtitle: str
    metrics: tuple[Metric, ...]
    runs: tuple[RunContent, ...]
    movies: tuple[MovieContent, ...] = ()
    warnings: tuple[str, ...] = ()
    record: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Our value beside the published one, for one metric.

    Attributes
    ----------
    ours, published : Summary, optional
        None where there is none.
    verdict : Verdict
        Judged by the caller.
    reason : str
        Why, in a few words: the tolerance, or what forbids comparing.
    """

    ours: Summary | None
    published: Summary | None
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One row of a leaderboard: a run, or a control, on one split of one dataset.

    Attributes
    ----------
    run : str
        Run name, the key in `MovieContent.predictions`; entries of one run on several splits share it.
    title : str
        What readers see, for example "MOUSENEU_LP_N2V_1".
    role, status, reason
        As in `RunContent`.
    dataset, split : str
        Entries that share both stand in one table.
    environment : str
        Algorithm and pinned environment, for example "n2v, CAREamics 0.0.10".
    comparisons : mapping of metric name to Comparison
        Metrics without an entry are shown as not scored.
    resources : Resources, optional
        What the run needed.
    report : str
        Relative address of the run's own report; empty for none.
    """

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
