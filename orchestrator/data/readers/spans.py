"""Where in a TIFF file pixels and directories lie: where pixels overlap anything else, the file is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ENTRY_BYTES = {"classic": (2, 12, 4), "big": (8, 20, 8)}  # TIFF 6.0 and BigTIFF: count, one entry, next directory
_UNCOMPRESSED = 1


def directory_spans(page: Any) -> list[tuple[int, int]]:  # noqa: ANN401 - a TiffPage
    """Return first byte and end of a directory, and of each value that it keeps elsewhere."""
    count, entry, following = _ENTRY_BYTES["big" if page.parent.is_bigtiff else "classic"]
    end = page.offset + count + entry * len(page.tags) + following
    values = ((tag.valueoffset, tag.valueoffset + tag.valuebytecount) for tag in page.tags)
    return [(page.offset, end), *((start, stop) for start, stop in values if not page.offset <= start < end)]


def pixel_span(page: Any) -> tuple[int, int] | None:  # noqa: ANN401 - a TiffPage
    """Return first byte and end of the pixels of a page; None where they do not lie in one piece."""
    if not page.dataoffsets or len(page.dataoffsets) != len(page.databytecounts):
        return None
    start = min(page.dataoffsets)
    stored = sum(page.databytecounts)
    end = max(one + count for one, count in zip(page.dataoffsets, page.databytecounts, strict=True))
    if end - start != stored:
        return None
    return start, start + (min(stored, page.nbytes) if page.compression == _UNCOMPRESSED else stored)


def pages_after(tiff: Any) -> int:  # noqa: ANN401 - a TiffFile
    """Return how many more pages like its last one a file has room for, behind all that its directories name."""
    last = tiff.pages.get(len(tiff.pages) - 1, aspage=True)
    spans = [*directory_spans(tiff.pages.first), *directory_spans(last)]
    spans += [span for span in map(pixel_span, (tiff.pages.first, last)) if span is not None]
    return int((tiff.filehandle.size - max(end for _, end in spans)) // max(1, sum(last.databytecounts)))


class Spans:
    """Spans of the pages of one file."""

    def __init__(self) -> None:
        self._pixels: list[tuple[int, int]] = []
        self._others: list[tuple[int, int]] = [(0, 8)]  # the header

    def add(self, page: Any) -> None:  # noqa: ANN401 - a TiffPage
        """Take note of a page."""
        self._others += directory_spans(page)
        pixels = pixel_span(page)
        if pixels is not None:
            self._pixels.append(pixels)

    def overlap(self) -> int | None:
        """Return the first byte that belongs to pixels and to something else; None where there is none.

        Pages that share all their pixels are no damage.
        """
        pixels = np.unique(np.array(self._pixels, np.int64).reshape(-1, 2), axis=0)
        others = np.array(self._others, np.int64)
        both = np.concatenate([pixels, others])
        is_pixels = np.arange(len(both)) < len(pixels)
        order = np.argsort(both[:, 0], kind="stable")
        starts, ends, is_pixels = both[order, 0], both[order, 1], is_pixels[order]
        wrong = starts < _end_before(np.where(is_pixels, ends, 0))
        wrong |= is_pixels & (starts < _end_before(np.where(is_pixels, 0, ends)))
        return int(starts[wrong][0]) if wrong.any() else None


def _end_before(ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the largest of the ends before each one."""
    return np.concatenate([[0], np.maximum.accumulate(ends)[:-1]])
