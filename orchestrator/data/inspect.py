"""Look at input movies before anything is started: whatever cannot be used is refused in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from contract.errors import JobRefused
from contract.stacks import open_stack
from orchestrator.errors import BadInput
from orchestrator.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from contract.stacks import Stack
    from orchestrator.domain import Movie

    Checked = Callable[[Path, str, Callable[[], None]], None]

_BLOCK_FRAMES = 16
_SMALLEST = 11  # pixels a side; the window of SSIM
_HINTS = (  # the first whose words are in a message is shown with it
    (
        ("NaN",),
        "Replace these values (borders left by motion correction?), crop them away, or set detector_gaps=fill.",
    ),
    (("pixels a side",), "Scores and networks need larger frames; crop less."),
    (("colour",), "Save one channel as a grey stack (T, Y, X)."),
    (("axes", "axis"), "Save one plane as a stack (T, Y, X), or name the axes with --axes, for instance ZYX."),
    (("dtype",), "Save the movie as uint16 or float32."),
    (("empty", "truncated", "decoded", "damaged"), "Copy the file again from its source and compare checksums."),
    (("",), "Check the path and the file."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of a stack without its pixels.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    dtype : str
        Name of the dtype.
    axes : str
        Axes as stored.
    mapped : bool
        Whether pixels can be reached in the file; a compressed one is decoded to disk for training.
    """

    shape: tuple[int, int, int]
    dtype: str
    axes: str
    mapped: bool

    @property
    def pixels(self) -> int:
        """Pixels of all frames."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def copy_bytes(self) -> int:
        """Disk that a decoded copy takes while training goes on; 0 where none is made."""
        return 0 if self.mapped else self.pixels * np.dtype(self.dtype).itemsize


def check_path(path: Path) -> None:
    """Refuse a path that some engine cannot mount.

    Raises
    ------
    BadInput
        For a comma (breaks mounts of Docker, Podman and Apptainer) or a colon (breaks those of Apptainer).
    """
    for character in ",:":
        if character in str(path):
            message = f"{path}: expected a path without '{character}', which container engines cannot mount"
            raise BadInput(message, "Rename or move the file; a symbolic link elsewhere will not do.")


def check_movies(
    name: str, movies: Sequence[Movie], axes: str | None, checked: Checked, *, gaps_filled: bool
) -> dict[Path, Facts]:
    """Look at every movie of a run, and at their targets.

    Parameters
    ----------
    name : str
        Of the dataset, for messages.
    movies : sequence of Movie
        Noisy stacks and their targets.
    axes : str or None
        Axes as stored, None to believe the files.
    checked : callable
        Runs a check of a file unless its content has passed it before (`Checksums.checked`).
    gaps_filled : bool
        Whether the algorithm fills NaN and infinity of noisy stacks itself.

    Returns
    -------
    dict of Path to Facts
        Of every noisy stack.

    Raises
    ------
    BadInput
        For a stack that cannot be used, one frame where a movie is expected, a target of another shape than its
        noisy stack, or stacks of different axes, a target of one grey value, or a truth that does not fit.
    """
    facts = {}
    for movie in movies:
        check_path(movie.noisy)
        facts[movie.noisy] = inspect(movie.noisy, axes, checked, gaps_filled=gaps_filled)
        if facts[movie.noisy].shape[0] == 1 and axes != "YX":
            message = f"{movie.noisy}: expected a movie of at least 2 frames, got 1"
            raise BadInput(message, "Denoisers learn from time; for single images say so with --axes YX.")
        if movie.target is not None:
            _check_target(movie.target, inspect(movie.target, axes, checked), movie, facts[movie.noisy])
            _check_structure(movie.target, axes, checked)
        if movie.truth is not None:
            read_truth(movie.truth, facts[movie.noisy].shape)
    found = {one.axes for one in facts.values()}
    if len(found) > 1:
        message = f"{name}: expected movies of the same axes, got {', '.join(sorted(found))}"
        raise BadInput(message, "Run them as separate datasets.")
    return facts


def inspect(path: Path, axes: str | None, checked: Checked, *, gaps_filled: bool = False) -> Facts:
    """Open a stack, check it, and say what it is."""
    try:
        with open_stack(path, axes) as stack:
            if stack.dtype.kind == "f" and not gaps_filled:
                checked(path, "finite", partial(_check_finite, stack))
            frames, height, width = stack.shape
            if min(height, width) < _SMALLEST:
                message = f"{path}: expected frames of at least {_SMALLEST} pixels a side, got {height} x {width}"
                raise JobRefused(message)
            shape = (frames, height, width)
            return Facts(shape=shape, dtype=stack.dtype.name, axes=stack.axes, mapped=stack.contiguous)
    except JobRefused as error:
        raise BadInput(str(error), _hint(str(error))) from error


def _check_target(path: Path, target: Facts, movie: Movie, facts: Facts) -> None:
    if target.shape != facts.shape:
        message = f"{path}: expected the shape of {movie.noisy.name}, {facts.shape}, got {target.shape}"
        raise BadInput(message, "A target has the same frames and size as its noisy movie.")


def _check_structure(path: Path, axes: str | None, checked: Checked) -> None:
    """Refuse a target of one grey value, against which no metric is defined."""

    def check() -> None:
        with open_stack(path, axes) as stack:
            blocks = stack.blocks(_BLOCK_FRAMES)
            first = next(blocks)
            value = first.flat[0]
            if (first == value).all() and all((block == value).all() for block in blocks):
                message = f"{path}: expected a target with structure, got one grey value, {value}"
                raise BadInput(message, "No metric is defined against a constant target.")

    checked(path, "structure", check)


def _check_finite(stack: Stack) -> None:
    start = 0
    for block in stack.blocks(_BLOCK_FRAMES):
        finite = np.isfinite(block).all(axis=(1, 2))
        if not finite.all():
            frame = start + int(np.argmin(finite))
            message = f"{stack.path}: expected finite values, got NaN or infinity in frame {frame}"
            raise JobRefused(message)
        start += len(block)


def _hint(message: str) -> str:
    return next(hint for words, hint in _HINTS if any(word in message for word in words))
