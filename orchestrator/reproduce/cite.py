"""What to cite for an experiment: the paper of the algorithm, the study, the data, and calm."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.algorithms.experiments import Experiment
    from orchestrator.data.datasets import Dataset
    from orchestrator.domain import Algorithm

CALM = "calm: Calcium-imaging Algorithms, Locked and Measured"
_SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_.:-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Citation:
    """One thing to cite: what it is of, a sentence, and its BibTeX entry (name of the entry, type and fields)."""

    of: str
    text: str
    key: str
    kind: str
    fields: Mapping[str, str]

    @property
    def line(self) -> str:
        """The sentence, after what it is of."""
        return f"{self.of}: {self.text}"

    @property
    def bibtex(self) -> str:
        """The entry for a list of references; names, addresses and DOIs stand as they are."""
        lines = [f"  {name} = {{{_value(name, text)}}}," for name, text in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{_NOT_IN_KEYS.sub('-', self.key)},", *lines, "}"])


def citations(
    algorithm: Algorithm, experiment: Experiment | None, dataset: Dataset | None, prior: Algorithm | None = None
) -> tuple[Citation, ...]:
    """Return what to cite.

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
    tuple of Citation
        Algorithms, upstream code, study, dataset and calm, as far as there is something to cite; each once.
    """
    found = [one for made_by in (algorithm, prior) if made_by is not None for one in _software(made_by)]
    if experiment is not None:
        found.append(_study(experiment))
    if dataset is not None:
        found.append(_data(dataset))
    found.append(
        _misc("bundle", f"{CALM} (see CITATION.cff)", "calm", {"author": "{The calm developers}", "title": CALM})
    )
    return tuple({one.key: one for one in found}.values())


def _software(algorithm: Algorithm) -> Iterator[Citation]:
    paper = algorithm.paper
    if paper is not None:
        fields = {"author": paper.authors, "title": paper.title, "year": str(paper.year), "doi": paper.doi}
        in_proceedings = "Conference" in paper.venue
        yield Citation(
            of="algorithm",
            text=f"{paper.cite}. https://doi.org/{paper.doi}",
            key=f"{paper.authors.partition(',')[0]}{paper.year}-{algorithm.name}",
            kind="inproceedings" if in_proceedings else "article",
            fields={**fields, "booktitle" if in_proceedings else "journal": paper.venue},
        )
    upstream = algorithm.upstream
    if upstream.name != "calm":
        commit = f", commit {upstream.commit}" if upstream.commit else ""
        version = f"version {upstream.version}{commit}, licence {algorithm.licence}"
        text = f"{upstream.name} {upstream.version}{commit}, licence {algorithm.licence}"
        yield _misc("code", text, f"{upstream.name}-{upstream.version}", {"title": upstream.name, "note": version})


def _study(experiment: Experiment) -> Citation:
    study = experiment.study
    fields = {"title": study.cite or study.title, "url": study.url, "note": f"commit {study.commit}"}
    text = f"{study.cite or study.title}, commit {study.commit}. {study.url}"
    return _misc("study", text, f"study-{study.commit}", fields)


def _data(dataset: Dataset) -> Citation:
    where = f" https://doi.org/{dataset.doi}" if dataset.doi else " No public address."
    fields = {"title": dataset.title, "note": f"licence: {dataset.licence}"}
    fields |= {"doi": dataset.doi} if dataset.doi else {}
    text = f"{dataset.title}, licence: {dataset.licence}.{where}"
    return _misc("data", text, f"data-{dataset.name}", fields)


def _misc(of: str, text: str, key: str, fields: Mapping[str, str]) -> Citation:
    return Citation(of=of, text=text, key=key, kind="misc", fields=fields)


def _value(name: str, text: str) -> str:
    """Escape what means something to TeX; a title in braces keeps its capitals."""
    if name in {"author", "doi", "url"}:
        return text
    escaped = "".join(_SIGNS.get(sign, sign) for sign in text)
    return f"{{{escaped}}}" if name == "title" else escaped
