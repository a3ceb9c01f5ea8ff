"""Movies without the faults of their detector: found, named, hidden from the algorithm, and put back if asked for.

An algorithm is given a copy of a movie with faults, so none of its normalisation, masks, losses and inputs knows them;
a movie without faults is given as it is. What takes their place is noise like that of the neighbours: values of sound
pixels beside, or of the same pixel two frames away, so that no two neighbouring frames share their noise.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from contract.detector import block_frames, find_faults
from contract.figures import Curve, Figure, add_figures
from contract.predictions import open_prediction
from contract.stacks import open_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contract.detector import Faults
    from contract.events import Events
    from contract.job import Job
    from contract.stacks import Stack

PARAMS = ("detector", "detector_gaps", "detector_back")
"""Names of the parameters that are meant for this module."""

_AWAY = (-2, 2, -4, 4, -1, 1)  # frames away that a value is taken from, in this order
_DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
_TURN, _STEP = 7919, 104_729  # primes: which of its neighbours a pixel takes changes from frame to frame


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """A movie with faults, what they are, and where a copy without them lies."""

    original: Path
    copy: Path
    faults: Faults


@contextmanager
def without_faults(job: Job, events: Events) -> Iterator[Job]:
    """Give a job whose movies have no faults of the detector.

    Parameters
    ----------
    job : Job
        Its parameters say what to do: `detector` is "repair", "named" or "ignored" (as without such a parameter),
        `detector_gaps` "refuse" or "fill" (NaN is a fault), `detector_back` "predicted" or "input".
    events : Events
        Gets a message for every movie with faults.

    Yields
    ------
    Job
        The same but for its inputs, and without these parameters, which no algorithm needs to know. Copies lie in the
        folder of the job as long as the block lasts.
    """
    mode = job.params.get("detector", "ignored")
    own = replace(job, params={name: value for name, value in job.params.items() if name not in PARAMS})
    if mode == "ignored":
        yield own
        return
    found = _faulty(job)
    hidden = mode == "repair"
    for one in found:
        after = "hidden from the network, filled from neighbours" if hidden else "named only, as detector asks"
        events.message(f"{one.original.name}: faults of the detector ({after}): {one.faults.sentence()}")
    try:
        yield _with_copies(own, found) if hidden else own
        if hidden and job.command == "predict" and job.params["detector_back"] == "input":
            _put_back(job, found)
    finally:
        shutil.rmtree(job.folder / "repaired", ignore_errors=True)
    if found:
        add_figures(job, [_figure(one) for one in found])


def _faulty(job: Job) -> list[_Found]:
    found = []
    inputs = job.inputs
    for number, path in enumerate(dict.fromkeys((*inputs.train, *inputs.val, *inputs.noisy))):
        with open_stack(path, job.axes) as stack:
            faults = find_faults(stack, gaps=job.params["detector_gaps"] == "fill")
        if faults:
            copy = job.folder / "repaired" / f"{number:04d}" / path.name
            found.append(_Found(original=path, copy=copy, faults=faults))
    return found


def _with_copies(job: Job, found: list[_Found]) -> Job:
    copies = {one.original: one.copy for one in found}
    for one in found:
        one.copy.parent.mkdir(parents=True, exist_ok=True)
        with open_stack(one.original, job.axes) as stack, open_prediction(one.copy, stack, "input") as copy:
            for frame in repaired(stack, one.faults):
                copy.write(frame)
    parts = ("train", "val", "noisy")
    given = {part: tuple(copies.get(path, path) for path in getattr(job.inputs, part)) for part in parts}
    return replace(job, inputs=replace(job.inputs, **given))


def repaired(stack: Stack, faults: Faults) -> Iterator[np.ndarray]:
    """Yield the frames of a movie with their faults filled from neighbours.

    Parameters
    ----------
    stack : Stack
        Movie.
    faults : Faults
        What was found in it.

    Yields
    ------
    ndarray of shape (Y, X)
        One frame after the other, in the dtype of the file.
    """
    fill = _Fill(stack, faults)
    for start in range(0, stack.shape[0], block_frames(stack)):
        block = stack.frames(start, min(start + block_frames(stack), stack.shape[0]))
        for place, values in enumerate(block):
            yield fill.frame(start + place, values)


class _Fill:
    """Fill frames: what is wrong in one frame from frames nearby, what is always wrong from pixels nearby."""

    def __init__(self, stack: Stack, faults: Faults) -> None:
        self._stack, self._faults = stack, faults
        self._always, self._dark = faults.always, faults.dark

    def frame(self, number: int, values: np.ndarray) -> np.ndarray:
        if self._dark[number]:
            number = self._light(number)
            values = self._stack.frames(number, number + 1)[0]
        made = values.copy()
        left = self._faults.at(number, values) & ~self._always
        for away in _AWAY if left.any() else ():
            other = number + away
            if not 0 <= other < len(self._dark) or self._dark[other]:
                continue
            donor = self._stack.frames(other, other + 1)[0]
            take = left & ~self._faults.at(other, donor)
            made[take] = donor[take]
            left &= ~take
        if left.any():
            self._fill_beside(made, _Beside(left | self._always), number)
        elif self._always.any():
            self._fill_beside(made, self._beside, number)
        return made

    @cached_property
    def _beside(self) -> _Beside:
        return _Beside(self._always)

    def _light(self, number: int) -> int:
        """Return the nearest frame with light, at an even distance if there is one within reach."""
        light = np.flatnonzero(~self._dark)
        if not light.size:
            return number
        distance = np.abs(light - number)
        return int(light[np.argmin(distance + (distance % 2) * 8)])

    @staticmethod
    def _fill_beside(made: np.ndarray, beside: _Beside, number: int) -> None:
        made[beside.wrong[:, 0], beside.wrong[:, 1]] = made[beside.donors(number)]


class _Beside:
    """For each wrong pixel the nearest sound ones in eight directions."""

    def __init__(self, wrong: np.ndarray) -> None:
        self.wrong = np.argwhere(wrong)
        distance = np.full((len(self.wrong), len(_DIRECTIONS)), max(wrong.shape))
        for slot, direction in enumerate(_DIRECTIONS):
            for step in range(max(wrong.shape) - 1, 0, -1):
                there = self.wrong + step * np.array(direction)
                inside = ((there >= 0) & (there < wrong.shape)).all(axis=1)
                sound = inside.copy()
                sound[inside] = ~wrong[tuple(there[inside].T)]
                distance[sound, slot] = step
        near = distance <= 1.5 * distance.min(axis=1, keepdims=True)
        self._order = np.argsort(~near, axis=1, kind="stable")
        self._count = np.count_nonzero(near, axis=1)
        self._distance = np.where(distance < max(wrong.shape), distance, 0)

    def donors(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return y and x of the pixel that each wrong one takes its value from in a frame."""
        rows = np.arange(len(self.wrong))
        slot = self._order[rows, (_TURN * number + _STEP * rows) % self._count]
        there = self.wrong + self._distance[rows, slot, None] * np.array(_DIRECTIONS)[slot]
        return there[:, 0], there[:, 1]


def _put_back(job: Job, found: list[_Found]) -> None:
    """Write what the input holds at the faults into the predictions."""
    for one in found:
        always, dark = one.faults.always, one.faults.dark
        mapped = tifffile.memmap(job.predictions / one.original.name, mode="r+")
        prediction = mapped.reshape(one.faults.shape)
        with open_stack(one.original, job.axes) as stack:
            for start in range(0, len(dark), block_frames(stack)):
                for number, values in enumerate(
                    stack.frames(start, min(start + block_frames(stack), len(dark))), start
                ):
                    wrong = always | dark[number] | one.faults.at(number, values)
                    prediction[number][wrong] = values[wrong]
        mapped.flush()


def _figure(found: _Found) -> Figure:
    """Draw where in the frame the faults lie; those of whole lines and frames are in the note."""
    places = {f"{kind} pixels": where for kind, where in found.faults.pixels.items()}
    places |= {"cosmic rays": found.faults.strikes[:, 1:]}
    return Figure(
        title=f"Faults of the detector in {found.original.name}",
        note=found.faults.sentence() + ".",
        x="x (pixels)",
        y="y (pixels)",
        curves=[
            Curve(name=name, kind="points", x=where[:, 1].tolist(), y=where[:, 0].tolist())
            for name, where in places.items()
            if len(where)
        ],
    )
