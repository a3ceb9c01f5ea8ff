"""A movie as an instrument or a lab stored it: described once, before anything is started, and used everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from orchestrator.records.record import PartRecord, RecordingRecord, StatedNumber, StatedSize

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.records.record import Choice

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated(Generic[_Value]):
    """A value, and who says so: a field of the file, or an option."""

    value: _Value
    origin: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One file of a movie, and how many planes of the movie lie in it."""

    file: Path
    planes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a plan needs to know of a stack.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    dtype : str
        Name of the dtype.
    axes : str
        Axes as stored.
    """

    shape: tuple[int, int, int]
    dtype: str
    axes: str

    @property
    def pixels(self) -> int:
        """Pixels of all frames."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of all pixels."""
        return self.pixels * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One movie, all its files, and the stack in which a job reads it.

    Parameters
    ----------
    given : Path
        As the user named it: a file, a folder, or a pattern.
    format : str
        Name of the format, for people.
    parts : tuple of Part
        Files with pixels, in the order of frames.
    files : tuple of Path
        Every file that was read for it, those with metadata alone included, sorted.
    shape : tuple of int
        (T, Y, X).
    axes : str
        Axes of the stack as stored, singleton axes included.
    stored_dtype, dtype : str
        dtype in the files, and that of the stack.
    frame_rate_hz : Stated or None
        Frames per second.
    pixel_um : Stated or None
        Height and width of a pixel.
    gap_frame : int or None
        The first frame with NaN or infinite values; None where all are finite.
    choice : Choice
        What the user said.
    notes : tuple of str
        What the user should know of how it was read, one sentence each.
    stack : Path
        What a job reads: the only file itself, or a copy in the cache.
    copied : bool
        Whether the stack is such a copy.
    """

    given: Path
    format: str
    parts: tuple[Part, ...]
    files: tuple[Path, ...]
    shape: tuple[int, int, int]
    axes: str
    stored_dtype: str
    dtype: str
    frame_rate_hz: Stated[float] | None
    pixel_um: Stated[tuple[float, float]] | None
    gap_frame: int | None
    choice: Choice
    notes: tuple[str, ...]
    stack: Path
    copied: bool

    @property
    def facts(self) -> Facts:
        """What a plan needs to know of the stack."""
        return Facts(shape=self.shape, dtype=self.dtype, axes=self.axes)

    @property
    def copy_bytes(self) -> int:
        """Disk that the copy in the cache takes and that is not taken yet; 0 where none is made."""
        return self.facts.bytes if self.copied and not self.stack.exists() else 0

    def record(self) -> RecordingRecord:
        """Return the description for run.json."""
        rate, pixel = self.frame_rate_hz, self.pixel_um
        return RecordingRecord(
            given=self.given,
            format=self.format,
            parts=tuple(PartRecord(file=part.file, planes=part.planes) for part in self.parts),
            files=self.files,
            stored_dtype=self.stored_dtype,
            copied=self.copied,
            frame_rate_hz=None if rate is None else StatedNumber(value=rate.value, origin=rate.origin),
            pixel_um=None if pixel is None else StatedSize(value=pixel.value, origin=pixel.origin),
            notes=self.notes,
        )
