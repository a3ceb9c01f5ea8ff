"""Table 1 of the study from its published scores per image: every cell judged, and without the copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import BadInput
from orchestrator.published_scores import read_published, table_1, unique
from orchestrator.report.table import aligned
from orchestrator.verdict import Judgement, exact_tolerance, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.experiments import Experiment, PublishedValue
    from orchestrator.metrics import Summary
    from orchestrator.published_scores import FileScore

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
    table = aligned([head, *rows], right_from=1)
    equal, cells = agreement(verdicts)
    count = f"{equal} of {cells} cells (mean and sd) equal the published ones in every printed digit."
    return f"Table 1: gain in SI-PSNR, mean ± sample sd over files\n{table}\n{count}"


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


def _cell(summary: Summary) -> str:
    return f"{summary.mean:.6f} ± {summary.sd:.6f} ({summary.n})"
