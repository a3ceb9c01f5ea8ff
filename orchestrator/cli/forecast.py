"""A forecast as text: a table of runs, the data that are missing, and the disks beside what is free on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evaluation.report.text import aligned
from orchestrator.paths import existing_parent, free_bytes_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orchestrator.data.outline import Outline
    from orchestrator.paths import Layout
    from orchestrator.reproduce.forecast import Estimate, Forecast

_GIB = 2**30
_GB = 1e9
_HOUR_MIN = 60
_UNKNOWN = "unknown"


def text_of(forecast: Forecast, layout: Layout) -> str:
    """Write a forecast as lines: runs, their sums, missing data, disks, and what would stop it."""
    lines = [_table(forecast.runs), _sums(forecast.runs)]
    if any(_is_unknown(one) for one in forecast.runs):
        lines.append(
            "Time is unknown where no run of the same settings has finished here; one on movies of any size would do."
        )
    if any(one.jobs and one.seconds is None and one.training_s for one in forecast.runs):
        lines.append("Training was timed over its first steps on this machine, which may be busier or idler later.")
    for outline in forecast.outlines:
        lines += _outline(outline, layout.data)
    lines += _disks(forecast, layout)
    return "\n".join([*lines, *(f"Warning: {warning}" for warning in forecast.warnings)])


def _table(runs: Sequence[Estimate]) -> str:
    head = ["experiment", "algorithm", "seed", "jobs", "state", "time", "memory", "disk"]
    rows = [
        [
            one.experiment,
            one.algorithm,
            str(one.seed),
            ", ".join(one.jobs),
            one.state,
            _cell(one),
            f"{one.memory_bytes / _GIB:.1f} GiB" if one.jobs else "",
            _size(one.disk_bytes) if one.jobs else "",
        ]
        for one in runs
    ]
    return aligned([head, *rows], right_from=5)


def _is_unknown(one: Estimate) -> bool:
    return bool(one.jobs) and one.seconds is None and one.training_s is None


def _cell(one: Estimate) -> str:
    if not one.jobs:
        return ""
    if one.seconds is not None or one.training_s is None:
        return _time(one.seconds)
    return f"{_one_time(one.training_s)} and prediction" if one.training_s else "prediction only"


def _sums(runs: Sequence[Estimate]) -> str:
    jobs = [one for one in runs if one.jobs]
    times = [one.seconds or (one.training_s or 0.0, one.training_s or 0.0) for one in jobs if not _is_unknown(one)]
    known = math.fsum(least for least, _ in times), math.fsum(most for _, most in times)
    unknown = len(jobs) - len(times)
    predictions = sum(1 for one in jobs if one.seconds is None and one.training_s is not None)
    memory = max((one.memory_bytes for one in runs), default=0) / _GIB
    parts = (
        _time(known) if any(most for _, most in times) or not jobs else "",
        _predictions(predictions) if predictions else "",
        _unknown(unknown) if unknown else "",
    )
    time = " and ".join(part for part in parts if part)
    return f"In all: {time}; memory {memory:.1f} GiB; disk {_disk_sum(runs)}"


def _predictions(count: int) -> str:
    return f"the prediction of {count} run{'' if count == 1 else 's'}"


def _unknown(count: int) -> str:
    return f"the unknown time of {count} run{'' if count == 1 else 's'}"


def _disk_sum(runs: Sequence[Estimate]) -> str:
    known = sum(one.disk_bytes for one in runs if one.disk_bytes is not None)
    if all(one.disk_bytes is None for one in runs):
        return _UNKNOWN
    more = " and more, not known" if any(one.disk_bytes is None for one in runs) else ""
    return f"{_size(known)}{more}, environments not counted"


def _outline(outline: Outline, data: Path) -> Iterator[str]:
    dataset = outline.dataset
    if not outline.is_sized:
        yield f"{dataset.name}: the manifest does not tell the size of its movies, so disk and time are unknown."
    if outline.copies_bytes:
        yield f"{dataset.name}: copies of its movies will be prepared, {_size(outline.copies_bytes)}."
    if not outline.missing:
        return
    yield f"Not here, of {dataset.name}:"
    yield from (f"  {line}" for line in outline.missing)
    size = _size(outline.fetch_bytes)
    note = " if stored as 16 bits; the manifest does not tell" if outline.is_assumed else ""
    match dataset.access:
        case "restricted":
            have = "" if outline.fetch_bytes is None else f" They are {size}{note}."
            yield f"{dataset.instructions} The folder is {data / dataset.folder}.{have}"
        case "public":
            yield f"`calm data fetch {dataset.name}` downloads them: {size}{note}."
        case "simulated":
            yield f"They are made when they are needed, or by `calm data fetch {dataset.name}`: {size}{note}."


def _disks(forecast: Forecast, layout: Layout) -> Iterator[str]:
    """Set what each disk has to take beside what is free on it."""
    parts = (
        (layout.outputs, "CALM_OUTPUTS", sum(one.disk_bytes or 0 for one in forecast.runs)),
        (layout.data, "CALM_DATA", sum(one.fetch_bytes or 0 for one in forecast.outlines)),
        (layout.home, "CALM_HOME", sum(one.copies_bytes for one in forecast.outlines)),
    )
    disks: dict[int, list[tuple[Path, str, int]]] = {}
    for folder, variable, needed in parts:
        if needed:
            existing = existing_parent(folder)
            disks.setdefault(existing.stat().st_dev, []).append((existing, variable, needed))
    for there in disks.values():
        needed = sum(size for _, _, size in there)
        free = free_bytes_at(there[0][0])
        where = ", ".join(str(folder) for folder in sorted({folder for folder, _, _ in there}))
        yield f"Disk at {where}: {_size(needed)} needed, {_size(free)} free"
        if needed > free:
            variables = " or ".join(variable for _, variable, _ in there)
            yield f"Warning: {_size(needed - free)} too little; free some, or choose another disk with {variables}."


def _size(number: int | None) -> str:
    return _UNKNOWN if number is None else f"{number / _GB:.1f} GB"


def _time(seconds: tuple[float, float] | None) -> str:
    if seconds is None:
        return _UNKNOWN
    least, most = (_one_time(one) for one in seconds)
    return least if least == most else f"{least} to {most}"


def _one_time(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < _HOUR_MIN else f"{minutes // _HOUR_MIN} h {minutes % _HOUR_MIN:02d} min"
