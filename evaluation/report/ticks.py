"""Axis ticks at round numbers, and numbers as readers expect them."""

from __future__ import annotations

import math
from itertools import pairwise

MANTISSAS = (1.0, 2.0, 2.5, 5.0, 10.0)
ABOUT_TICKS = 5
LARGE = 1e5
SMALL = 1e-3


def linear_ticks(low: float, high: float) -> list[float]:
    """Round numbers inside [low, high], about five of them."""
    rough = (high - low) / ABOUT_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(mantissa for mantissa in MANTISSAS if mantissa * power >= rough * (1 - 1e-9)) * power
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten inside [low, high], with 2 and 5 between them over less than two decades."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1.0,) if math.log10(high / low) >= 2 else (1.0, 2.0, 5.0)  # noqa: PLR2004 - two decades
    candidates = [step * 10.0**decade for decade in decades for step in steps]
    return [tick for tick in candidates if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def tick_labels(ticks: list[float]) -> list[str]:
    """Texts for ticks, all with the digits their spacing needs."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if largest >= LARGE or 0 < largest < SMALL:
        return [f"{tick:.3g}".replace("e+0", "e").replace("e-0", "e-") for tick in ticks]
    gap = min((b - a for a, b in pairwise(ticks)), default=1.0)
    decimals = next((digits for digits in range(6) if abs(gap - round(gap, digits)) < gap * 1e-6), 6)
    return [grouped(tick, decimals) for tick in ticks]


def grouped(value: float, decimals: int) -> str:
    """Write a number with narrow spaces between thousands and a real minus sign."""
    return f"{value:,.{decimals}f}".replace(",", "\u202f").replace("-", "\u2212")
