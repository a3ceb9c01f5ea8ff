"""Table 1 of the study from its published scores per image: every cell judged, and without the copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.study.published_scores import read_published, table_1, unique
from evaluation.study.verdict import Judgement, exact_tolerance, judge
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from evaluation.metrics import Summary
    from evaluation.study.published_scores import FileScore
    from orchestrator.algorithms.experiments import Experiment, PublishedValue

_SPLIT, _METRIC = "train", "si_psnr_gain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table1Verdict:
    """One row of table 1 with its verdict.

    Parameters
    ----------
    experiment : str
        Name, from the name of the CSV.
    published : PublishedValue or None
        The printed row; None for a name that the study does not have.
    ours, unique : Summary
        Gain in SI-PSNR, dB, over all files and over those that are no copies.
    judgement : Judgement
        Of `ours`: mean and sd must agree in every printed digit.
    """

    experiment: str
    published: PublishedValue | None
    ours: Summary
    unique: Summary
    judgement: Judgement


def verdicts_of(paths: Sequence[Path], experiments: Mapping[str, Experiment]) -> tuple[Table1Verdict, ...]:
    """Compute rows of table 1 and judge them.

    Parameters
    ----------
    paths : sequence of Path
        CSVs of the study, each named as its experiment.
    experiments : mapping of str to Experiment
        With the printed values.

    Raises
    ------
    BadInput
        When a file is not such a table, or two have the same name.
    """
    scores: dict[str, tuple[FileScore, ...]] = {}
    for path in paths:
        if path.stem in scores:
            message = f"{path}: expected each experiment once, got {path.stem} twice"
            raise BadInput(message, "The name of a table is that of its experiment.")
        scores[path.stem] = read_published(path)
    rows = table_1(scores)
    without_copies = table_1({name: unique(one) for name, one in scores.items()})
    return tuple(
        _verdict(row.experiment, row.gain, other.gain, experiments)
        for row, other in zip(rows, without_copies, strict=True)
    )


def agreement(verdicts: Sequence[Table1Verdict]) -> tuple[int, int]:
    """Count cells, two for each published row, that equal ours when both are printed: those that do, and all."""
    pairs = [
        pair
        for one in verdicts
        if (known := one.published) is not None
        for pair in ((one.ours.mean, known.mean, known.decimals), (one.ours.sd, known.sd, known.decimals))
    ]
    return sum(f"{ours:.{digits}f}" == f"{theirs:.{digits}f}" for ours, theirs, digits in pairs), len(pairs)


def _verdict(name: str, ours: Summary, without: Summary, experiments: Mapping[str, Experiment]) -> Table1Verdict:
    published = experiments[name].value(_SPLIT, _METRIC) if name in experiments else None
    if published is None:
        judgement = Judgement(verdict="not published", reason="the study has no row of this name", ours=ours)
    else:
        judgement = judge(published, [ours], exact_tolerance(published))
    return Table1Verdict(experiment=name, published=published, ours=ours, unique=without, judgement=judgement)
