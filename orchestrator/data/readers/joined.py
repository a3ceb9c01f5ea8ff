"""Files of one recording, one after the other: a folder, a pattern, or numbered files."""

from __future__ import annotations

import bisect
import re
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.data.readers.planes import Planes, Stored

_DIGITS = re.compile(r"(\d+)")
_NOT_TIME = {  # words before a number in a name that say what it counts, if not time
    **dict.fromkeys(("ch", "c", "channel", "w", "wavelength"), "channels"),
    **dict.fromkeys(("z", "slice", "plane"), "planes"),
    **dict.fromkeys(("pos", "p", "position", "xy", "series", "well"), "positions"),
}


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths as people count: 2 before 10."""
    return sorted(paths, key=lambda path: [(int(one), "") if one.isdigit() else (-1, one) for one in _pieces(path)])


def check_names(given: Path, paths: Sequence[Path]) -> None:
    """Refuse files that are not one recording by their names.

    Raises
    ------
    BadInput
        For names of several kinds, numbers of channels, planes or positions, and a number that is missing.
    """
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        kinds.setdefault("*".join(_pieces(path)[::2]), []).append(path)
    if len(kinds) > 1:
        shown = ", ".join(f"'{kind}' ({len(found)})" for kind, found in list(kinds.items())[:6])
        message = f"{given}: expected the files of one recording, got {len(kinds)} kinds of names: {shown}"
        raise BadInput(message, f"Give one of them as a pattern in quotes, for instance '{next(iter(kinds))}'.")
    columns = list(zip(*(_pieces(path)[1::2] for path in paths), strict=True))
    varying = [column for column, numbers in enumerate(columns) if len(set(numbers)) > 1]
    words = _pieces(paths[0])[::2]
    for column in varying:
        word = re.sub(r"[^a-z]", " ", words[column].lower()).split()
        counted = _NOT_TIME.get(word[-1]) if word and words[column][-1:].isalpha() else None
        if counted is not None:
            _refuse_lined_up(given, paths, column, counted)
    if len(varying) == 1:
        _check_gap(given, [int(number) for number in columns[varying[0]]])


class JoinedPlanes:
    """The planes of several files, joined along time.

    Parameters
    ----------
    given : Path
        As the user named them, for messages.
    parts : sequence of Planes
        In order; of the same frames, dtype and inner axes.
    """

    def __init__(self, given: Path, parts: Sequence[Planes]) -> None:
        self._parts = parts
        self._ends = list(accumulate(part.stored.planes for part in parts))
        self._last = 0
        self.stored = _joined(given, [part.stored for part in parts])

    def read(self, which: range) -> NDArray[np.generic]:
        """Read planes as an array of shape (n, Y, X)."""
        blocks = []
        for index, local in self._split(which):
            if index != self._last:
                self._parts[self._last].close()  # a recording may have more files than may be open
                self._last = index
            blocks.append(self._parts[index].read(local))
        return np.concatenate(blocks)

    def check(self) -> None:
        """Look at every part."""
        for part in self._parts:
            part.check()
            part.close()

    def close(self) -> None:
        """Close every file."""
        for part in self._parts:
            part.close()

    def _split(self, which: range) -> Iterator[tuple[int, range]]:
        start = which.start
        while start < which.stop:
            index = bisect.bisect_right(self._ends, start)
            begin = self._ends[index - 1] if index else 0
            local = range(start - begin, min(which.stop, self._ends[index]) - begin, which.step)
            yield index, local
            start += len(local) * which.step


def _joined(given: Path, all_stored: Sequence[Stored]) -> Stored:
    first = all_stored[0]
    for one in all_stored[1:]:
        same = one.frame == first.frame and one.dtype == first.dtype and one.lengths[1:] == first.lengths[1:]
        if not same:
            files = f"{first.parts[0].file.name} and {one.parts[0].file.name}"
            kinds = f"{first.shape} {first.dtype.name} and {one.shape} {one.dtype.name}"
            message = f"{given}: expected files of one recording, got {files} of different kinds: {kinds}"
            raise BadInput(message, "Give the files of one recording only, as a pattern in quotes.")
        if one.doubt is not None:
            first = replace(first, doubt=first.doubt or one.doubt)
    if first.stride(0) > 1 and first.axes[0] not in "TIQ":
        message = f"{given}: expected files that follow each other in time, got {first.shape} in each"
        raise BadInput(message, "Save the recording with time as its slowest axis.")
    planes = sum(one.planes for one in all_stored)
    return replace(
        first,
        parts=tuple(part for one in all_stored for part in one.parts),
        others=tuple(dict.fromkeys(path for one in all_stored for path in one.others)),
        lengths=(-(-planes // first.stride(0)), *first.lengths[1:]),
        axes=first.axes or "T",  # single images follow each other in time
        planes=planes,
        notes=tuple(note for one in all_stored for note in one.notes),
        header=None,
    )


def _refuse_lined_up(given: Path, paths: Sequence[Path], column: int, counted: str) -> None:
    numbers = sorted({_pieces(path)[2 * column + 1] for path in paths}, key=int)
    pieces = _pieces(paths[0])
    pattern = "".join(one if index % 2 == 0 or index == 2 * column + 1 else "*" for index, one in enumerate(pieces))
    message = f"{given}: expected files along time, got {len(numbers)} {counted} by their names: {', '.join(numbers)}"
    raise BadInput(message, f"Give those of one as a pattern in quotes, for instance '{pattern}'.")


def _check_gap(given: Path, numbers: Sequence[int]) -> None:
    for one, following in pairwise(numbers):
        if following != one + 1:
            message = f"{given}: expected files numbered {numbers[0]} to {numbers[-1]}, got none of number {one + 1}"
            raise BadInput(message, "Put the missing file back, or give the files before and after it as two movies.")


def _pieces(path: Path) -> list[str]:
    """Split a name into texts and numbers, by turns."""
    return _DIGITS.split(path.name)
