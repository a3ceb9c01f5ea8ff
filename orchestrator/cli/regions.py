"""Regions of a user on the command line: read once, fitted to every movie, kept in the runs that shall be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.records.regions import keep_regions, read_regions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orchestrator.data.movies import Source
    from orchestrator.records.regions import Regions
    from orchestrator.records.run import Run


def regions_for(path: Path | None, sources: Iterable[Source]) -> Regions | None:
    """Read the regions of a file, which must fit every movie; None where none are given.

    Raises
    ------
    BadInput
        For what is no regions, or does not fit.
    """
    return _fitted(path, [recording.shape for source in sources for recording in source.recordings.values()])


def look_at(runs: Sequence[Run], path: Path | None) -> None:
    """Keep the regions of a file, which must fit every movie, in finished runs; nothing happens without a file."""
    regions = _fitted(path, [movie.shape for run in runs for _, movie in run.movies])
    if regions is not None:
        for run in runs:
            keep_regions(run.folder, regions)


def _fitted(path: Path | None, shapes: Sequence[tuple[int, ...]]) -> Regions | None:
    if path is None:
        return None
    found = [read_regions(path.absolute(), shape) for shape in dict.fromkeys(shapes)]
    return found[0]
