"""Preparation steps of a dataset: its movies are copied and changed as the manifest says, and never themselves."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from contract.errors import JobRefused
from contract.files import atomic
from contract.stacks import open_stack
from orchestrator.data.datasets import absent, locate
from orchestrator.data.fetch import check_room
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from contract.stacks import Stack
    from orchestrator.data.datasets import Dataset
    from orchestrator.data.fetch import Progress
    from orchestrator.domain import Movie

_VERSION = b"add_background 1\n"  # a change of what is computed needs another number, and so another cache folder
_KEY_DIGITS = 16


def prepared_movies(
    dataset: Dataset, root: Path, *, cache: Path, sha256: Callable[[Path], str], progress: Progress
) -> tuple[Movie, ...]:
    """Locate the movies of a dataset and apply its preparation steps."""
    movies = locate(dataset, root)
    for step in dataset.preparation:
        background = root / step.background
        if not background.is_file():
            raise absent(dataset, root, f"{background}, the average image that is added to {dataset.name}", 1, 0)
        copies = _Copies(background=background, cache=cache, sha256=sha256, progress=progress)
        movies = tuple(copies.of(movie) if movie.split in step.splits else movie for movie in movies)
    return movies


def is_prepared(dataset: Dataset, root: Path, *, cache: Path, sha256: Callable[[Path], str]) -> bool:
    """Say whether every copy that `prepared_movies` makes is there; all files of the dataset must be here."""
    movies = locate(dataset, root)
    return all(
        (cache / _content(movie.noisy, root / step.background, sha256) / movie.noisy.name).exists()
        for step in dataset.preparation
        for movie in movies
        if movie.split in step.splits
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copies:
    """Copies of movies with one background added."""

    background: Path
    cache: Path
    sha256: Callable[[Path], str]
    progress: Progress

    def of(self, movie: Movie) -> Movie:
        copy = self.cache / _content(movie.noisy, self.background, self.sha256) / movie.noisy.name
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                add_background(movie.noisy, self.background, copy, self.progress)
            except JobRefused as error:
                raise BadInput(str(error), "Check the files with `calm data verify`.") from error
        return replace(movie, noisy=copy)


def _content(noisy: Path, background: Path, sha256: Callable[[Path], str]) -> str:
    """Return the name of the folder of a copy: a hash of all that it is made of."""
    content = f"{sha256(noisy)} {sha256(background)}".encode()
    return hashlib.sha256(_VERSION + content).hexdigest()[:_KEY_DIGITS]


def add_background(noisy: Path, background: Path, copy: Path, progress: Progress) -> None:
    """Write a copy of a movie with an average image added to every frame."""
    with open_stack(background) as image, open_stack(noisy) as movie:
        if image.shape != (1, *movie.shape[1:]):
            message = f"{background}: expected one image of {movie.shape[1:]} as {noisy.name}, got {image.shape}"
            raise BadInput(message, "Use the average image that belongs to this movie.")
        whole = image.dtype.kind in "iu" and movie.dtype.kind in "iu"
        dtype = movie.dtype if whole else np.dtype(np.float32)
        check_room(copy.parent, math.prod(movie.shape) * dtype.itemsize, copy.name)
        with atomic(copy) as part, tifffile.TiffWriter(part, bigtiff=True) as tiff:
            tiff.write(
                _sums(movie, image.frames(0, 1)[0], dtype, progress),
                shape=movie.shape,
                dtype=dtype,
                photometric="minisblack",
                metadata={"axes": "TYX"},
                software="calm",
            )


def _sums(movie: Stack, background: NDArray[Any], dtype: np.dtype[Any], progress: Progress) -> Iterator[NDArray[Any]]:
    for index in range(movie.shape[0]):
        frame = movie.frames(index, index + 1)[0].astype(np.float64) + background
        if dtype.kind in "iu" and (frame.max() > np.iinfo(dtype).max or frame.min() < np.iinfo(dtype).min):
            message = f"{movie.path}: expected sums with the background that fit {dtype}, got {frame.max()} in {index}"
            raise BadInput(message, "Save the movie or the background as float32; calm never wraps or clips here.")
        yield frame.astype(dtype)
        progress(movie.path.name, (index + 1) * movie.frame_bytes, movie.shape[0] * movie.frame_bytes)
