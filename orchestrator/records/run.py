"""A finished run: its folder and its record, read once, and whatever else its documents hold, read when asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import msgspec

from contract.files import sha256
from orchestrator.documents import read_json, read_sealed
from orchestrator.errors import BadInput
from orchestrator.paths import RunFolder
from orchestrator.records.record import DeclaredPlot, History, MovieName, Record, Scores, StudyScores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.documents import Sealed
    from orchestrator.records.record import FileRecord, MovieRecord

Kind = TypeVar("Kind", bound="Sealed")

SCORES_VERSION = 4  # a change scores every run again
STUDY_SCORES_VERSION = 2
_RECORD_HINT = "Put back run.json as it was, or delete the run folder and give the command again that made it."
_SCORES_HINT = "Delete it; `calm evaluate RUN` scores the run again."


class _Basis(msgspec.Struct, frozen=True):
    version: int


class _Versioned(msgspec.Struct, frozen=True):
    """A document of any version."""

    basis: _Basis


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Parameters
    ----------
    folder : RunFolder
        Where it lies.
    record : Record
        Its run.json.
    """

    folder: RunFolder
    record: Record

    @property
    def title(self) -> str:
        """Experiment and beginning of the key, which tell runs of one algorithm apart."""
        return f"{self.folder.path.parent.name} {self.folder.path.name[:6]}"

    @property
    def movies(self) -> Iterator[tuple[MovieName, MovieRecord]]:
        """Every movie with its name, in the order of names."""
        return ((MovieName.of(name), movie) for name, movie in sorted(self.record.movies.items()))

    def files(self) -> Iterator[tuple[Path, FileRecord]]:
        """Yield every file that the jobs made, with its record."""
        for name, job in self.record.jobs.items():
            folder = self.folder.path if name == "train" else self.folder.path / "predictions"
            for file in job.files:
                yield folder / file.path, file
            for file in job.documents:
                yield self.folder.path / file.path, file

    def made(self, path: Path) -> bool:
        """Return whether a job of this run made a file."""
        return any(path == one for one, _ in self.files())

    def check(self, *, content: bool = False) -> None:
        """Compare the files of the run with its record: sizes and times, and content where these differ.

        Parameters
        ----------
        content : bool
            Whether content is compared in any case.

        Raises
        ------
        BadInput
            With the first file that is missing or has other bytes.
        """
        for path, file in self.files():
            if not path.is_file():
                raise _changed(
                    path, f"expected the file that this run made, got {'a folder' if path.is_dir() else 'none'}"
                )
            state = path.stat()
            same = (state.st_size, state.st_mtime_ns) == (file.bytes, file.mtime_ns)
            if (content or not same) and (state.st_size != file.bytes or sha256(path) != file.sha256):
                raise _changed(
                    path, f"expected the file that this run made, with sha256 {file.sha256}, got other bytes"
                )

    @cached_property
    def scores(self) -> Scores:
        """Scores of a run that was scored."""
        found = read_scores(self.folder)
        if found is None:
            message = f"{self.folder.path}: expected a scored run, got one without scores.json"
            raise BadInput(message, "`calm evaluate RUN` scores it.")
        return found

    @cached_property
    def study_scores(self) -> StudyScores | None:
        """Scores by the study's protocol; None where it was not scored so."""
        return read_study_scores(self.folder)

    @cached_property
    def history(self) -> History | None:
        """Losses of training; None where the algorithm does not train."""
        return read_json(self.folder.history, History) if self.folder.history.exists() else None


def _changed(path: Path, words: str) -> BadInput:
    hint = (
        "Put it back, or delete the run folder; the command that made the run makes it again. `calm verify` compares."
    )
    return BadInput(f"{path}: {words}", hint)


def read_run(path: Path) -> Run:
    """Read the run in a folder.

    Raises
    ------
    BadInput
        When the folder holds no finished run, or its record cannot be read or was changed.
    """
    folder = RunFolder(path=path)
    if not folder.record.exists():
        message = f"{path}: expected a finished run with a run.json, got none"
        raise BadInput(message, "Give run folders, outputs/<experiment>/<key>.")
    record = read_sealed(folder.record, Record, hint=_RECORD_HINT)
    if record.key != record.key_parts.key:
        message = (
            f"{folder.record}: expected the key {record.key_parts.key} of its inputs and parameters, got {record.key}"
        )
        raise BadInput(message, _RECORD_HINT)
    return Run(folder=folder, record=record)


def runs_in(outputs: Path, experiment: str) -> Iterator[Run]:
    """Yield the finished runs of experiments that a pattern names, but for those that nobody named and cannot be read.

    An older calm, or a damaged disk, may have left them; a command that is not about them goes on without them.
    """
    for path in sorted(outputs.glob(f"{experiment}/*/run.json")):
        try:
            run = read_run(path.parent)
        except BadInput as error:
            logging.getLogger(__name__).info("passed over: %s", error.message)
        else:
            yield run


def read_scores(folder: RunFolder) -> Scores | None:
    """Return what scores.json holds; None where a run was not scored, or by an older calm."""
    return read_versioned(folder.scores, Scores, SCORES_VERSION, _SCORES_HINT)


def read_study_scores(folder: RunFolder) -> StudyScores | None:
    """Return what scores-study.json holds; None where a run was not scored so, or by an older calm."""
    return read_versioned(folder.study_scores, StudyScores, STUDY_SCORES_VERSION, _SCORES_HINT)


def read_versioned(path: Path, kind: type[Kind], version: int, hint: str) -> Kind | None:
    """Return what a document with a basis holds; None where it is not there, or of another version."""
    if not path.exists() or read_json(path, _Versioned, hint=hint).basis.version != version:
        return None
    return read_sealed(path, kind, hint=hint)


def read_figures(path: Path) -> tuple[DeclaredPlot, ...]:
    """Read the plots that a job declares."""
    return read_json(path, tuple[DeclaredPlot, ...])
