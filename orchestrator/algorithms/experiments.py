"""The published experiments: what each was, what it needs first, and which numbers came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from orchestrator.documents import Document, Name, Positive
from orchestrator.domain import CURRENT
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.records.run import Run

FILE = "experiments.yaml"
ANCHOR = "identity"  # the control whose published scores check data and metrics before anything is trained
PRESET = "published"  # of the algorithm; the params of an experiment go on top

Split = Literal["train", "val", "test"]
ScoreProtocolName = Literal["movies", "images"]
OutcomeKind = Literal["numbers", "pictures only", "failed", "not run"]
Environment = Literal["study", "current"]
Status = Literal["ok", "did not converge", "failed"]


class Study(Document, frozen=True, kw_only=True):
    """Where experiments were published: title, address, commit, and how to cite it."""

    title: Name
    url: Annotated[str, Meta(pattern="^https://")]
    commit: Annotated[str, Meta(pattern="^[0-9a-f]{7,40}$")]
    cite: str = ""


class PublishedValue(Document, frozen=True, kw_only=True):
    """One number of the study.

    Parameters
    ----------
    split : str
        Split it was measured on.
    metric : str
        si_psnr, psnr, ssim, microssim; or si_psnr_gain, the score of the prediction minus that of the noisy file.
    mean, sd : float
        Mean and sample standard deviation (ddof=1), in `unit`.
    n : int
        Number of files or frames.
    over : {"files", "frames"}
        What mean and sd are taken over.
    unit : {"dB", "1"}
        Unit.
    decimals : int
        Digits printed behind the point; the printed number is known to half of the last one.
    table : str
        Where it is written.
    """

    split: Split
    metric: Literal["si_psnr", "psnr", "ssim", "microssim", "si_psnr_gain"]
    mean: float
    sd: Positive
    n: Annotated[int, Meta(ge=2, le=2**53)]
    over: Literal["files", "frames"]
    unit: Literal["dB", "1"]
    decimals: Annotated[int, Meta(ge=0, le=12)]
    table: Name


class Inferred(Document, frozen=True, kw_only=True):
    """A parameter that the study did not record: what is taken, and why."""

    value: Any
    reason: Name


class Prior(Document, frozen=True, kw_only=True):
    """The experiment, and its splits, whose predictions another experiment needs."""

    experiment: Name
    splits: Annotated[tuple[Split, ...], Meta(min_length=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """One experiment of the study.

    Parameters
    ----------
    name : str
        As in the study.
    aliases : tuple of str
        Other names of it there.
    algorithm : str
        Folder it belongs to.
    title : str
        What is special about it.
    dataset : str
        Name in the manifest.
    protocol : {"movies", "images"}
        How the study scored it.
    splits : mapping of str to tuple of str
        Splits that the study trained on ("train"), validated on ("val") and predicted ("predict").
    train_files : tuple of str
        The only files of split train that were used; empty for all.
    environment : {"study", "current"}
        Which pinned environment it runs in.
    software : str
        What the study ran.
    prior : Prior or None
        Whose predictions it needs.
    outcome : {"numbers", "pictures only", "failed", "not run"}
        What was published.
    words : str
        The outcome in words.
    params : mapping
        Parameters as recorded.
    inferred : mapping of str to Inferred
        Parameters that were not recorded.
    published : tuple of PublishedValue
        Its numbers.
    notes : tuple of str
        What else to know.
    study : Study
        Where it was published.
    """

    name: str
    aliases: tuple[str, ...]
    algorithm: str
    title: str
    dataset: str
    protocol: ScoreProtocolName
    splits: Mapping[str, tuple[str, ...]]
    train_files: tuple[str, ...]
    environment: Environment
    software: str
    prior: Prior | None
    outcome: OutcomeKind
    words: str
    params: Mapping[str, Any]
    inferred: Mapping[str, Inferred]
    published: tuple[PublishedValue, ...]
    notes: tuple[str, ...]
    study: Study

    @property
    def image_name(self) -> str:
        """Algorithm, with the environment where that is another than the current one: n2v@study."""
        return self.algorithm if self.environment == CURRENT else f"{self.algorithm}@{self.environment}"

    @property
    def overrides(self) -> dict[str, Any]:
        """Parameters to set on top of preset `published`, recorded and inferred ones."""
        return {**{name: one.value for name, one in self.inferred.items()}, **self.params}

    def value(self, split: str, metric: str) -> PublishedValue | None:
        """Return the published value of a metric on a split; None where there is none."""
        return next((one for one in self.published if (one.split, one.metric) == (split, metric)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """How an experiment ended.

    Parameters
    ----------
    experiment : Experiment
        Which.
    runs : tuple of Run
        Finished and scored runs, in the order of their seeds.
    controls : tuple of Run
        Finished and scored runs of the controls on the same movies.
    status : {"ok", "did not converge", "failed"}
        How it ended; that of the first run that did not end well.
    reason : str
        Why the status is not "ok".
    absent : str
        Why nothing could be run: private data that are not here; empty otherwise.
    changes : str
        In what the runs differ from the published settings; empty where they do not.
    """

    experiment: Experiment
    runs: tuple[Run, ...] = ()
    controls: tuple[Run, ...] = ()
    status: Status = "ok"
    reason: str = ""
    absent: str = ""
    changes: str = ""


def named(experiments: Mapping[str, Experiment], name: str) -> Experiment:
    """Return an experiment by its name or an alias.

    Raises
    ------
    BadInput
        When there is none.
    """
    for experiment in experiments.values():
        if name in (experiment.name, *experiment.aliases):
            return experiment
    message = f"expected an experiment of {', '.join(experiments)}, got {name}"
    raise BadInput(message, "`calm reproduce` lists them; they are described in experiments.yaml of the algorithms.")


def in_order(experiments: Mapping[str, Experiment], names: Iterable[str]) -> tuple[Experiment, ...]:
    """Put experiments in an order in which they can run: priors first, each once.

    Parameters
    ----------
    experiments : mapping of str to Experiment
        All of them.
    names : iterable of str
        Those asked for, by name or alias.

    Raises
    ------
    BadInput
        When a prior does not exist, or experiments need each other in a circle.
    """
    done: dict[str, Experiment] = {}
    for name in names:
        _visit(experiments, named(experiments, name), done, ())
    return tuple(done.values())


def _visit(
    experiments: Mapping[str, Experiment], one: Experiment, done: dict[str, Experiment], above: tuple[str, ...]
) -> None:
    if one.name in above:
        message = f"{one.algorithm}/{FILE}: expected priors without a circle, got {' <- '.join((*above, one.name))}"
        raise BadInput(message, "An experiment cannot need its own prediction.")
    if one.name in done:
        return
    if one.prior is not None:
        if one.prior.experiment not in experiments:
            message = f"{one.algorithm}/{FILE}: {one.name}: expected a prior that is there, got {one.prior.experiment}"
            raise BadInput(message, "A prior is named by its name, not by an alias.")
        _visit(experiments, experiments[one.prior.experiment], done, (*above, one.name))
    done[one.name] = one
