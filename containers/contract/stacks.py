"""Lazy reading of TIFF stacks: classic, BigTIFF, OME and ImageJ, compressed or not, a few frames at a time."""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import tifffile

from contract.errors import JobRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUPPORTED_DTYPES = ("uint8", "uint16", "int16", "float32")
_BLOCK_FRAMES = 16  # decoded at a time for a copy


class Stack:
    """A movie on disk, read a few frames at a time.

    Made by `open_stack`; use it in a `with` block.

    Attributes
    ----------
    path : Path
        The TIFF file.
    shape : tuple of int
        (T, Y, X); T is 1 for a single image.
    dtype : numpy.dtype
        One of `SUPPORTED_DTYPES`, native byte order.
    axes : str
        Axes as stored, singleton axes included.
    stored_shape : tuple of int
        Shape as stored, singleton axes included.
    tiff : tifffile.TiffFile
        The open file, for its metadata.
    """

    def __init__(self, path: Path, tiff: tifffile.TiffFile, series: Any, axes: str) -> None:  # noqa: ANN401
        self.path = path
        self.tiff = tiff
        self.axes = axes
        self.stored_shape = tuple(int(length) for length in series.shape)
        self._series = series
        frames = int(np.prod(self.stored_shape[:-2], dtype=np.int64))
        self.shape = (frames, *self.stored_shape[-2:])
        self._stored_dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
        self.dtype = self._stored_dtype.newbyteorder("=")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame in memory, in the dtype of the file."""
        return int(self.shape[1] * self.shape[2] * self.dtype.itemsize)

    @property
    def contiguous(self) -> bool:
        """Whether all frames lie in one uncompressed block of the file."""
        return self._series.dataoffset is not None

    def frames(self, start: int, stop: int) -> np.ndarray:
        """Read frames [start, stop).

        Parameters
        ----------
        start, stop : int
            Frame numbers, 0 <= start <= stop <= T.

        Returns
        -------
        ndarray of shape (stop - start, Y, X)
            In the dtype of the file, native byte order, a copy that the caller owns.

        Raises
        ------
        JobRefused
            When a frame cannot be decoded.
        """
        if self.contiguous:
            return self._read_contiguous(start, stop)
        block = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for index in range(start, stop):
            block[index - start] = self._read_page(index)
        return block

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """Yield the movie in blocks of at most `frames` frames, each of shape (n, Y, X)."""
        for start in range(0, self.shape[0], frames):
            yield self.frames(start, min(start + frames, self.shape[0]))

    def memmap(self, folder: Path) -> np.ndarray:
        """Map the movie into memory for random access, which training needs.

        Parameters
        ----------
        folder : Path
            On whose disk a decoded copy lies, when the file itself cannot be mapped (compressed pages). The copy has
            no name and is gone with the process, however that ends.

        Returns
        -------
        numpy.memmap of shape (T, Y, X)
            Read-only; the operating system holds in memory only what is used.
        """
        if self.contiguous:
            offset = self._series.dataoffset
            return np.memmap(self.path, self._stored_dtype, mode="r", offset=offset, shape=self.shape)
        with tempfile.TemporaryFile(dir=folder) as copy:
            for block in self.blocks(_BLOCK_FRAMES):
                copy.write(block.tobytes())
            copy.flush()
            return np.memmap(copy, self.dtype, mode="r", shape=self.shape)

    def close(self) -> None:
        """Close the file."""
        self.tiff.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_contiguous(self, start: int, stop: int) -> np.ndarray:
        handle = self.tiff.filehandle
        handle.seek(self._series.dataoffset + start * self.frame_bytes)
        count = (stop - start) * self.shape[1] * self.shape[2]
        flat = handle.read_array(self._stored_dtype, count=count)
        return flat.astype(self.dtype, copy=False).reshape(stop - start, *self.shape[1:])

    def _read_page(self, index: int) -> np.ndarray:
        try:
            page: np.ndarray = self._series.pages[index].asarray()
        except Exception as error:  # decoders of tifffile and imagecodecs raise classes of their own
            message = f"{self.path}: frame {index} cannot be decoded ({type(error).__name__}: {error})"
            raise JobRefused(message) from error
        return page.reshape(self.shape[1:])


def open_stack(path: Path, axes: str | None = None) -> Stack:
    """Open a TIFF stack for lazy reading.

    Parameters
    ----------
    path : Path
        Classic TIFF, BigTIFF, OME-TIFF or ImageJ hyperstack.
    axes : str, optional
        Axes as stored, one letter for each, ending in "YX"; by default those the file declares.
        The one axis before Y and X that is longer than 1 is time, whatever its letter: T, Z, or a plain page sequence.

    Returns
    -------
    Stack
        Open file; nothing but its directory has been read.

    Raises
    ------
    JobRefused
        For a missing, empty, truncated or foreign file, for colour images, for more than one axis besides Y and X
        and for a dtype that is not supported; the message says what was expected and what was found.
    """
    size_bytes = _size_bytes(path)
    with _tiff_log() as log:
        tiff = _open_tiff(path)
        try:
            return _checked_stack(path, tiff, axes, size_bytes, log)
        except BaseException:
            tiff.close()
            raise


@dataclass(frozen=True, kw_only=True, slots=True)
class _LogLine:
    level: int
    text: str


@contextmanager
def _tiff_log() -> Iterator[list[_LogLine]]:
    """Collect what tifffile logs: it reports damaged directories there, not as exceptions."""
    lines: list[_LogLine] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(_LogLine(level=record.levelno, text=record.getMessage()))

    handler = Collect(level=logging.WARNING)
    logger = logging.getLogger("tifffile")
    propagate = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _open_tiff(path: Path) -> tifffile.TiffFile:
    try:
        tiff = tifffile.TiffFile(path)
        if tiff.is_shaped and len(tiff.series) > 1:  # written frame by frame, each with metadata of its own
            tiff.close()
            tiff = tifffile.TiffFile(path, is_shaped=False)
    except Exception as error:  # tifffile raises many classes on damaged directories
        message = f"{path}: expected a TIFF file, got one that cannot be read ({error})"
        raise JobRefused(message) from error
    return tiff


def _size_bytes(path: Path) -> int:
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        message = f"{path}: expected a TIFF file, got nothing ({error.strerror})"
        raise JobRefused(message) from error
    if not path.is_file():
        message = f"{path}: expected a TIFF file, got a folder"
        raise JobRefused(message)
    if size_bytes == 0:
        message = f"{path}: expected a TIFF file, got an empty file"
        raise JobRefused(message)
    return size_bytes


def _checked_stack(
    path: Path, tiff: tifffile.TiffFile, axes: str | None, size_bytes: int, log: list[_LogLine]
) -> Stack:
    series = _only_series(path, tiff)
    stack = Stack(path, tiff, series, _checked_axes(path, series, axes))
    if stack.dtype.name not in SUPPORTED_DTYPES:
        message = f"{path}: expected dtype {', '.join(SUPPORTED_DTYPES)}, got {stack.dtype.name}"
        raise JobRefused(message)
    end_bytes = _data_end_bytes(stack, series)
    if end_bytes > size_bytes:
        message = f"{path}: truncated: its pixels need {end_bytes} bytes, the file has {size_bytes}"
        raise JobRefused(message)
    errors = [line.text for line in log if line.level >= logging.ERROR or "truncated" in line.text]
    if errors:
        message = f"{path}: damaged or truncated TIFF ({errors[0]})"
        raise JobRefused(message)
    return stack


def _only_series(path: Path, tiff: tifffile.TiffFile) -> Any:  # noqa: ANN401 - tifffile has no types
    try:
        series = tiff.series
    except Exception as error:  # tifffile raises many classes on damaged directories
        message = f"{path}: damaged or truncated TIFF ({type(error).__name__}: {error})"
        raise JobRefused(message) from error
    if len(series) != 1:
        shapes = ", ".join(str(one.shape) for one in series[:4])
        message = f"{path}: expected one image series, got {len(series)} of shapes {shapes}"
        raise JobRefused(message)
    return series[0]


def _checked_axes(path: Path, series: Any, axes: str | None) -> str:  # noqa: ANN401 - tifffile has no types
    stored = str(series.axes) if axes is None else axes.upper()
    shape = tuple(series.shape)
    long = [length > 1 for length in shape[:-2]]
    if len(stored) != len(shape) and len(stored) == sum(long) + 2:  # axes of length 1 may be left out
        letters = iter(stored[:-2])
        stored = "".join(next(letters) if one else own for one, own in zip(long, series.axes, strict=False)) + "YX"
    if len(stored) != len(shape):
        message = f"{path}: expected {len(shape)} axes for shape {shape}, got {stored}"
        raise JobRefused(message)
    if series.keyframe.samplesperpixel > 1:
        message = f"{path}: expected grey frames (T, Y, X), got a colour image of shape {shape} (axes {stored})"
        raise JobRefused(message)
    if not stored.endswith("YX"):
        message = f"{path}: expected axes that end in YX, got {stored} for shape {shape}"
        raise JobRefused(message)
    if sum(long) > 1:
        message = f"{path}: expected one axis besides Y and X, got {stored} of shape {shape}"
        raise JobRefused(message)
    return stored


def _data_end_bytes(stack: Stack, series: Any) -> int:  # noqa: ANN401 - tifffile has no types
    if stack.contiguous:
        return int(series.dataoffset) + stack.shape[0] * stack.frame_bytes
    end_bytes = 0
    for page in filter(None, series.pages):
        if len(page.dataoffsets) != len(page.databytecounts):
            message = f"{stack.path}: damaged TIFF: a page has {len(page.dataoffsets)} strips, but other sizes"
            raise JobRefused(message)
        strips = [*zip(page.dataoffsets, page.databytecounts, strict=True)]
        if any(0 in strip for strip in strips):
            message = f"{stack.path}: damaged TIFF: page {page.index} has a strip without bytes, read as black"
            raise JobRefused(message)
        end_bytes = max([end_bytes, *(offset + count for offset, count in strips)])
    return end_bytes
