"""What is known about the regions of a movie beside its target: where they are, and when something happens there."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from contract.stacks import open_stack
from orchestrator.errors import BadInput
from orchestrator.foreign import reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_HINT = "They must fit the movie they belong to; docs/data.md describes both forms."
_MOST_BYTES = 2**33  # of an array: ten thousand regions in 100,000 frames


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Truth:
    """Regions of a movie: labels of shape (Y, X), and the frames of events of each, where they are known."""

    labels: NDArray[np.integer]
    events: tuple[NDArray[np.int64], ...] | None


def read_truth(path: Path, shape: tuple[int, ...]) -> Truth:
    """Read the NPZ of a simulator, or a label image.

    Parameters
    ----------
    path : Path
        NPZ with `labels` of shape (Y, X) and `spikes` of shape (regions, T), or a TIFF of shape (Y, X).
    shape : tuple of int
        Of the movie, (T, Y, X).

    Raises
    ------
    BadInput
        When it cannot be read, or does not fit the movie.
    """
    labels, spikes = _from_archive(path, shape) if path.suffix == ".npz" else (_from_image(path), None)
    if labels.shape != shape[1:] or labels.dtype.kind not in "iu" or not (labels > 0).any():
        message = (
            f"{path}: expected labels as whole numbers of shape {shape[1:]}, 0 being background, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
        raise BadInput(message, _HINT)
    numbers = np.unique(labels[labels > 0])
    if spikes is not None and (spikes.ndim != 2 or len(spikes) < numbers[-1] or spikes.shape[1] != shape[0]):  # noqa: PLR2004
        message = (
            f"{path}: expected spikes of shape ({numbers[-1]}, {shape[0]}), regions and frames, got {spikes.shape}"
        )
        raise BadInput(message, _HINT)
    fresh = np.where(labels > 0, np.searchsorted(numbers, labels) + 1, 0)
    events = None if spikes is None else tuple(np.flatnonzero(spikes[number - 1]) for number in numbers)
    return Truth(labels=fresh, events=events)


def _from_image(path: Path) -> NDArray[np.integer]:
    with reading(path, "a label image", _HINT), open_stack(path, "YX") as stack:
        labels: NDArray[np.integer] = stack.frames(0, 1)[0]
        return labels


def _from_archive(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.integer], NDArray[np.generic]]:
    with reading(path, "an NPZ with the arrays labels and spikes", _HINT), zipfile.ZipFile(path) as archive:
        return _array(archive, "labels", shape), _array(archive, "spikes", shape)


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> NDArray[np.integer]:
    """Read an array whose header declares no more than a file can mean, and no objects."""
    with archive.open(f"{name}.npy") as stream:
        declared, dtype = _header(stream)
        if dtype.hasobject or np.prod((*declared, dtype.itemsize), dtype=float) > _MOST_BYTES:
            message = f"{name} declared as {dtype} of shape {declared} for a movie of shape {shape}"
            raise ValueError(message)
    with archive.open(f"{name}.npy") as stream:
        array: NDArray[np.integer] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    declared, _, dtype = read(stream)
    return declared, dtype
