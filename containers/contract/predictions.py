"""Streaming TIFF output: one prediction per input stack, same shape, axes and physical sizes, every frame present."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from contract.errors import AlgorithmFailed, JobRefused
from contract.headers import create_empty, header_of
from contract.stacks import Stack, open_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contract.events import Events
    from contract.headers import Header
    from contract.job import Job

_INTEGERS = ("uint8", "uint16", "int16")


class Prediction:
    """A prediction being written, frame after frame.

    Attributes
    ----------
    written : int
        Frames written so far.
    clipped_pixels : int
        Pixels that had to be clipped to the dtype of the input; 0 for float32.
    """

    def __init__(
        self, descriptor: int, offset_bytes: int, shape: tuple[int, ...], dtype: np.dtype, *, gaps: bool = False
    ) -> None:
        self.shape = shape
        self.written = 0
        self.clipped_pixels = 0
        self._descriptor = descriptor
        self._offset_bytes = offset_bytes
        self._dtype = dtype
        self._gaps = gaps

    def write(self, frames: np.ndarray) -> None:
        """Append frames.

        Parameters
        ----------
        frames : ndarray of shape (n, Y, X) or (Y, X), float
            Intensities in the units of the input.

        Raises
        ------
        AlgorithmFailed
            For frames of another size, too many frames, or a value that is not finite.
        """
        block = np.asarray(frames)
        block = block[None] if block.ndim == 2 else block  # noqa: PLR2004 - a single frame
        if block.shape[1:] != self.shape[1:] or self.written + len(block) > self.shape[0]:
            message = f"expected {self.shape[0]} frames of {self.shape[1:]}, got {block.shape} after {self.written}"
            raise AlgorithmFailed(message)
        finite = np.isfinite(block).all(axis=(1, 2))
        if not self._gaps and not finite.all():
            message = f"prediction: frame {self.written + int(np.argmin(finite))} holds NaN or infinite values"
            raise AlgorithmFailed(message)
        data = np.ascontiguousarray(self._to_dtype(block))
        position = self._offset_bytes + self.written * data[0].nbytes
        _write_all(self._descriptor, data.tobytes(), position)
        self.written += len(block)

    def _to_dtype(self, block: np.ndarray) -> np.ndarray:
        if self._dtype.name not in _INTEGERS or block.dtype == self._dtype:
            return block.astype(self._dtype, copy=False)
        limits = np.iinfo(self._dtype)
        rounded = np.rint(block)
        self.clipped_pixels += int(np.count_nonzero((rounded < limits.min) | (rounded > limits.max)))
        clipped: np.ndarray = np.clip(rounded, limits.min, limits.max).astype(self._dtype)
        return clipped


def _write_all(descriptor: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, position)
        view, position = view[count:], position + count


@contextmanager
def open_prediction(path: Path, like: Stack, dtype: str = "float32") -> Iterator[Prediction]:
    """Create the prediction of a stack; it gets its name only when complete.

    Parameters
    ----------
    path : Path
        File to make; its folder must exist.
    like : Stack
        The input: shape, axes, OME or ImageJ metadata and physical sizes are carried over.
    dtype : {"float32", "input"}
        dtype of the pixels; "input" rounds to the nearest integer and clips to the range of the input's dtype.

    Yields
    ------
    Prediction
        To be given every frame in order.

    Raises
    ------
    AlgorithmFailed
        When the block ends before every frame was written.
    """
    made = np.dtype("float32") if dtype == "float32" else like.dtype
    with write_stack(path, header_of(like), made) as prediction:
        yield prediction


@contextmanager
def write_stack(path: Path, header: Header, dtype: np.dtype, *, gaps: bool = False) -> Iterator[Prediction]:
    """Create a stack that jobs can read; it gets its name only when complete.

    Parameters
    ----------
    path : Path
        File to make; its folder must exist.
    header : Header
        Shape, axes and metadata.
    dtype : numpy.dtype
        dtype of the pixels; whole numbers are rounded to and clipped.
    gaps : bool
        Whether values may be NaN or infinite, as in the copy of a movie that has some.

    Yields
    ------
    Prediction
        To be given every frame in order.

    Raises
    ------
    AlgorithmFailed
        When the block ends before every frame was written.
    """
    part = path.with_name(path.name + ".part")
    try:
        offset_bytes = create_empty(part, header, dtype)
        descriptor = os.open(part, os.O_WRONLY)
        try:
            prediction = Prediction(descriptor, offset_bytes, header.frames, dtype, gaps=gaps)
            yield prediction
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if prediction.written != header.frames[0]:
            message = f"{path}: expected {header.frames[0]} frames, got {prediction.written}"
            raise AlgorithmFailed(message)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def predictions_of(job: Job, events: Events) -> Iterator[tuple[Stack, Prediction]]:
    """Open every stack of a predict job beside its prediction, and report progress as frames are written.

    Parameters
    ----------
    job : Job
        A predict job; `job.predictions` is created. A prediction that is there already is complete and is kept.
    events : Events
        Progress goes here, in frames over all stacks.

    Yields
    ------
    stack : Stack
        Input to read from.
    prediction : Prediction
        Output to write every frame of that input to.

    Raises
    ------
    JobRefused
        When two inputs have the same name, or an input cannot be read.
    """
    names = [path.name for path in job.inputs.noisy]
    if len(set(names)) != len(names):
        message = f"{job.path}: expected noisy stacks of different names, got {', '.join(sorted(names))}"
        raise JobRefused(message)
    job.predictions.mkdir(parents=True, exist_ok=True)
    done, total = 0, sum(_frame_count(path, job.axes) for path in job.inputs.noisy)
    for path in job.inputs.noisy:
        with open_stack(path, job.axes) as stack:
            target = job.predictions / path.name
            if not target.exists():
                with open_prediction(target, stack, job.output_dtype) as prediction:
                    yield stack, _Reporting(prediction, events, done, total)
                events.clipped(path.name, prediction.clipped_pixels)
            done += stack.shape[0]
            events.step(done, total)


class _Reporting(Prediction):
    """A prediction that reports progress after each write."""

    def __init__(self, prediction: Prediction, events: Events, done: int, total: int) -> None:
        self.shape = prediction.shape
        self.written = prediction.written
        self._prediction, self._events, self._done, self._total = prediction, events, done, total

    def write(self, frames: np.ndarray) -> None:
        self._prediction.write(frames)
        self.written = self._prediction.written
        self._events.step(self._done + self.written, self._total)


def _frame_count(path: Path, axes: str | None) -> int:
    with open_stack(path, axes) as stack:
        return stack.shape[0]
