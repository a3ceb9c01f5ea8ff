"""What a detector does wrong: pixels, frames, lines and single values of a movie that say nothing about the specimen.

Found in two passes with a few images in memory. Every rule asks for far more than noise, activity or an edge can do,
so a movie without faults has none here; what is not found is too small to matter for a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.stacks import Stack

Kind = Literal["saturated", "stuck", "dead", "hot", "flickering", "without a value"]
_BLOCK_PIXELS, _MOST_FRAMES = 1 << 22, 16  # read at a time
_LEAST_FRAMES, _LEAST_SIDE = 12, 8  # below, nothing can be told apart
_NEARLY = 0.02  # of the frames, in which a pixel that never changes may do so, as where a line is dropped
_LEAST_CHANGES, _CHANGING = 20, 0.3  # of three in four of its neighbours; share of the frames
_LIMITS = tuple(2**bits - 1 for bits in (8, 10, 11, 12, 13, 14, 15, 16))  # what a detector can count to
_HALF = 0.5  # of the frames at the limit, of the neighbours sound, of the frames without a value
_ALONE = 0.15  # of the excess of a hot pixel, what its neighbours may have of it: optics spread light further
_OUTSHINES = 30.0  # robust standard deviations of the image
_STRIKE, _TIMES = 25.0, 3.0  # times the mean change around, and the largest change of other pixels; a cosmic ray
_STRIKE_PIXELS = 6  # that it may light up in 5 x 5 pixels; an event in a cell lights up more
_JUMP = 8.0  # robust standard deviations of the changes of the mean from frame to frame
_DARK, _DIM = 0.35, 0.6  # of the contrast of other frames: closed shutter, half open shutter
_SHUTTER_FRAMES = 5
_LINE_CHANCE, _LINES_SOUND = (
    40.0,
    0.8,
)  # a line is constant by chance of e**-40; share of the lines of its frame that are not
_TOO_MANY = 1e-3  # of all values struck: then it is the specimen


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Faults:
    """What was found in a movie of shape (T, Y, X).

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    pixels : dict of Kind to ndarray of shape (n, 2), int
        y and x of the pixels that are wrong in every frame.
    black, shutter : ndarray of int
        Frames without light, and first frames with less of it.
    lines : ndarray of shape (n, 2), int
        Frame and row of lines that were dropped.
    strikes : ndarray of shape (n, 3), int
        Frame, y and x of cosmic rays.
    gaps : int
        Frames that hold NaN or infinity elsewhere than in pixels without a value.
    """

    shape: tuple[int, ...]
    pixels: dict[Kind, np.ndarray]
    black: np.ndarray
    shutter: np.ndarray
    lines: np.ndarray
    strikes: np.ndarray
    gaps: int

    def __bool__(self) -> bool:
        return bool(self.parts())

    @property
    def always(self) -> np.ndarray:
        """Pixels that are wrong in every frame: ndarray of shape (Y, X), bool."""
        mask = np.zeros(self.shape[1:], bool)
        for places in self.pixels.values():
            mask[places[:, 0], places[:, 1]] = True
        return mask

    @property
    def dark(self) -> np.ndarray:
        """Frames that are wrong as a whole: ndarray of shape (T,), bool."""
        mask = np.zeros(self.shape[0], bool)
        mask[self.black] = mask[self.shutter] = True
        return mask

    def at(self, frame: int, values: np.ndarray) -> np.ndarray:
        """Return what is wrong in one frame alone, ndarray of shape (Y, X), bool, given its values."""
        mask: np.ndarray = ~np.isfinite(values)
        mask[self.lines[self.lines[:, 0] == frame, 1]] = True
        y, x = self.strikes[self.strikes[:, 0] == frame, 1:].T
        mask[y, x] = True
        return mask

    def parts(self) -> dict[str, np.ndarray]:
        """Return each kind of fault that was found, in words, with its places."""
        found = {f"{kind} pixels (y, x)": places for kind, places in self.pixels.items()}
        found |= {"black frames": self.black, "first frames of a shutter": self.shutter}
        found |= {"dropped lines (frame, y)": self.lines, "cosmic rays (frame, y, x)": self.strikes}
        found |= {"frames with gaps": np.arange(self.gaps)}
        return {name: places for name, places in found.items() if len(places)}

    def sentence(self) -> str:
        """Name every kind with how often it was found and the first places."""
        return "; ".join(f"{len(places)} {name}{_listed(name, places)}" for name, places in self.parts().items())


def _listed(name: str, places: np.ndarray) -> str:
    if name == "frames with gaps":
        return ""
    shown = ", ".join(str(tuple(one.tolist()) if one.ndim else int(one)) for one in places[:5])
    return f": {shown}{', ...' if len(places) > 5 else ''}"  # noqa: PLR2004 - as many as are shown


def find_faults(stack: Stack, *, gaps: bool) -> Faults:
    """Look for faults.

    Parameters
    ----------
    stack : Stack
        Movie; read twice.
    gaps : bool
        Whether values that are not finite are a fault to be filled. Otherwise a movie with such values has none, and
        the algorithm refuses it.

    Returns
    -------
    Faults
    """
    tallies = _Tallies(stack)
    for block in stack.blocks(block_frames(stack)):
        tallies.add(block)
    if (stack.shape[0] < _LEAST_FRAMES or min(stack.shape[1:]) < _LEAST_SIDE) or (tallies.lost.any() and not gaps):
        return _faults(stack, {}, np.empty(0, int), np.empty(0, int), np.empty((0, 2), int), np.empty((0, 3), int), 0)
    pixels = _pixels(tallies, stack)
    wrong = np.zeros(stack.shape[1:], bool)
    for places in pixels.values():
        wrong[places[:, 0], places[:, 1]] = True
    strikes, light = _strikes(stack, tallies, wrong)
    black, shutter = _dark_frames(light)
    lines = _lines(tallies, black)
    gaps_left = int(tallies.frames_lost(wrong)) if gaps else 0
    return _faults(stack, pixels, black, shutter, lines, strikes, gaps_left)


def block_frames(stack: Stack) -> int:
    """Return how many frames to read at a time."""
    return int(np.clip(_BLOCK_PIXELS // (stack.shape[1] * stack.shape[2]), 1, _MOST_FRAMES))


def _faults(  # noqa: PLR0913, PLR0917 - one argument per field
    stack: Stack,
    pixels: dict[Kind, np.ndarray],
    black: np.ndarray,
    shutter: np.ndarray,
    lines: np.ndarray,
    strikes: np.ndarray,
    gaps: int,
) -> Faults:
    return Faults(
        shape=stack.shape, pixels=pixels, black=black, shutter=shutter, lines=lines, strikes=strikes, gaps=gaps
    )


class _Tallies:
    """Sums over all frames at every pixel, and a few numbers of every frame; values that are not finite count as 0."""

    def __init__(self, stack: Stack) -> None:
        count, *shape = stack.shape
        self.sum, self.jumps, self._largest = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.changes, self.at_top, self.lost = (np.zeros(shape, np.int32) for _ in range(3))
        self.flat = np.zeros((count, shape[0]), bool)
        self.frames, self._top = 0, -np.inf
        self._last: np.ndarray | None = None

    def add(self, block: np.ndarray) -> None:
        for values in block:
            frame = values.astype(np.float64)
            finite = np.isfinite(frame)
            if not finite.all():
                self.lost += ~finite
                frame[~finite] = 0
            self.sum += frame
            self._limit(frame)
            self.flat[self.frames] = (frame == frame[:, :1]).all(axis=1) & finite.all(axis=1)
            if self._last is not None:
                jump = np.abs(frame - self._last)
                self.jumps += jump
                np.maximum(self._largest, jump, out=self._largest)
                self.changes += jump > 0
            self._last = frame
            self.frames += 1

    def _limit(self, frame: np.ndarray) -> None:
        top = float(frame.max())
        if top > self._top:
            self._top = top
            self.at_top[:] = 0
        self.at_top += frame == self._top

    @property
    def noise(self) -> np.ndarray:
        """Mean change from frame to frame without that into a single outlier and back: (Y, X)."""
        noise: np.ndarray = np.maximum(self.jumps - 2 * self._largest, 0) / max(1, self.frames - 3)
        return noise

    @property
    def largest_usual_jump(self) -> float:
        """Three times the largest change from frame to frame in all but the wildest hundredth of the pixels."""
        return _TIMES * float(np.quantile(self._largest, 0.99))

    @property
    def saturated(self) -> np.ndarray:
        """Pixels that are at the end of the range of the detector in half of the frames."""
        return (self.at_top > _HALF * self.frames) & (self._top in _LIMITS)

    @property
    def missing(self) -> np.ndarray:
        """Pixels that have no value in half of the frames."""
        return self.lost > _HALF * self.frames

    def frames_lost(self, wrong: np.ndarray) -> int:
        """Return how many frames lack values elsewhere; at least so many as the pixel that lacks most."""
        return int(self.lost[~wrong].max(initial=0))


def _pixels(tallies: _Tallies, stack: Stack) -> dict[Kind, np.ndarray]:
    mean, noise = tallies.sum / tallies.frames, tallies.noise
    around, noise_around = _around(mean), _around(noise)
    lively = _around(tallies.changes.astype(np.float64), 0.25) >= max(_LEAST_CHANGES, _CHANGING * tallies.frames)
    still = (tallies.changes <= _NEARLY * tallies.frames) & lively & ~_border(tallies.changes == 0)
    least = tallies.largest_usual_jump / np.sqrt(tallies.frames)
    integer = stack.dtype.kind in "iu"
    masks: dict[Kind, np.ndarray] = {
        "without a value": tallies.missing,
        "saturated": tallies.saturated & integer,
        "dead": still & (mean < around),
        "stuck": still,
        "flickering": _outshines(noise, noise_around, least),
        "hot": _outshines(mean, around, least),
    }
    found, seen = {}, np.zeros(mean.shape, bool)
    every: np.ndarray = np.asarray(sum(masks.values()), bool)
    alone = _share_around(~every) >= _HALF
    for kind, mask in masks.items():
        new = mask & ~seen & (alone | (kind == "without a value"))
        seen |= new
        if new.any():
            found[kind] = np.argwhere(new)
    return found


def _border(constant: np.ndarray) -> np.ndarray:
    """Return rows and columns at the edges that never change throughout, as motion correction leaves them."""
    border = np.zeros(constant.shape, bool)
    for view, lines in ((border, np.all(constant, axis=1)), (border.T, np.all(constant, axis=0))):
        view[np.logical_and.accumulate(lines)] = True
        view[np.logical_and.accumulate(lines[::-1])[::-1]] = True
    return border


def _outshines(image: np.ndarray, around: np.ndarray, least: float) -> np.ndarray:
    """Return pixels that stand out of their neighbours by more than the whole image spans, and alone."""
    excess = image - around
    spread = 1.4826 * np.median(np.abs(excess - np.median(excess)))
    low, high = np.quantile(image, (0.005, 0.995))
    strong: np.ndarray = excess > max(_OUTSHINES * spread, high - low, least)
    y, x = np.nonzero(strong)
    padded = np.pad(image, 1, mode="edge")
    beside = np.stack([padded[y + dy + 1, x + dx + 1] for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))])
    second = np.sort(beside, axis=0)[-2] if y.size else np.empty(0)
    strong[y, x] = second - around[y, x] < _ALONE * excess[y, x]
    return strong


def _around(image: np.ndarray, quantile: float = 0.5) -> np.ndarray:
    """Return a quantile of the 24 pixels around each pixel, edges reflected."""
    padded = np.pad(image, 2, mode="reflect")
    rows, columns = image.shape
    shifts = [(dy, dx) for dy in range(5) for dx in range(5) if (dy, dx) != (2, 2)]
    sides: np.ndarray = np.stack([padded[dy : dy + rows, dx : dx + columns] for dy, dx in shifts])
    place = int(quantile * (len(shifts) - 1))
    lower: np.ndarray = np.partition(sides, place, axis=0)[place]
    return lower


def _share_around(sound: np.ndarray) -> np.ndarray:
    """Return the share of sound pixels in 7 x 7."""
    padded = np.pad(sound.astype(np.float64), 3, mode="reflect")
    share: np.ndarray = np.lib.stride_tricks.sliding_window_view(padded, (7, 7)).mean(axis=(2, 3))
    return share


def _dark_frames(light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frames without light, and first frames with less of it than those that follow, given `_strikes`."""
    means, contrast = light[0], light[1] / max(float(np.median(light[1])), 1e-12)
    usual = 1.4826 * float(np.median(np.abs(np.diff(means)))) / np.sqrt(2)
    low = means < np.median(means) - _JUMP * usual
    black = low & (contrast < _DARK)
    shutter = []
    for frame in range(_SHUTTER_FRAMES):
        later = float(np.median(means[frame + 1 : frame + 21]))
        if not (means[frame] < later - _JUMP * usual and contrast[frame] < _DIM):
            break
        shutter.append(frame)
    black[shutter] = False
    return np.flatnonzero(black), np.array(shutter, int)


def _lines(tallies: _Tallies, black: np.ndarray) -> np.ndarray:
    """Return frame and row of lines that are the same value throughout, which noise alone would not let them be."""
    changing = tallies.changes / max(1, tallies.frames - 1)
    lively = -np.log1p(-changing / 2).sum(axis=1) >= _LINE_CHANCE
    flat = tallies.flat & lively
    most = (1 - _LINES_SOUND) * int(np.count_nonzero(lively))
    sound = np.count_nonzero(flat, axis=1) <= most
    sound[black] = False
    return np.argwhere(flat & sound[:, None])


def _strikes(stack: Stack, tallies: _Tallies, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frame, y and x of values far above those before, after and around them; mean and contrast of each frame.

    Returns
    -------
    strikes : ndarray of shape (n, 3), int
        None where there are so many that the specimen must be the cause.
    light : ndarray of shape (2, T)
        Mean and standard deviation over the pixels that are not wrong.
    """
    limit = np.maximum(_STRIKE * _largest_around(np.where(wrong, 0, tallies.noise)), tallies.largest_usual_jump)
    limit[wrong] = np.inf
    sound, many = ~wrong, _TOO_MANY * wrong.size * stack.shape[0]
    light, found, count = np.zeros((2, stack.shape[0])), [np.empty((0, 3), int)], 0
    for number, frame, excess in _excesses(stack):
        light[:, number] = np.mean(frame, where=sound), np.std(frame, where=sound)
        struck = excess > limit
        if count <= many and struck.any():
            lit = _alone(excess, np.argwhere(struck))
            count += len(lit)
            found.append(np.column_stack([np.full(len(lit), number), lit]))
    return np.concatenate(found if count <= many else found[:1]), light


def _excesses(stack: Stack) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield number and values of every frame, and how far they lie above the larger of those before and after."""
    length, size = stack.shape[0], block_frames(stack)
    for start in range(0, length, size):
        first, last = max(0, start - 1), min(length, start + size + 1)
        frames = np.nan_to_num(stack.frames(first, last).astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        for frame in range(start, min(start + size, length)):
            beside = [frames[near - first] for near in (frame - 1, frame + 1) if 0 <= near < length]
            yield frame, frames[frame - first], frames[frame - first] - np.max(beside, axis=0)


def _alone(excess: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the places around which few pixels are lit up with them."""
    kept = []
    for y, x in places:
        window = excess[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        if np.count_nonzero(window > 0.3 * excess[y, x]) <= _STRIKE_PIXELS:
            kept.append((y, x))
    return np.array(kept, int).reshape(-1, 2)


def _largest_around(image: np.ndarray) -> np.ndarray:
    padded = np.pad(image, 1, mode="edge")
    rows, columns = image.shape
    largest: np.ndarray = np.max(
        [padded[dy : dy + rows, dx : dx + columns] for dy in range(3) for dx in range(3)], axis=0
    )
    return largest
