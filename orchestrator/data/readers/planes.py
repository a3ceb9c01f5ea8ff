"""What every reader gives: the planes of a movie along named axes, read a few at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from contract.headers import Header
    from orchestrator.data.recording import Part, Stated
    from orchestrator.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What a file, or a set of files, says of the movie in it.

    Parameters
    ----------
    format : str
        Name of the format, for people.
    parts : tuple of Part
        Files with pixels, in the order of planes.
    others : tuple of Path
        Files with metadata alone.
    axes : str
        Letters of the axes before Y and X, the slowest first: T time, Z plane, C channel, S sample of a colour image,
        I and Q without a meaning.
    lengths : tuple of int
        Their lengths. The last volume of a recording may be incomplete, so the product may exceed `planes`.
    planes : int
        Planes that there are.
    frame : tuple of int
        (Y, X).
    dtype : numpy.dtype
        In native byte order.
    channels : tuple of str
        Names of the channels; may be empty.
    volume : bool
        Whether the file says that Z is depth.
    interval_s : Stated or None
        Time from one position of the first axis of time to the next.
    pixel_um : Stated or None
        Height and width of a pixel.
    notes : tuple of str
        What the user should know, one sentence each.
    doubt : BadInput or None
        Why the movie is refused unless the user names its axes.
    header : Header or None
        What of the file's own metadata its copy keeps; None where a new header says the same.
    image : int
        Which image of an OME-XML it is.
    block : int
        Planes that are stored together, and best read together.
    """

    format: str
    parts: tuple[Part, ...]
    axes: str
    lengths: tuple[int, ...]
    planes: int
    frame: tuple[int, int]
    dtype: np.dtype
    others: tuple[Path, ...] = ()
    channels: tuple[str, ...] = ()
    volume: bool = False
    interval_s: Stated[float] | None = None
    pixel_um: Stated[tuple[float, float]] | None = None
    notes: tuple[str, ...] = ()
    doubt: BadInput | None = None
    header: Header | None = None
    image: int = 0
    block: int = 1

    @property
    def shape(self) -> str:
        """Axes and shape in words, Y and X included."""
        return f"{self.axes}YX of shape {(*self.lengths, *self.frame)}"

    def stride(self, axis: int) -> int:
        """Return how many planes lie from one position of an axis to the next."""
        return math.prod(self.lengths[axis + 1 :])


def squeezed(axes: str, lengths: tuple[int, ...], keep: str = "") -> tuple[str, tuple[int, ...]]:
    """Leave out axes of length 1, but for those to keep; T stays where none is longer."""
    long = [(letter, n) for letter, n in zip(axes, lengths, strict=True) if n > 1 or letter in keep]
    if not long:
        return "T", (1,)
    return "".join(letter for letter, _ in long), tuple(n for _, n in long)


class Planes(Protocol):
    """An open movie."""

    @property
    def stored(self) -> Stored:
        """What it says of itself."""

    def read(self, which: range) -> NDArray[np.generic]:
        """Read planes, numbered in the order of the axes, as an array of shape (n, Y, X).

        Raises
        ------
        BadInput
            When a plane cannot be read.
        """

    def check(self) -> None:
        """Look at what opening did not: whether every page is like the others and within its file.

        Raises
        ------
        BadInput
            With the first that is not.
        """

    def close(self) -> None:
        """Close every file; the next read opens them again."""
