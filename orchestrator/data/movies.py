"""Where the movies of a run come from: a dataset of the manifest, or the user's own files."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.data.checksums import Checksums
from orchestrator.data.datasets import is_here
from orchestrator.data.fetch import fetch
from orchestrator.data.inspect import Inspector, check_movies, check_path, common_rate_hz
from orchestrator.data.manifest import load_manifest
from orchestrator.data.prepare import prepared_movies
from orchestrator.data.readers import is_image, movie_files
from orchestrator.data.verify import check_unchanged
from orchestrator.domain import Movie
from orchestrator.errors import BadInput
from orchestrator.records.record import Choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.data.datasets import Split
    from orchestrator.data.fetch import Progress
    from orchestrator.data.recording import Recording
    from orchestrator.paths import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The movies of a run.

    Parameters
    ----------
    name : str
        Name of the dataset, or stem of the user's file.
    movies : tuple of Movie
        Stacks that jobs read, and their targets.
    recordings : mapping of Path to Recording
        Of every movie, by its stack; empty where its files are not here.
    choice : Choice
        What the user says of all of them.
    frame_rate_hz : float or None
        Frames per second, None when unknown.
    """

    name: str
    movies: tuple[Movie, ...]
    recordings: Mapping[Path, Recording] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice)
    frame_rate_hz: float | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how the movies are read, one sentence each."""
        return tuple(note for recording in self.recordings.values() for note in recording.notes)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that there are, sorted."""
        return tuple(sorted({movie.split for movie in self.movies}))

    def of(self, split: str) -> tuple[Movie, ...]:
        """Return the movies of a split in the order of their names."""
        return tuple(sorted((m for m in self.movies if m.split == split), key=lambda movie: movie.noisy.name))


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnMovies:
    """A user's movies, each by itself.

    Parameters
    ----------
    sources : tuple of Source
        Of one movie each; there is at least one.
    refused : mapping of Path to BadInput
        Why others cannot be used.
    """

    sources: tuple[Source, ...]
    refused: Mapping[Path, BadInput]


def input_source(inputs: Sequence[Path], choice: Choice, layout: Layout, *, split: Split = "train") -> Source:
    """Take the user's own movies: they are trained on and predicted, and there is no clean target.

    Parameters
    ----------
    inputs : sequence of Path
        Files, folders with the files of one recording, or patterns of their names.
    choice : Choice
        What the user says of them.
    layout : Layout
        Where caches are.
    split : str
        "test" where a finished training predicts them.

    Raises
    ------
    BadInput
        For a movie that cannot be used, and when two have the same name.
    """
    inspector = Inspector(stacks=layout.stacks, checksums=Checksums(layout.checksums))
    found: dict[frozenset[Path], Recording] = {}
    for given in inputs:
        recording = inspector.describe(given.absolute(), choice)
        found.setdefault(frozenset(recording.files), recording)  # files of one recording, named one by one
    recordings = tuple(found.values())
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", recordings[0].stack.stem).strip("_") or "movie"
    movies = tuple(Movie(split=split, noisy=recording.stack) for recording in recordings)
    return _source(name, movies, recordings, choice, inspector.checksums)


def own_sources(
    inputs: Sequence[Path], choice: Choice, layout: Layout, *, split: Split = "train", joined: bool = False
) -> OwnMovies:
    """Take the user's own movies, each by itself; files of one recording, named one by one, are one.

    Of several movies, those that cannot be used leave the others alone.

    Parameters
    ----------
    inputs : sequence of Path
        Files; folders and patterns, of which every file is a movie unless it holds a single image.
    choice : Choice
        What the user says of all of them.
    layout : Layout
        Where caches are.
    split : str
        "test" where a finished training predicts them.
    joined : bool
        Whether the files of a folder or a pattern are one movie, one after the other.

    Raises
    ------
    BadInput
        Where no movie can be used, with the first reason.
    """
    found: dict[Path, Source] = {}
    refused: dict[Path, BadInput] = {}
    for given in inputs:
        for file in [given] if joined else _movies_in(given, choice):
            try:
                source = input_source([file], choice, layout, split=split)
            except BadInput as error:
                refused[file] = error
            else:
                found[source.movies[0].noisy] = source
    if not found:
        raise next(iter(refused.values()))
    return OwnMovies(sources=tuple(found.values()), refused=refused)


def _movies_in(given: Path, choice: Choice) -> list[Path]:
    """Return the movies that a path names; a folder of single images is one movie."""
    files = movie_files(given)
    return [given] if len(files) > 1 and _holds_images(files, choice) else files


def _holds_images(files: Sequence[Path], choice: Choice) -> bool:
    """Say whether the first of the files that can be read holds a single image."""
    for file in files:
        with suppress(BadInput):
            return is_image(file, choice)
    return False


def _source(
    name: str, movies: tuple[Movie, ...], recordings: Sequence[Recording], choice: Choice, checksums: Checksums
) -> Source:
    described = {recording.stack: recording for recording in recordings}
    check_movies(name, movies, described, checksums)
    return Source(
        name=name,
        movies=movies,
        recordings=described,
        choice=choice,
        frame_rate_hz=common_rate_hz(name, recordings),
    )


def described_source(name: str, movies: Sequence[Movie], choice: Choice, layout: Layout) -> Source:
    """Describe movies whose files and targets are known.

    Parameters
    ----------
    name : str
        Name of the dataset.
    movies : sequence of Movie
        `noisy` is a movie as it is stored; in the result it is the stack that jobs read.
    choice : Choice
        What is said of all of them.
    layout : Layout
        Where caches are.

    Raises
    ------
    BadInput
        For a movie or a target that cannot be used.
    """
    inspector = Inspector(stacks=layout.stacks, checksums=Checksums(layout.checksums))
    recordings = [inspector.describe(movie.noisy, choice) for movie in movies]
    stacks = tuple(replace(movie, noisy=one.stack) for movie, one in zip(movies, recordings, strict=True))
    return _source(name, stacks, recordings, choice, inspector.checksums)


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
    choice = Choice(axes=dataset.axes, frame_rate_hz=dataset.frame_rate_hz)
    return described_source(dataset.name, movies, choice, layout)


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
