"""Which line style every run gets: the same in all plots of a page, told apart by colour and by dash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.report.content import NOISY, TARGET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evaluation.report.content import MovieContent, Role

ALGORITHM_STYLES = 6
CONTROL_STYLES = 2


def run_styles(roles: Mapping[str, Role], movies: Iterable[MovieContent]) -> dict[str, str]:
    """Give every run a class of the style sheet."""
    styles: dict[str, str] = {NOISY: NOISY, TARGET: TARGET}
    everyone = dict(roles)
    for movie in movies:
        for name in (*movie.predictions, *movie.frame_scores):
            everyone.setdefault(name, "algorithm")
    counts = {"control": 0, "algorithm": 0}
    for name, role in everyone.items():
        if role == "noisy" or name in styles:
            continue
        kind = "control" if role == "control" else "algorithm"
        styles[name] = f"{kind}{counts[kind] % (CONTROL_STYLES if kind == 'control' else ALGORITHM_STYLES)}"
        counts[kind] += 1
    return styles
