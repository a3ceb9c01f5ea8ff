"""Table 1 of the study from its published scores per image: every cell judged, and without the copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.published_scores import read_published, table_1, unique
from orchestrator.report.table import aligned
from orchestrator.verdict import Judgement, exact_tolerance, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.experiments import Experiment, PublishedValue
    from orchestrator.metrics import Summary

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
        When a file is not such a table.
    """
    scores = {path.stem: read_published(path) for path in paths}
    rows = table_1(scores)
    without_copies = table_1({name: unique(one) for name, one in scores.items()})
    return tuple(
        _verdict(row.experiment, row.gain, other.gain, experiments)
        for row, other in zip(rows, without_copies, strict=True)
    )


def text_of(verdicts: Sequence[Table1Verdict]) -> str:
    """Write rows as aligned text: ours, published, difference and verdict, and the row without copies."""
    head = ["experiment", "gain ± sd (n), dB", "published", "difference", "verdict", "without copies"]
    rows = [
        [
            one.experiment,
            _cell(one.ours),
            "none" if one.published is None else f"{one.published.mean:.6f} ± {one.published.sd:.6f}",
            "" if one.published is None else f"{one.ours.mean - one.published.mean:+.1e}",
            one.judgement.verdict,
            _cell(one.unique),
        ]
        for one in verdicts
    ]
    return f"Table 1: gain in SI-PSNR, mean ± sample sd over files\n{aligned([head, *rows], right_from=1)}"


def _verdict(name: str, ours: Summary, without: Summary, experiments: Mapping[str, Experiment]) -> Table1Verdict:
    published = experiments[name].value(_SPLIT, _METRIC) if name in experiments else None
    if published is None:
        judgement = Judgement(verdict="not published", reason="the study has no row of this name", ours=ours)
    else:
        judgement = judge(published, [ours], exact_tolerance(published))
    return Table1Verdict(experiment=name, published=published, ours=ours, unique=without, judgement=judgement)


def _cell(summary: Summary) -> str:
    return f"{summary.mean:.6f} ± {summary.sd:.6f} ({summary.n})"
