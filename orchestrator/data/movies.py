"""Where the movies of a run come from: a dataset of the manifest, or the user's own files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.data.checksums import Checksums
from orchestrator.data.datasets import is_here
from orchestrator.data.fetch import fetch
from orchestrator.data.inspect import check_path
from orchestrator.data.manifest import load_manifest
from orchestrator.data.prepare import prepared_movies
from orchestrator.data.verify import check_unchanged
from orchestrator.domain import Movie
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.data.datasets import Split
    from orchestrator.data.fetch import Progress
    from orchestrator.paths import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The movies of a run.

    Parameters
    ----------
    name : str
        Name of the dataset, or stem of the user's file.
    movies : tuple of Movie
        Noisy stacks and their targets.
    axes : str or None
        Axes as stored; None to believe the files.
    frame_rate_hz : float or None
        Frames per second, None when unknown.
    """

    name: str
    movies: tuple[Movie, ...]
    axes: str | None = None
    frame_rate_hz: float | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that there are, sorted."""
        return tuple(sorted({movie.split for movie in self.movies}))

    def of(self, split: str) -> tuple[Movie, ...]:
        """Return the movies of a split in the order of their names."""
        return tuple(sorted((m for m in self.movies if m.split == split), key=lambda movie: movie.noisy.name))


def input_source(
    paths: Sequence[Path], axes: str | None, frame_rate_hz: float | None, split: Split = "train"
) -> Source:
    """Take the user's own movies: they are trained on and predicted, and there is no clean target.

    Parameters
    ----------
    paths : sequence of Path
        TIFF stacks of different names.
    axes : str or None
        Axes as stored.
    frame_rate_hz : float or None
        Frames per second.
    split : str
        "test" where a finished training predicts them.

    Raises
    ------
    BadInput
        When two files have the same name.
    """
    names = [path.name for path in paths]
    if len(set(names)) != len(names):
        message = f"--input: expected files of different names, got {', '.join(sorted(names))}"
        raise BadInput(message, "Predictions keep the names of their inputs; rename one of them.")
    movies = tuple(Movie(split=split, noisy=path.absolute()) for path in paths)
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", paths[0].stem)
    return Source(name=name, movies=movies, axes=axes, frame_rate_hz=frame_rate_hz)


def dataset_source(name: str, layout: Layout, progress: Progress) -> Source:
    """Take the movies of a dataset of the manifest; simulated ones are made, prepared ones are prepared.

    Parameters
    ----------
    name : str
        Name or alias of the dataset.
    layout : Layout
        Where data and caches are.
    progress : Progress
        Told about every byte that is made.

    Raises
    ------
    BadInput
        For an unknown dataset, missing files or files of other bytes; the hint says how to get them.
    """
    dataset = load_manifest(layout.manifest).named(name)
    check_path(layout.data)
    if dataset.access == "simulated" and not is_here(dataset, layout.data):
        simulated(name, layout, progress)
    sha256 = Checksums(layout.checksums).of
    check_unchanged(dataset, layout.data, sha256)
    movies = prepared_movies(dataset, layout.data, cache=layout.prepared, sha256=sha256, progress=progress)
    return Source(name=dataset.name, movies=movies, axes=dataset.axes, frame_rate_hz=dataset.frame_rate_hz)


def simulated(name: str, layout: Layout, progress: Progress) -> tuple[Path, ...]:
    """Make a simulated dataset where it is not there yet, and return its files.

    Raises
    ------
    BadInput
        When the dataset is not a simulated one.
    """
    manifest = load_manifest(layout.manifest)
    dataset = manifest.named(name)
    if dataset.access != "simulated":
        message = f"{name}: expected a simulated dataset, got one with access {dataset.access}"
        raise BadInput(message, f"`calm data fetch {name}` gets it, or says how.")
    return fetch(dataset, layout.data, lock=manifest.lock, progress=progress)
