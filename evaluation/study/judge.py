"""Judge how experiments ended: every score beside its published value, with a verdict and the reason for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation import metrics
from evaluation.metrics import Summary
from evaluation.scores.catalogue import METRICS
from evaluation.scores.tables import summary_of
from evaluation.study.protocol import METRICS as SCORED
from evaluation.study.verdict import FEWEST_SEEDS, Comparison, exact_tolerance, judge, over_seeds, trained_tolerance
from orchestrator.algorithms.experiments import ANCHOR
from orchestrator.domain import CURRENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evaluation.study.verdict import Verdict
    from orchestrator.algorithms.experiments import Attempt, Experiment, PublishedValue
    from orchestrator.records.record import Score
    from orchestrator.records.run import Run

    _Judged = dict[str, dict[str, Comparison]]  # split to metric

WITHOUT_TARGET = tuple(metric.name for metric in METRICS if not metric.reference)
_PASSED = ("reproduced", "not comparable")


def judged(attempt: Attempt, experiments: Mapping[str, Experiment]) -> _Judged:
    """Judge every score of an attempt against the study.

    Parameters
    ----------
    attempt : Attempt
        How an experiment ended.
    experiments : mapping of str to Experiment
        All of them; the published scores of the noisy files are among them.

    Returns
    -------
    dict of str to dict of str to Comparison
        By split and metric, by the study's own protocol.
    """
    scores = [study_scores(run) for run in attempt.runs]
    splits = [*scores[0]] if scores else attempt.experiment.splits["predict"]
    found: _Judged = {}
    for split in splits:
        found[split] = {
            metric: _compare(attempt, experiments, (split, metric), [summary_of(one[split][metric]) for one in scores])
            for metric in _metrics(attempt.experiment, scores, split)
        }
    return found


def deviates(attempt: Attempt, experiments: Mapping[str, Experiment]) -> bool:
    """Return whether any score of an attempt deviates from the study."""
    return "deviates" in _verdicts(attempt, experiments)


def passed(attempts: Sequence[Attempt], experiments: Mapping[str, Experiment]) -> bool:
    """Return whether every verdict is reproduced or not comparable, and nothing broke that the study could run."""
    if any(one.status == "failed" and one.experiment.outcome != "failed" for one in attempts):
        return False
    return all(verdict in _PASSED for attempt in attempts for verdict in _verdicts(attempt, experiments))


def _verdicts(attempt: Attempt, experiments: Mapping[str, Experiment]) -> list[Verdict]:
    return [one.verdict for split in judged(attempt, experiments).values() for one in split.values()]


def _compare(
    attempt: Attempt, experiments: Mapping[str, Experiment], where: tuple[str, str], runs: Sequence[metrics.Summary]
) -> Comparison:
    experiment = attempt.experiment
    value = experiment.value(*where)
    ours = over_seeds(runs) if runs else None
    published = None if value is None else Summary(mean=value.mean, sd=value.sd, n=value.n)
    known = _forbidden(attempt, value)
    if known is not None or value is None:
        verdict, reason = known or ("not published", "")
        reason += _spread_note(runs)
        return Comparison(ours=ours, published=published, verdict=verdict, reason=reason)
    if experiment.algorithm == ANCHOR:
        tolerance = exact_tolerance(value)
    else:
        tolerance = trained_tolerance(value, _noisy(experiments, experiment.dataset, where))
    found = judge(value, runs, tolerance)
    reason = found.reason + _environment_note(attempt)
    return Comparison(ours=found.ours, published=published, verdict=found.verdict, reason=reason)


def _forbidden(attempt: Attempt, value: PublishedValue | None) -> tuple[Verdict, str] | None:
    """Return the verdict, with its reason, where no numbers decide."""
    experiment = attempt.experiment
    ended = f"{attempt.status}: {attempt.reason}"
    if attempt.absent:
        return "not comparable", attempt.absent
    if value is None:
        unjudged: Mapping[str, tuple[Verdict, str]] = {
            "failed": ("not comparable", f"the study reports failure: {experiment.words}"),
            "pictures only": ("not comparable", f"published as pictures only: {experiment.words}"),
            "not run": ("not published", experiment.words),
            "numbers": ("not published", "the study has no number for it"),
        }
        verdict, reason = unjudged[experiment.outcome]
        if attempt.status == "ok":
            return verdict, reason
        lost = experiment.outcome == "pictures only" and not attempt.changes
        return "deviates" if lost else verdict, f"{reason} Ours {ended}"
    if attempt.changes:
        return "not comparable", attempt.changes if attempt.status == "ok" else f"{attempt.changes}; {ended}"
    return None if attempt.status == "ok" else ("deviates", ended)


def _noisy(experiments: Mapping[str, Experiment], dataset: str, where: tuple[str, str]) -> PublishedValue | None:
    anchors = (one for one in experiments.values() if one.algorithm == ANCHOR and one.dataset == dataset)
    return next((value for one in anchors if (value := one.value(*where)) is not None), None)


def _spread_note(runs: Sequence[metrics.Summary]) -> str:
    """Say how far our own runs scatter, where there are several; `judge` says it where it compares."""
    if len(runs) < FEWEST_SEEDS:
        return ""
    spread = metrics.summarise([one.mean for one in runs])
    return f"; the means of our {spread.n} seeds scatter with a sample sd of {spread.sd:.3g}"


def _environment_note(attempt: Attempt) -> str:
    """Say in what software our runs were made and in what the study's, where that is known."""
    experiment = attempt.experiment
    if experiment.environment == CURRENT or not attempt.runs:
        return ""
    upstream = attempt.runs[0].record.upstream
    ours = f"run in environment {experiment.environment} with {upstream.name} {upstream.version}"
    return f"; {ours}; the study ran {experiment.software}"


def _metrics(experiment: Experiment, scores: Sequence[Mapping[str, Mapping[str, Score]]], split: str) -> list[str]:
    """Name the metrics of a split: those with published values, or those of the protocol, or those without target."""
    published = [metric for metric in SCORED[experiment.protocol] if experiment.value(split, metric)]
    if published or not scores:
        return published or [WITHOUT_TARGET[0]]
    names = (*SCORED[experiment.protocol], *WITHOUT_TARGET)
    return [name for name in names if name in scores[0][split]]


def study_scores(run: Run) -> Mapping[str, Mapping[str, Score]]:
    """Return the scores of a run by the study's protocol; without targets those that need none."""
    return run.scores.splits if run.study_scores is None else run.study_scores.study
