"""The movies of a dataset before its files are here: what the manifest declares of them, and what has to be had."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contract.errors import JobRefused
from contract.stacks import open_stack
from orchestrator.data.datasets import locate, matches
from orchestrator.data.movies import Source
from orchestrator.data.recording import Facts
from orchestrator.domain import Movie
from orchestrator.errors import BadInput
from orchestrator.records.record import Choice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.data.datasets import Dataset, File

_ASSUMED_DTYPE = "uint16"  # of files whose dtype is not declared; what the study casts them to


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """A dataset, some of whose files are not here or not prepared.

    Parameters
    ----------
    dataset : Dataset
        Which.
    source : Source
        Its noisy movies where they belong; of files that a pattern stands for, one for each, without their names.
    facts : mapping of Path to Facts
        Of every noisy movie, by the file where it is here, else by the manifest; no pixels where neither tells.
    missing : tuple of str
        One line for each file or pattern that is not here.
    fetch_bytes : int or None
        Bytes of the files that are not here; None where the manifest does not tell.
    is_assumed : bool
        Whether `fetch_bytes` stands on a dtype that the manifest does not tell.
    copies_bytes : int
        Bytes of the copies that the preparation steps of the dataset will make.
    """

    dataset: Dataset
    source: Source
    facts: Mapping[Path, Facts]
    missing: tuple[str, ...]
    fetch_bytes: int | None
    is_assumed: bool
    copies_bytes: int

    @property
    def is_sized(self) -> bool:
        """Whether the pixels of every movie are known."""
        return all(facts.pixels > 0 for facts in self.facts.values())


def outline_of(dataset: Dataset, root: Path) -> Outline:
    """Describe a dataset by its manifest and by those of its files that are here.

    Parameters
    ----------
    dataset : Dataset
        Which.
    root : Path
        Data root, absolute.

    Raises
    ------
    BadInput
        When a file that is here is no stack.
    """
    found = dict(pair for file in dataset.files if file.role == "noisy" for pair in _movies(dataset, file, root))
    facts = {movie.noisy: one for movie, one in found.items()}
    prepared = {split for step in dataset.preparation for split in step.splits}
    absent = [(file, _lacking(dataset, file, root)) for file in dataset.files]
    sizes = [_file_bytes(file) for file, count in absent for _ in range(count)]
    return Outline(
        dataset=dataset,
        source=Source(
            name=dataset.name,
            movies=tuple(found),
            choice=Choice(axes=dataset.axes, frame_rate_hz=dataset.frame_rate_hz),
            frame_rate_hz=dataset.frame_rate_hz,
        ),
        facts=facts,
        missing=tuple(_missing(dataset, root)),
        fetch_bytes=None if None in sizes else sum(size for size in sizes if size is not None),
        is_assumed=any(file.bytes is None and file.dtype is None for file, count in absent if count),
        copies_bytes=sum(one.bytes for movie, one in found.items() if movie.split in prepared),
    )


def _movies(dataset: Dataset, file: File, root: Path) -> Iterator[tuple[Movie, Facts]]:
    here = matches(dataset, file, root)
    for path in here:
        yield Movie(split=file.split, noisy=path), _facts_of(path, dataset.axes)
    for index in range(_lacking(dataset, file, root)):
        path = root / dataset.folder / (file.path if file.count is None else f"{file.path} {index}")
        shape = (1, *file.shape)[-3:] if file.shape is not None else (0, 0, 0)
        facts = Facts(shape=(shape[0], shape[1], shape[2]), dtype=file.dtype or _ASSUMED_DTYPE, axes=dataset.axes)
        yield Movie(split=file.split, noisy=path), facts


def _facts_of(path: Path, axes: str) -> Facts:
    try:
        with open_stack(path, axes) as stack:
            frames, height, width = stack.shape
            return Facts(shape=(frames, height, width), dtype=stack.dtype.name, axes=stack.axes)
    except JobRefused as error:
        raise BadInput(str(error), "Check the files with `calm data verify`.") from error


def _lacking(dataset: Dataset, file: File, root: Path) -> int:
    return max(0, (file.count or 1) - len(matches(dataset, file, root)))


def _missing(dataset: Dataset, root: Path) -> list[str]:
    folder = root / dataset.folder
    lacking = ((file, _lacking(dataset, file, root)) for file in dataset.files)
    lines = [
        f"{folder / file.path}" + (f" ({count} of {file.count} files)" if file.count else "")
        for file, count in lacking
        if count
    ]
    lines += [str(root / step.background) for step in dataset.preparation if not (root / step.background).is_file()]
    if not lines:
        try:
            locate(dataset, root)
        except BadInput as error:  # a target of another name than its movie asks for
            lines = [error.message]
    return lines


def _file_bytes(file: File) -> int | None:
    if file.bytes is not None:
        return file.bytes
    if file.shape is None:
        return None
    return math.prod(file.shape) * np.dtype(file.dtype or _ASSUMED_DTYPE).itemsize
