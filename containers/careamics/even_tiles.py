"""Tiles of movies in which every part of a frame comes equally often, as prediction sees it; no framework is needed.

Windows at random places see more of the middle of frames than of their border, and no border at all where what the cut
reaches is left out. A mean over such windows is not that of the movie: borders are darker as a rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from contract.blocks import Block, axis_blocks, pad_by_reflection

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST = 8  # tiles
_CORE = 64  # pixels of a tile that count along a side, at least


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """What a network needs around what counts.

    Parameters
    ----------
    depth : int
        Frames of a training patch as the network sees it, 1 for a network of single frames.
    side : int
        Rows and columns of a training patch, pixels.
    halo, multiple : int
        Context each way, and what lengths must be a multiple of.
    frames_of_one : int
        Frames of the movie for one that the network sees: 2 where pairs are taken.
    """

    depth: int
    side: int
    halo: int
    multiple: int
    frames_of_one: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A part of a movie: its number, and what is read along T (in frames that the network sees), Y and X."""

    movie: int
    time: Block
    row: Block
    column: Block

    @property
    def core(self) -> tuple[slice, slice, slice]:
        """Where what counts lies in what the network sees."""
        return self.time.core, self.row.core, self.column.core

    def cut(self, movies: Sequence[np.ndarray], frames_of_one: int = 1) -> np.ndarray:
        """Return what is read, (t, y, x), continued by reflection where a frame ends before a multiple."""
        frames = movies[self.movie][self.time.read_start * frames_of_one : self.time.read_stop * frames_of_one]
        window = frames[:, self.row.read_start : self.row.read_stop, self.column.read_start : self.column.read_stop]
        return pad_by_reflection(window, (self.time.pad * frames_of_one, self.row.pad, self.column.pad))


def even_tiles(movies: Sequence[np.ndarray], reach: Reach, pixels: int, rng: np.random.Generator) -> list[Tile]:
    """Choose tiles of about so many pixels in all, those around what counts among them.

    All there are where these are few; else every part of a frame equally often at random times, where there are pixels
    for all of them, and parts at random where there are not.
    """
    cut = [_blocks(movie.shape, reach) for movie in movies]
    weights = np.array([len(times) * len(places) for times, places in cut])
    times, places = cut[int(np.argmax(weights))]
    count = max(_LEAST, pixels // (max(map(_read, times)) * max(_read(row) * _read(column) for row, column in places)))
    if weights.sum() <= 2 * count:
        return [
            Tile(movie=number, time=time, row=row, column=column)
            for number, (times, places) in enumerate(cut)
            for time, (row, column) in product(times, places)
        ]
    if len(places) <= 2 * count:
        count = -(-count // len(places)) * len(places)
    turns = [rng.permutation(len(places)) for _, places in cut]
    chosen = []
    for number in range(count):
        which = int(rng.choice(len(cut), p=weights / weights.sum()))
        times, places = cut[which]
        row, column = places[turns[which][number % len(places)]]
        chosen.append(Tile(movie=which, time=times[int(rng.integers(len(times)))], row=row, column=column))
    return chosen


def _blocks(shape: tuple[int, ...], reach: Reach) -> tuple[tuple[Block, ...], list[tuple[Block, Block]]]:
    length = shape[0] // reach.frames_of_one
    deep = reach.depth > 1
    times = axis_blocks(length, 2 * reach.depth, reach.halo, reach.multiple) if deep else axis_blocks(length, 1, 0, 1)
    rows, columns = (axis_blocks(side, max(_CORE, reach.side), reach.halo, reach.multiple) for side in shape[1:])
    return times, list(product(rows, columns))


def _read(block: Block) -> int:
    return block.read_stop - block.read_start
