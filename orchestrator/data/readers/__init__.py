"""Readers of movies: one small module for each format, all with the interface of `planes.Planes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.data.readers import hdf5, ome_zarr, suite2p, tiff, video
from orchestrator.data.readers.joined import JoinedPlanes, check_names, in_natural_order
from orchestrator.errors import BadInput
from orchestrator.foreign import AGAIN, reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.data.readers.planes import Planes
    from orchestrator.records.record import Choice

_PATTERN = "*?["
_READERS: tuple[tuple[Callable[[Path], bool], Callable[[Path, Choice], Planes]], ...] = (  # the first that knows it
    (ome_zarr.is_zarr, ome_zarr.open_movie),
    (suite2p.is_suite2p, suite2p.open_movie),
    (hdf5.is_hdf5, hdf5.open_movie),
    (video.is_video, video.open_movie),
)


def open_planes(given: Path, choice: Choice) -> Planes:
    """Open a movie of any format.

    Parameters
    ----------
    given : Path
        A file, a folder with the files of one recording, or a pattern of their names.
    choice : Choice
        What the user says of how it is to be read.

    Returns
    -------
    Planes
        Open; nothing but metadata has been read.

    Raises
    ------
    BadInput
        For whatever cannot be read; the hint says what to type.
    """
    reader = next((open_movie for is_of, open_movie in _READERS if is_of(given)), _open_tiff)
    with reading(given, "a movie", AGAIN):
        return reader(given, choice)


def movie_files(given: Path) -> list[Path]:
    """Return the movies that a folder holds or a pattern names, in natural order; what is one movie itself is alone."""
    if any(is_of(given) for is_of, _ in _READERS) or given.is_file():
        return [given]
    found = given.iterdir() if given.is_dir() else given.parent.glob(given.name) if _is_pattern(given) else iter(())
    files = in_natural_order(path for path in found if not path.name.startswith(".") and _is_movie(path))
    return files or [given]


def is_image(path: Path, choice: Choice) -> bool:
    """Say whether a file holds a single plane."""
    planes = open_planes(path, choice)
    try:
        return planes.stored.planes == 1
    finally:
        planes.close()


def _is_movie(path: Path) -> bool:
    is_tiff = path.name.lower().endswith(tiff.SUFFIXES) and path.is_file()
    return is_tiff or any(is_of(path) for is_of, _ in _READERS)


def _is_pattern(given: Path) -> bool:
    return not given.exists() and any(character in given.name for character in _PATTERN)


def _open_tiff(given: Path, choice: Choice) -> Planes:
    if given.is_dir():
        return _joined(given, [path for path in given.iterdir() if path.name.lower().endswith(tiff.SUFFIXES)], choice)
    if _is_pattern(given):
        return _joined(given, list(given.parent.glob(given.name)), choice)
    return tiff.open_movie(given, choice)


def _joined(given: Path, found: list[Path], choice: Choice) -> Planes:
    paths = in_natural_order(path for path in found if path.is_file() and not path.name.startswith("."))
    if not paths:
        message = f"{given}: expected the files of a recording, got no TIFF file"
        raise BadInput(message, "Give the movie itself, a folder with its files, or a pattern such as 'movie_*.tif'.")
    first = tiff.open_movie(paths[0], choice)
    named = [part.file for part in first.stored.parts]
    if len(paths) == 1 or set(paths) == {*named, *first.stored.others}:
        return first
    if len(named) > 1:  # its own metadata name the files of the recording
        extra = sorted({path.name for path in paths} - {path.name for path in (*named, *first.stored.others)})
        lacking = sorted({path.name for path in named} - {path.name for path in paths})
        message = (
            f"{given}: expected the {len(named)} files that {paths[0].name} names, "
            f"got {', '.join(extra[:4]) or 'none'} beside them and no {', '.join(lacking[:4]) or 'other missing'}"
        )
        raise BadInput(message, f"Give one file of the recording, {paths[0]}; the others are found by it.")
    check_names(given, paths)
    return JoinedPlanes(given, [first, *(tiff.open_movie(path, choice) for path in paths[1:])])
