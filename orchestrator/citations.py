"""What to cite for an experiment: the paper of the algorithm, the study, the data, and calm."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.datasets import Dataset
    from orchestrator.domain import Algorithm
    from orchestrator.experiments import Experiment

CALM = "calm: Calcium-imaging Algorithms, Locked and Measured (see CITATION.cff)"


def citations(algorithm: Algorithm, experiment: Experiment | None, dataset: Dataset | None) -> tuple[str, ...]:
    """Return what to cite, one line each.

    Parameters
    ----------
    algorithm : Algorithm
        What runs.
    experiment : Experiment or None
        The published experiment, where it is one.
    dataset : Dataset or None
        Its movies.

    Returns
    -------
    tuple of str
        Algorithm, upstream code, study, dataset and calm, as far as there is something to cite.
    """
    lines = []
    if algorithm.paper is not None:
        lines.append(f"algorithm: {algorithm.paper['cite']}. https://doi.org/{algorithm.paper['doi']}")
    upstream = algorithm.upstream
    if upstream["name"] != "calm":
        commit = f", commit {upstream['commit']}" if upstream["commit"] else ""
        lines.append(f"code: {upstream['name']} {upstream['version']}{commit}, licence {algorithm.licence}")
    if experiment is not None:
        study = experiment.study
        lines.append(f"study: {study.cite or study.title}, commit {study.commit}. {study.url}")
    if dataset is not None:
        where = f" https://doi.org/{dataset.doi}" if dataset.doi else " No public address."
        lines.append(f"data: {dataset.title}, licence: {dataset.licence}.{where}")
    return (*lines, f"bundle: {CALM}")
