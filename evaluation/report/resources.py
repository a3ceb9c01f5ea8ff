"""Time and memory that runs needed, as texts for a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evaluation.report.content import Resources

MINUTE_S, HOUR_S = 60, 3600
GIBIBYTE = 2**30
NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceRow:
    """One run: texts and, for sorting, the numbers behind them (None where not measured)."""

    title: str
    cells: tuple[tuple[str, float | None], ...]
    device: str
    hardware: str


def resource_rows(runs: Iterable[tuple[str, Resources | None]]) -> tuple[ResourceRow, ...]:
    """Arrange resources."""
    return tuple(_row(title, used) for title, used in runs if used is not None)


def _row(title: str, used: Resources) -> ResourceRow:
    cells = (
        (duration(used.train_s), used.train_s),
        (duration(used.predict_s), used.predict_s),
        (gibibytes(used.peak_memory_bytes), used.peak_memory_bytes),
        (gibibytes(used.peak_gpu_bytes), used.peak_gpu_bytes),
    )
    return ResourceRow(title=title, cells=cells, device=used.device, hardware=used.hardware)


def duration(seconds: float | None) -> str:
    """Write a duration."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < MINUTE_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"


def gibibytes(count: int | None) -> str:
    """Write a number of bytes in GiB, two decimals."""
    return NOT_MEASURED if count is None else f"{count / GIBIBYTE:.2f} GiB"
