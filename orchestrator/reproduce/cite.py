"""What to cite for an experiment: the paper of the algorithm, the study, the data, and calm."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.data.datasets import Dataset
    from orchestrator.domain import Algorithm
    from orchestrator.experiments import Experiment

CALM = "calm: Calcium-imaging Algorithms, Locked and Measured (see CITATION.cff)"


def citations(
    algorithm: Algorithm, experiment: Experiment | None, dataset: Dataset | None, prior: Algorithm | None = None
) -> tuple[str, ...]:
    """Return what to cite, one line each.

    Parameters
    ----------
    algorithm : Algorithm
        What runs.
    experiment : Experiment or None
        The published experiment, where it is one.
    dataset : Dataset or None
        Its movies.
    prior : Algorithm or None
        What made the prediction that the experiment needs first.

    Returns
    -------
    tuple of str
        Algorithms, upstream code, study, dataset and calm, as far as there is something to cite.
    """
    lines = [line for one in (algorithm, prior) if one is not None for line in _software(one)]
    if experiment is not None:
        study = experiment.study
        lines.append(f"study: {study.cite or study.title}, commit {study.commit}. {study.url}")
    if dataset is not None:
        where = f" https://doi.org/{dataset.doi}" if dataset.doi else " No public address."
        lines.append(f"data: {dataset.title}, licence: {dataset.licence}.{where}")
    return (*lines, f"bundle: {CALM}")


def _software(algorithm: Algorithm) -> Iterator[str]:
    if algorithm.paper is not None:
        yield f"algorithm: {algorithm.paper.cite.rstrip('.')}. https://doi.org/{algorithm.paper.doi}"
    upstream = algorithm.upstream
    if upstream.name != "calm":
        commit = f", commit {upstream.commit}" if upstream.commit else ""
        yield f"code: {upstream.name} {upstream.version}{commit}, licence {algorithm.licence}"
