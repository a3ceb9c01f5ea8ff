"""Numbers, durations and sizes as readers expect them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from evaluation.metrics import Summary

NOT_SCORED = "no score"
NOT_MEASURED = "not measured"
_MINUTE_S, _HOUR_S = 60, 3600
_GIBIBYTE = 2**30


def grouped(value: float, decimals: int) -> str:
    """Write a number with narrow spaces between thousands and a real minus sign."""
    text = f"{value:,.{decimals}f}"
    shown = text.lstrip("-") if float(text.replace(",", "")) == 0 else text
    return shown.replace(",", "\u202f").replace("-", "\u2212")


def number(value: float, decimals: int) -> str:
    """Write a value: "not a number" and "∞" in words a reader understands."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "\u2212∞"
    return grouped(value, decimals)


def signed(value: float, decimals: int) -> str:
    """Write a difference, always with its sign."""
    text = number(value, decimals)
    return text if text.startswith("\u2212") or not math.isfinite(value) else "+" + text


def summary_text(summary: Summary | None, decimals: int, write: Callable[[float, int], str] = number) -> str:
    """Write "mean ± sd", or the mean alone where there is no sd."""
    if summary is None:
        return NOT_SCORED
    mean = write(summary.mean, decimals)
    return f"{mean} ± {number(summary.sd, decimals)}" if math.isfinite(summary.sd) else mean


def interval_text(summary: Summary | None, decimals: int, write: Callable[[float, int], str] = number) -> str:
    """Write "low to high" of a mean; empty where the bounds are unknown."""
    if summary is None or not (math.isfinite(summary.low) and math.isfinite(summary.high)):
        return ""
    return f"{write(summary.low, decimals)} to {write(summary.high, decimals)}"


def duration(seconds: float | None) -> str:
    """Write a duration."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"


def gibibytes(count: int | None) -> str:
    """Write a number of bytes in GiB, two decimals."""
    return NOT_MEASURED if count is None else f"{count / _GIBIBYTE:.2f} GiB"
