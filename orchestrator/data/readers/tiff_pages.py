"""Pages of one or several TIFF files, read one by one; what tifffile reports or raises becomes one sentence."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from orchestrator.data.readers.spans import Spans
from orchestrator.errors import BadInput
from orchestrator.foreign import AGAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.data.readers.planes import Stored

_OPEN_FILES = 8  # of a recording in thousands of files
_HARMLESS = ("ImageJ series", "OME series", "shaped series", "ScanImage series", "MMStack", "NDTiff")  # counts


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What pages of a movie have in common: (Y, X), samples a pixel, dtype in native byte order, and compression."""

    frame: tuple[int, int]
    samples: int
    dtype: np.dtype
    compression: str

    def __str__(self) -> str:
        colour = f" x {self.samples} samples" if self.samples > 1 else ""
        packed = "" if self.compression == "NONE" else f" ({self.compression})"
        return f"{self.frame[0]} x {self.frame[1]}{colour} {self.dtype.name}{packed}"


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF file; nothing but its directory is read.

    Raises
    ------
    BadInput
        For a missing, empty or foreign file, and for a damaged or truncated directory.
    """
    _check_file(path)
    with ExitStack() as opened:
        with reported(path):
            # The reader of classic ScanImage files guesses where pages lie, and loses some.
            tiff = opened.enter_context(tifffile.TiffFile(path, is_scanimage=False))
            len(tiff.pages)  # walks the directory to its end
        opened.pop_all()
    return tiff


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn whatever tifffile raises, or reports of damage, into one sentence.

    Raises
    ------
    BadInput
        With the file and what was found.
    """
    logger, lines = logging.getLogger("tifffile"), []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if record.levelno >= logging.ERROR or "truncated" in text:
                lines.append(text)

    handler, propagate = Collect(level=logging.WARNING), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    except BadInput:
        raise
    except MemoryError as error:
        message = f"{path}: damaged TIFF: one page claims more pixels than memory holds"
        raise BadInput(message, AGAIN) from error
    except Exception as error:  # tifffile and codecs raise classes of their own on damaged files
        message = f"{path}: damaged, truncated or no TIFF, it cannot be read ({type(error).__name__}: {error})"
        raise BadInput(message, AGAIN) from error
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    damage = [text for text in lines if not any(word in text for word in _HARMLESS)]
    if damage:
        message = f"{path}: damaged or truncated TIFF ({damage[0]})"
        raise BadInput(message, AGAIN)


def kind_of(page: Any) -> Kind:  # noqa: ANN401 - a TiffPage or TiffFrame
    """Return what a page is like."""
    samples = int(page.samplesperpixel)
    return Kind(
        frame=(int(page.imagelength), int(page.imagewidth)),
        samples=samples,
        dtype=np.dtype(page.dtype if page.dtype is not None else "V").newbyteorder("="),
        compression=getattr(page.compression, "name", str(page.compression)),
    )


class TiffPlanes:
    """Planes that lie in pages of TIFF files, one sample of one page each.

    Parameters
    ----------
    stored : Stored
        What the files say.
    places : sequence of (int, int)
        File, by its number in `stored.parts`, and page of every page that is read, in the order of planes.
    kind : Kind
        What every page must be like.
    """

    def __init__(self, stored: Stored, places: Sequence[tuple[int, int]], kind: Kind) -> None:
        self.stored = stored
        self._places = places
        self._kind = kind
        self._open: dict[int, tifffile.TiffFile] = {}

    def read(self, which: range) -> NDArray[np.generic]:
        """Read planes as an array of shape (n, Y, X)."""
        block = np.empty((len(which), *self._kind.frame), self._kind.dtype)
        for index, plane in enumerate(which):
            page, sample = divmod(plane, self._kind.samples)
            block[index] = self._page(page)[..., sample]
        return block

    def check(self) -> None:
        """Refuse pages unlike the others, beyond the end of their file, or whose pixels lie where something else is."""
        spans: dict[Path, Spans] = {}
        for number in range(len(self._places)):
            file, index = self._places[number]
            path = self.stored.parts[file].file
            size_bytes = path.stat().st_size
            with reported(path):
                page: Any = self._tiff(file).pages.get(index, aspage=True)
                self._check_kind(path, index, page)
                strips = [*zip(page.dataoffsets, page.databytecounts, strict=True)]
                end_bytes = max((one + count for one, count in strips), default=0)
            if any(0 in strip for strip in strips):
                message = f"{path}: page {index}: expected pixels in every strip, got one without bytes, read as black"
                raise BadInput(message, AGAIN)
            if end_bytes > size_bytes or not page.dataoffsets:
                message = f"{path}: truncated: page {index} needs {end_bytes} bytes, the file has {size_bytes}"
                raise BadInput(message, AGAIN)
            spans.setdefault(path, Spans()).add(page)
        for path, known in spans.items():
            shared = known.overlap()
            if shared is not None:
                message = f"{path}: damaged TIFF: byte {shared} belongs to the pixels of a page and to something else"
                raise BadInput(message, AGAIN)

    def close(self) -> None:
        """Close every file."""
        for tiff in self._open.values():
            tiff.close()
        self._open.clear()

    def _page(self, number: int) -> NDArray[np.generic]:
        """Return a page of shape (Y, X, samples)."""
        file, index = self._places[number]
        path = self.stored.parts[file].file
        try:
            with reported(path):
                page: Any = self._tiff(file).pages.get(index, aspage=True)
                self._check_kind(path, index, page)
                pixels: NDArray[np.generic] = page.asarray()
        except BadInput as error:
            message = f"{path}: frame {index} cannot be decoded ({error.message.removeprefix(f'{path}: ')})"
            raise BadInput(message, error.hint) from error
        if self._kind.samples > 1 and pixels.shape[0] == self._kind.samples and page.planarconfig == _PLANAR:
            pixels = np.moveaxis(pixels, 0, -1)
        return pixels.reshape(*self._kind.frame, self._kind.samples)

    def _check_kind(self, path: Path, index: int, page: Any) -> None:  # noqa: ANN401 - a TiffPage or TiffFrame
        found = kind_of(page)
        if found != self._kind:
            message = f"{path}: expected pages of {self._kind}, got page {index} of {found}"
            raise BadInput(message, "Every page of a movie is alike; save it without thumbnails or other images.")

    def _tiff(self, file: int) -> tifffile.TiffFile:
        if file not in self._open:
            while len(self._open) >= _OPEN_FILES:
                self._open.pop(next(iter(self._open))).close()
            self._open[file] = open_tiff(self.stored.parts[file].file)
        return self._open[file]


class BlockPlanes:
    """Planes that lie in one block of a file, one after the other.

    Parameters
    ----------
    stored : Stored
        What the file says.
    offset_bytes : int
        Where they begin.
    dtype : numpy.dtype
        As stored, byte order included.
    others : sequence of (int, int)
        First byte and end of what else lies in the file, as far as it is known.
    """

    def __init__(
        self, stored: Stored, offset_bytes: int, dtype: np.dtype, others: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.stored = stored
        self._offset_bytes = offset_bytes
        self._dtype = dtype
        self._others = others

    def read(self, which: range) -> NDArray[np.generic]:
        """Read planes as an array of shape (n, Y, X)."""
        path, shape = self.stored.parts[0].file, (self.stored.planes, *self.stored.frame)
        pixels = np.memmap(path, self._dtype, "r", self._offset_bytes, shape)
        return np.array(pixels[which.start : which.stop : which.step], self.stored.dtype)

    def check(self) -> None:
        """Refuse a block that lies beyond the end of its file, or where something else is."""
        path, height, width = self.stored.parts[0].file, *self.stored.frame
        end_bytes = self._offset_bytes + self.stored.planes * height * width * self._dtype.itemsize
        size_bytes = path.stat().st_size
        if end_bytes > size_bytes:
            message = f"{path}: truncated: its pixels need {end_bytes} bytes, the file has {size_bytes}"
            raise BadInput(message, AGAIN)
        for start, end in self._others:
            if start < end_bytes and self._offset_bytes < end:
                message = f"{path}: damaged TIFF: byte {max(start, self._offset_bytes)} belongs to pixels and to "
                message += "something else"
                raise BadInput(message, AGAIN)

    def close(self) -> None:
        """Do nothing: a map is closed after each read."""


_PLANAR = 2  # TIFF 6.0: samples in planes of their own


def _check_file(path: Path) -> None:
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        message = f"{path}: expected a movie, got nothing ({error.strerror})"
        raise BadInput(message, "Check the path; patterns such as 'movie_*.tif' are written in quotes.") from error
    if size_bytes == 0 or not path.is_file():
        got = "an empty file" if path.is_file() else "a device or a pipe"
        message = f"{path}: expected a movie, got {got}"
        raise BadInput(message, AGAIN)
