"""Cut a movie into blocks with a halo, so that a network sees all it needs and memory stays bounded."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.memory import give_back
from contract.pipeline import ahead, behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.predictions import Prediction
    from contract.stacks import Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One stretch of one axis, in pixels or frames.

    Parameters
    ----------
    start, stop : int
        What this block is responsible for; blocks meet without overlap.
    read_start, read_stop : int
        What must be read for it: the core and its halo, inside the axis.
    pad : int
        What must be added after `read_stop` by reflection so that the length is a multiple.
    """

    start: int
    stop: int
    read_start: int
    read_stop: int
    pad: int

    @property
    def core(self) -> slice:
        """Where the core lies in what was read."""
        return slice(self.start - self.read_start, self.stop - self.read_start)


Place = tuple[Block, Block, Block]  # along T, Y and X


def axis_blocks(length: int, core: int, halo: int, multiple: int) -> tuple[Block, ...]:
    """Cut an axis into cores with halos.

    Every block starts at a multiple of `multiple`, as a network with pooling is equivariant to such shifts only; with
    a halo at least as wide as the receptive field the result equals that of the whole axis in one piece.

    Parameters
    ----------
    length : int
        Length of the axis.
    core : int
        Length of a core; rounded up to a multiple.
    halo : int
        Context on both sides; rounded up to a multiple.
    multiple : int
        Length that the network can handle a multiple of.

    Returns
    -------
    tuple of Block
        In order; their cores cover the axis exactly.
    """
    core, halo = _round_up(core, multiple), _round_up(halo, multiple)
    blocks = []
    for start in range(0, length, core):
        stop = min(start + core, length)
        read_start, read_stop = max(0, start - halo), min(length, stop + halo)
        pad = -(read_stop - read_start) % multiple
        grown = min(pad, length - read_stop)  # real pixels before reflected ones
        blocks.append(
            Block(start=start, stop=stop, read_start=read_start, read_stop=read_stop + grown, pad=pad - grown)
        )
    return tuple(blocks)


def stream(  # noqa: PLR0913 - one axis triple each
    stack: Stack,
    prediction: Prediction,
    apply: Callable[[Any], np.ndarray | Callable[[], np.ndarray]],
    *,
    core: tuple[int, int, int],
    halo: tuple[int, int, int],
    multiple: tuple[int, int, int],
    bring: Callable[[np.ndarray], Any] | None = None,
    depth: int = 0,
) -> None:
    """Predict a movie block by block in bounded memory, from the first frame that is not written yet.

    Parameters
    ----------
    stack : Stack
        Noisy movie of shape (T, Y, X).
    prediction : Prediction
        Where every frame is written, in order.
    apply : callable
        float32 array of shape (t, y, x), each a multiple of `multiple` -> array of the same shape, intensities in the
        units of the input; or, where a device still computes it, a function that waits for it.
    core, halo, multiple : tuple of int
        For (T, Y, X), see `axis_blocks`. A core as long as the axis means no cutting along it.
    bring : callable, optional
        Makes what `apply` is given from the array, where that is more than the array; it may run on a thread.
    depth : int
        Blocks that are read ahead and written behind on threads, see `contract.pipeline`.
    """
    done = prediction.written
    times = [block for block in axis_blocks(stack.shape[0], core[0], halo[0], multiple[0]) if block.stop > done]
    rows = axis_blocks(stack.shape[1], core[1], halo[1], multiple[1])
    columns = axis_blocks(stack.shape[2], core[2], halo[2], multiple[2])

    def windows() -> Iterator[tuple[Place, Any]]:
        for time in times:
            frames = stack.frames(time.read_start, time.read_stop)
            for row, column in product(rows, columns):
                window = frames[:, row.read_start : row.read_stop, column.read_start : column.read_stop]
                padded = pad_by_reflection(window.astype(np.float32), (time.pad, row.pad, column.pad))
                yield (time, row, column), padded if bring is None else bring(padded)

    assembly = _Assembly(prediction, stack.shape, len(rows) * len(columns))
    with behind(assembly.add, depth) as hand_over:
        for place, window in ahead(windows(), depth):
            hand_over((place, apply(window)))


class _Assembly:
    """Puts blocks together, and writes the frames that are complete and not written yet."""

    def __init__(self, prediction: Prediction, shape: tuple[int, ...], blocks: int) -> None:
        self._prediction, self._shape, self._blocks = prediction, shape, blocks
        self._done = prediction.written
        self._made, self._frames = 0, np.empty((0, 0, 0), np.float32)

    def add(self, block: tuple[Place, np.ndarray | Callable[[], np.ndarray]]) -> None:
        """Wait for a block and put its core into its place."""
        (time, row, column), made = block
        window = made() if callable(made) else made
        if not self._made:
            self._frames = np.empty((time.stop - time.start, *self._shape[1:]), np.float32)
        self._frames[:, row.start : row.stop, column.start : column.stop] = window[time.core, row.core, column.core]
        self._made += 1
        if self._made == self._blocks:
            self._prediction.write(self._frames[max(0, self._done - time.start) :])
            self._made, self._frames = 0, np.empty((0, 0, 0), np.float32)
            give_back()


def pad_by_reflection(window: np.ndarray, after: tuple[int, ...]) -> np.ndarray:
    """Extend an array at the end of each axis by reflection without repeating the edge.

    Parameters
    ----------
    window : ndarray
        Array to extend.
    after : tuple of int
        What to add to each axis. An axis too short to reflect that much repeats its edge instead.

    Returns
    -------
    ndarray
        Extended copy, or `window` itself when there is nothing to add.
    """
    for axis, count in enumerate(after):
        if count:
            width = [(0, 0)] * window.ndim
            width[axis] = (0, count)
            window = np.pad(window, width, mode="reflect" if window.shape[axis] > count else "edge")
    return window


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
