"""OME-Zarr 0.4 and 0.5: folders of chunks with names, units and scales of their axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.headers import S_PER_UNIT, UM_PER_UNIT
from orchestrator.data.readers.extras import imported
from orchestrator.data.readers.planes import Stored
from orchestrator.data.recording import Part, Stated
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.records import Choice

_UNITS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6, **UM_PER_UNIT}
_SECONDS = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "microsecond": 1e-6, **S_PER_UNIT}
_MARKS = (".zgroup", ".zarray", "zarr.json")
_AGAIN = "Copy the folder again from its source and compare checksums."


class ZarrPlanes:
    """Frames of one array of a Zarr folder; frames are its last two axes."""

    def __init__(self, array: Any, stored: Stored) -> None:  # noqa: ANN401 - zarr is an optional package
        self.stored = stored
        self._array = array

    def read(self, which: range) -> NDArray[np.generic]:
        """Read planes as an array of shape (n, Y, X)."""
        leading = self._array.shape[:-2]
        long = [axis for axis, length in enumerate(leading) if length > 1]
        try:
            if len(long) <= 1:  # one axis of time: blocks of it, so that a chunk is decoded once
                where: list[Any] = [0] * len(leading)
                if long:
                    where[long[0]] = slice(which.start, which.stop, which.step)
                block = np.asarray(self._array[tuple(where)])
                block = block if long else block[None]
            else:
                block = self._of_one_axis(which, leading)
        except Exception as error:  # codecs raise classes of their own
            message = f"{self.stored.parts[0].file}: frames from {which.start} cannot be decoded ({error})"
            raise BadInput(message, _AGAIN) from error
        return np.ascontiguousarray(block, self.stored.dtype)

    def check(self) -> None:
        """Find nothing: a chunk that is missing is defined to hold the fill value."""

    def close(self) -> None:
        """Do nothing: chunks are opened one by one."""

    def _of_one_axis(self, which: range, leading: tuple[int, ...]) -> NDArray[np.generic]:
        first, last = (np.unravel_index(one, leading) for one in (which[0], which[-1]))
        moved = [axis for axis in range(len(leading)) if first[axis] != last[axis]]
        where: list[Any] = [int(one) for one in first]
        for axis in moved:
            where[axis] = slice(int(first[axis]), int(last[axis]) + 1)
        return np.asarray(self._array[tuple(where)]).reshape(len(which), *self._array.shape[-2:])


def is_zarr(path: Path) -> bool:
    """Say whether a folder is a Zarr group or array."""
    return any((path / mark).is_file() for mark in _MARKS)


def open_movie(path: Path, choice: Choice) -> ZarrPlanes:
    """Open the full resolution of an image of an OME-Zarr folder, or a plain Zarr array.

    Parameters
    ----------
    path : Path
        The folder.
    choice : Choice
        `inside` is the path of one of several images.

    Raises
    ------
    BadInput
        When it cannot be read, holds no image, or several.
    """
    zarr = imported("zarr", "zarr", path)
    try:
        node = zarr.open(str(path), mode="r")
        if choice.inside is not None:
            node = node[choice.inside.strip("/")]
        if isinstance(node, zarr.Array):
            return ZarrPlanes(node, _stored(path, "Zarr", node, "", ()))
        scales = _multiscales(path, node)
        array = node[scales["datasets"][0]["path"]]
        axes = [dict(one) if isinstance(one, dict) else {"name": one} for one in scales.get("axes", ())]
        kind = f"OME-Zarr {'0.5' if 'ome' in dict(node.attrs) else '0.4'}"
        return ZarrPlanes(array, _stored(path, kind, array, axes, _factors(scales, len(axes))))
    except BadInput:
        raise
    except Exception as error:  # stores and codecs raise classes of their own
        message = f"{path}: expected an OME-Zarr image, got one that cannot be read ({type(error).__name__}: {error})"
        raise BadInput(message, _AGAIN) from error


def _multiscales(path: Path, group: Any) -> dict[str, Any]:  # noqa: ANN401 - zarr is an optional package
    attrs = dict(group.attrs)
    found = attrs.get("ome", attrs).get("multiscales", [])
    if found:
        return dict(found[0])
    names = sorted(name for name, _ in group.members())
    message = f"{path}: expected an image (multiscales), got a group of {', '.join(names[:8]) or 'nothing'}"
    hint = f"Choose with --inside {names[0]}." if names else "Give the folder of an OME-Zarr image."
    raise BadInput(message, hint)


def _factors(scales: dict[str, Any], count: int) -> tuple[float, ...]:
    """Return the scale of each axis at full resolution: that of the dataset times that of the whole image."""
    factors = [1.0] * count
    transforms = [*scales["datasets"][0].get("coordinateTransformations", ())]
    transforms += scales.get("coordinateTransformations", ())
    for one in transforms:
        if one.get("type") == "scale" and count:
            factors = [known * float(new) for known, new in zip(factors, one["scale"], strict=True)]
    return tuple(factors)


def _stored(path: Path, kind: str, array: Any, axes: Any, factors: tuple[float, ...]) -> Stored:  # noqa: ANN401
    letters = "".join(str(one["name"])[:1].upper() for one in axes) if axes else "T" * (array.ndim - 2) + "YX"
    if len(letters) != array.ndim or not letters.endswith("YX"):
        message = f"{path}: expected axes that end in y and x, got {letters or 'none'} for shape {array.shape}"
        raise BadInput(message, "Save the movie as a stack (T, Y, X).")
    lengths = tuple(int(one) for one in array.shape[:-2])
    files = sorted(one for one in path.rglob("*") if one.is_file())
    planes = math.prod(lengths)
    blocks, found = int(array.nchunks), int(array.nchunks_initialized)
    note = f"{path.name}: of {blocks} blocks of pixels, {found} are there; the others read {array.fill_value}."
    units = {letters[index]: (one.get("unit"), factors[index]) for index, one in enumerate(axes)}
    return Stored(
        format=kind,
        parts=(Part(file=path, planes=planes),),
        others=tuple(files),
        axes=letters[:-2],
        lengths=lengths,
        planes=planes,
        frame=(int(array.shape[-2]), int(array.shape[-1])),
        dtype=np.dtype(array.dtype).newbyteorder("="),
        interval_s=_interval(units.get("T")),
        pixel_um=_pixel(units.get("Y"), units.get("X")),
        notes=(note,) if found < blocks else (),
        block=int(array.chunks[len(lengths) - 1]) if len(lengths) == 1 else 1,
    )


def _interval(scale: tuple[Any, float] | None) -> Stated[float] | None:
    seconds = _SECONDS.get(scale[0] or "none") if scale is not None else None
    if scale is None or seconds is None or not scale[1] > 0:
        return None
    return Stated(value=scale[1] * seconds, origin="scale of axis t")


def _pixel(*scales: tuple[Any, float] | None) -> Stated[tuple[float, float]] | None:
    found = []
    for scale in scales:
        um = _UNITS.get(scale[0] or "none") if scale is not None else None
        if scale is None or um is None or not scale[1] > 0:
            return None
        found.append(scale[1] * um)
    return Stated(value=(found[0], found[1]), origin="scale of axes y and x")
