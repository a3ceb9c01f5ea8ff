"""Plots that a job declares for the report of its run: `figures.json` beside its result, see docs/contract.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from contract.files import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One curve of a plot.

    Parameters
    ----------
    name : str
        For the legend.
    kind : {"line", "points", "bars"}
        How it is drawn; bars stand over bins centred at x.
    x, y : sequence of float
        Of equal length, in the units that the figure names.
    """

    name: str
    kind: Literal["line", "points", "bars"]
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Predictions of some frames after so much of something, which calm scores against the target of the movie.

    Parameters
    ----------
    movie : str
        File name of the movie.
    file : str
        A .npy of shape (at, frames, Y, X), intensity units; its path begins at the folder of the job.
    at : sequence of float
        How much of it.
    frames : sequence of int
        Numbers of the frames.
    """

    movie: str
    file: str
    at: Sequence[float]
    frames: Sequence[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One plot: of `curves` with their label `y`, or of `scored` movies, whose label is that of the score.

    Parameters
    ----------
    title : str
        Stands above it.
    note : str
        One sentence below it.
    x, y : str
        Labels with units.
    curves : sequence of Curve
        What is drawn.
    scored : sequence of Scored
        What is scored and drawn, where there is a target.
    """

    title: str
    note: str
    x: str
    y: str | None = None
    curves: Sequence[Curve] = ()
    scored: Sequence[Scored] = ()


def write_figures(job: Job, figures: Sequence[Figure]) -> None:
    """Write `figures.json` into the folder of a job."""
    write_json(job.folder / "figures.json", [_document(figure) for figure in figures])


def add_figures(job: Job, figures: Sequence[Figure]) -> None:
    """Add to the `figures.json` of a job, which its algorithm may have written before."""
    path = job.folder / "figures.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    write_json(path, [*before, *map(_document, figures)])


def _document(figure: Figure) -> dict[str, Any]:
    absent = ("y", "curves") if figure.y is None else ("scored",)
    return {name: value for name, value in asdict(figure).items() if name not in absent}
