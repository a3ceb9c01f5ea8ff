"""Which planes of a movie are its frames: only time is taken without asking, and nothing is lined up as time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.data.readers.planes import Stored
    from orchestrator.records.record import Choice

_TIME = "TIQ"  # time, and axes that tifffile gives no meaning
_NAMES = {
    "C": "channels",
    "S": "channels",
    "Z": "planes",
    "P": "positions",
    "R": "positions",
    "M": "tiles",
    "A": "angles",
    "H": "lifetimes",
    "E": "wavelengths",
}
_OPTIONS = {"C": "channel", "S": "channel", "Z": "plane"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """The planes that are frames.

    Parameters
    ----------
    planes : range
        Their numbers, in the order of time.
    axes : str
        Axes of the movie that they make, one letter for time, ending in YX.
    notes : tuple of str
        What the user should know, one sentence each.
    """

    planes: range
    axes: str
    notes: tuple[str, ...]


def choose(path: Path, stored: Stored, choice: Choice) -> Frames:
    """Choose the frames of a movie.

    Parameters
    ----------
    path : Path
        For messages.
    stored : Stored
        What the file says.
    choice : Choice
        What the user says.

    Returns
    -------
    Frames
        Every plane along time of the channel and plane that were asked for.

    Raises
    ------
    BadInput
        When more than one axis is left, with what to type.
    """
    named = _named(path, stored, choice)
    kept, first = _picked(path, named, choice)
    long = [axis for axis in kept if named.lengths[axis] > 1]
    _check_only_time(path, named, long)
    time = long[0] if long else next(iter(kept), None)
    if time is None:
        return Frames(planes=range(first, first + 1), axes="YX", notes=())
    letter, stride = named.axes[time], named.stride(time)
    end = named.planes if time == 0 else first + named.lengths[time] * stride
    notes: tuple[str, ...] = ()
    if long and letter == "Z" and choice.axes is None:
        notes = (f"{path.name}: its {named.lengths[time]} planes (Z) are taken as frames; it states no other time.",)
    return Frames(planes=range(first, end, stride), axes=f"{letter}YX", notes=notes)


def _named(path: Path, stored: Stored, choice: Choice) -> Stored:
    """Give the axes the letters that the user named, all of them or those longer than 1."""
    if choice.axes is None:
        if stored.doubt is not None:
            raise stored.doubt
        return stored
    letters = choice.axes.removesuffix("YX")
    if not choice.axes.endswith("YX") or len(set(choice.axes)) != len(choice.axes):
        message = f"--axes: expected different letters that end in YX, got {choice.axes}"
        raise BadInput(message, "For instance --axes TYX.")
    if stored.doubt is not None and len(letters) == 1:  # its metadata are in doubt: the pages as they are
        return replace(stored, axes=letters, lengths=(stored.planes,), volume=False)
    if len(letters) == len(stored.axes):
        return replace(stored, axes=letters, volume=False)
    long = [length for length in stored.lengths if length > 1]
    if len(letters) == len(long):
        return replace(stored, axes=letters, lengths=tuple(long), volume=False)
    count = len(stored.axes) + 2
    message = f"{path}: expected {count} axes, as it holds {stored.shape}, got {choice.axes}"
    raise BadInput(message, "Leave --axes out, or name every axis; `--channel` and `--plane` choose one of several.")


def _picked(path: Path, stored: Stored, choice: Choice) -> tuple[list[int], int]:
    """Return the axes that are left, and the first plane, of the channel and plane that were chosen."""
    kept, first = list(range(len(stored.axes))), 0
    for option, number in (("channel", choice.channel), ("plane", choice.plane)):
        if number is None:
            continue
        axis = _axis(stored, option)
        length = 1 if axis is None else stored.lengths[axis]
        if not 1 <= number <= length:
            message = f"{path}: expected a {option} of 1 to {length}, got --{option} {number}"
            raise BadInput(message, _choices(stored, option) if length > 1 else f"Leave --{option} out.")
        if axis is not None:
            kept.remove(axis)
            first += (number - 1) * stored.stride(axis)
    return kept, first


def _axis(stored: Stored, option: str) -> int | None:
    found = [axis for axis, letter in enumerate(stored.axes) if _OPTIONS.get(letter) == option]
    return max(found, key=lambda axis: stored.lengths[axis], default=None)


def _check_only_time(path: Path, stored: Stored, long: list[int]) -> None:
    """Refuse every axis but one of time; Z counts as time where it is the only one and the file says nothing else."""
    others = [axis for axis in long if stored.axes[axis] not in _TIME]
    if len(long) == 1 and stored.axes[long[0]] == "Z" and not stored.volume:
        return
    if not others:
        if len(long) > 1:
            message = f"{path}: expected one axis besides Y and X, got {stored.shape}"
            raise BadInput(message, "Name the axes with --axes, for instance TZYX, and choose one with --plane.")
        return
    axis = others[0]
    letter, length = stored.axes[axis], stored.lengths[axis]
    option = _OPTIONS.get(letter)
    what = f"{length} {_NAMES.get(letter, f'positions of axis {letter}')}"
    colour = "a colour image, " if letter == "S" else ""
    message = f"{path}: expected one axis besides Y and X, which is time, got {colour}{what}, {stored.shape}"
    if option is None:
        raise BadInput(message, "Save one of them as a stack (T, Y, X), or name the axes with --axes.")
    also = f" Where they are frames, --axes {_as_time(stored, axis)} says so." if len(long) == 1 else ""
    raise BadInput(message, _choices(stored, option) + also)


def _as_time(stored: Stored, axis: int) -> str:
    long = [index for index, length in enumerate(stored.lengths) if length > 1]
    return "".join("T" if index == axis else stored.axes[index] for index in long) + "YX"


def _choices(stored: Stored, option: str) -> str:
    axis = _axis(stored, option)
    count = 1 if axis is None else stored.lengths[axis]
    names = stored.channels if option == "channel" and len(stored.channels) == count else ()
    shown = [f"{number}" + (f" ({names[number - 1]})" if names else "") for number in range(1, count + 1)]
    return f"Choose with --{option} {', '.join(shown[:-1])} or {shown[-1]}."
