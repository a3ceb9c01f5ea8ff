"""The Markdown page of a report, and the name of its file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gpu.records import Figure, Outcome, Report, Step

_DIGITS = 4  # significant; repetitions differ by more
_QUOTED = ("steps a second", "frames a second of the whole job", "peak GPU memory")


def page(report: Report) -> str:
    """Return the whole report as Markdown: a table for each step, and what was not measured."""
    return "\n".join(_lines(report)) + "\n"


def file_stem(report: Report) -> str:
    """Return DATE-DEVICE-CARD, for instance 2026-11-28-cuda-nvidia-h100."""
    card = re.sub(r"[^a-z0-9]+", "-", report.fact("card").lower()).strip("-")
    return f"{report.date}-{report.device}-{card}"


def dry_list(steps: Sequence[Step]) -> str:
    """Return what a session would measure, in order, as a Markdown table."""
    rows = [f"| {one.name} | {one.asks} | {one.bound_s:.0f} | {', '.join(one.devices)} |" for one in steps]
    return "\n".join(["| step | question | at most, s | device |", "|---|---|---|---|", *rows])


def summary(report: Report) -> str:
    """Return the table that pages for users quote: speed and memory of whole jobs."""
    found: dict[str, dict[str, str]] = {}
    for figure in (one for outcome in report.outcomes for one in outcome.figures):
        if figure.name in _QUOTED:
            found.setdefault(figure.case, {})[figure.name] = "withheld" if figure.value is None else _value(figure)
    rows = [f"| {case} | {' | '.join(values.get(name, '') for name in _QUOTED)} |" for case, values in found.items()]
    head = [f"| on {report.fact('card')}, {report.date} | {' | '.join(_QUOTED)} |", f"|{'---|' * (len(_QUOTED) + 1)}"]
    return "\n".join([*head, *rows])


def _lines(report: Report) -> Iterator[str]:
    yield f"# {report.date}, {report.fact('card')}, {report.device}"
    yield ""
    yield f"`{report.command}`"
    for outcome in report.outcomes:
        yield from _section(outcome)


def _section(outcome: Outcome) -> Iterator[str]:
    yield from ("", f"## {outcome.name}", "", outcome.asks)
    if outcome.status != "done":
        yield f"{outcome.status.capitalize()}{f': {outcome.note}' if outcome.note else ''}."
    yield f"{outcome.seconds:.0f} s."
    if outcome.figures:
        yield from ("", "| case | what | value | note |", "|---|---|---|---|")
        yield from (_row(one) for one in outcome.figures)


def _row(one: Figure) -> str:
    return f"| {one.case} | {one.name} | {_value(one)} | {one.note} |"


def _value(one: Figure) -> str:
    match one.value:
        case None:
            return "-"
        case float():
            return f"{float(f'{one.value:.{_DIGITS}g}'):g} {one.unit}".strip()
        case _:
            return f"{one.value} {one.unit}".strip()
