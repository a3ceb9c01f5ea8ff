"""Plots as data for uPlot, which draws them on the page: lines and points over one axis."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

HEIGHT = 250  # px
POINTS = 4000  # of one line; a longer one keeps its peaks
LOG_SPAN = 10.0  # values that span more than this are plotted on a log axis
DIGITS = 6  # of every number


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line or point cloud; `style` is a line style of the page."""

    name: str
    x: np.ndarray
    y: np.ndarray
    style: str
    points: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """Lines, the title above them, labels with units and a sentence below."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    note: str = ""
    log: bool = False
    height: int = HEIGHT

    @property
    def data(self) -> str:
        """What the script of the page draws, as JSON: x values that lines share are written once."""
        xs: dict[bytes, list[float | None]] = {}
        lines = []
        for one in self.series:
            x, y = thinned(np.asarray(one.x, np.float64), np.asarray(one.y, np.float64))
            key = x.tobytes()
            xs.setdefault(key, _short(x))
            line = {"name": one.name, "style": one.style, "points": one.points, "x": list(xs).index(key)}
            lines.append(line | {"y": _short(y)})
        shown = {"x": self.x, "y": f"{self.y}, logarithmic" if self.log else self.y, "log": self.log}
        return json.dumps(
            {**shown, "height": self.height, "title": self.title, "xs": list(xs.values()), "series": lines},
            separators=(",", ":"),
        )


def wants_log(values: np.ndarray) -> bool:
    """Whether values are all positive and span more than a decade, so that a log axis shows more."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0 and finite.max() / finite.min() > LOG_SPAN)


def thinned(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Keep the lowest and highest value of every bin, so that no peak is lost."""
    if len(x) <= points:
        return x, y
    edges = np.linspace(0, len(x), points // 2 + 1).astype(int)
    keep: list[int] = []
    for start, stop in pairwise(edges):
        part = y[start:stop]
        low, high = int(np.argmin(part)), int(np.argmax(part))
        keep += sorted({start + low, start + high})
    return x[keep], y[keep]


def _short(values: np.ndarray) -> list[float | None]:
    """Round to the digits that can be seen; null, a gap in a line, where a value is not finite."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]
