"""OME-Zarr 0.4 and 0.5: folders of chunks with names, units and scales of their axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from contract.headers import S_PER_UNIT, UM_PER_UNIT
from orchestrator.data.readers.extras import imported
from orchestrator.data.readers.planes import Stored
from orchestrator.data.recording import Part, Stated
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.records.record import Choice

_UNITS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6, **UM_PER_UNIT}
_SECONDS = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "microsecond": 1e-6, **S_PER_UNIT}
_NO_SCALE = ("none", 1.0)
_MARKS = (".zgroup", ".zarray", "zarr.json")
_AGAIN = "Copy the folder again from its source and compare checksums."


class _Axis(msgspec.Struct, frozen=True):
    name: str
    unit: str | None = None


class _Transform(msgspec.Struct, frozen=True):
    type: str = ""
    scale: tuple[float, ...] = ()


class _Dataset(msgspec.Struct, frozen=True, rename="camel"):
    path: str
    coordinate_transformations: tuple[_Transform, ...] = ()


class _Multiscale(msgspec.Struct, frozen=True, rename="camel"):
    """One image at several resolutions, the full one first."""

    datasets: tuple[_Dataset, ...]
    axes: tuple[_Axis | str, ...] = ()
    coordinate_transformations: tuple[_Transform, ...] = ()

    @property
    def named(self) -> tuple[_Axis, ...]:
        """Axes; version 0.3 has only their names."""
        return tuple(one if isinstance(one, _Axis) else _Axis(name=one) for one in self.axes)

    def factors(self) -> tuple[float, ...]:
        """Return the scale of each axis at full resolution: that of the dataset times that of the whole image."""
        factors = [1.0] * len(self.axes)
        for one in (*self.datasets[0].coordinate_transformations, *self.coordinate_transformations):
            if one.type == "scale" and factors:
                factors = [known * new for known, new in zip(factors, one.scale, strict=True)]
        return tuple(factors)


class _Ome(msgspec.Struct, frozen=True):
    """Attributes of a group, or of their part `ome` since version 0.5."""

    multiscales: tuple[_Multiscale, ...] = ()


class _Group(_Ome, frozen=True):
    ome: _Ome | None = None


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
            return ZarrPlanes(node, _stored(path, "Zarr", node, (), ()))
        said = msgspec.convert(dict(node.attrs), _Group)
        image = _image(path, node, said.ome or said)
        array = node[image.datasets[0].path]
        kind = f"OME-Zarr {'0.4' if said.ome is None else '0.5'}"
        return ZarrPlanes(array, _stored(path, kind, array, image.named, image.factors()))
    except BadInput:
        raise
    except Exception as error:  # stores and codecs raise classes of their own
        message = f"{path}: expected an OME-Zarr image, got one that cannot be read ({type(error).__name__}: {error})"
        raise BadInput(message, _AGAIN) from error


def _image(path: Path, group: Any, said: _Ome) -> _Multiscale:  # noqa: ANN401 - zarr is an optional package
    if said.multiscales:
        return said.multiscales[0]
    names = sorted(name for name, _ in group.members())
    message = f"{path}: expected an image (multiscales), got a group of {', '.join(names[:8]) or 'nothing'}"
    hint = f"Choose with --inside {names[0]}." if names else "Give the folder of an OME-Zarr image."
    raise BadInput(message, hint)


def _stored(
    path: Path,
    kind: str,
    array: Any,  # noqa: ANN401 - zarr is an optional package
    axes: tuple[_Axis, ...],
    factors: tuple[float, ...],
) -> Stored:
    letters = "".join(one.name[:1].upper() for one in axes) if axes else "T" * (array.ndim - 2) + "YX"
    if len(letters) != array.ndim or not letters.endswith("YX"):
        message = f"{path}: expected axes that end in y and x, got {letters or 'none'} for shape {array.shape}"
        raise BadInput(message, "Save the movie as a stack (T, Y, X).")
    lengths = tuple(int(one) for one in array.shape[:-2])
    files = sorted(one for one in path.rglob("*") if one.is_file())
    planes = math.prod(lengths)
    blocks, found = int(array.nchunks), int(array.nchunks_initialized)
    note = f"{path.name}: of {blocks} blocks of pixels, {found} are there; the others read {array.fill_value}."
    scales = {letter: (one.unit or "none", factor) for letter, one, factor in zip(letters, axes, factors, strict=False)}
    return Stored(
        format=kind,
        parts=(Part(file=path, planes=planes),),
        others=tuple(files),
        axes=letters[:-2],
        lengths=lengths,
        planes=planes,
        frame=(int(array.shape[-2]), int(array.shape[-1])),
        dtype=np.dtype(array.dtype).newbyteorder("="),
        interval_s=_interval(scales.get("T", _NO_SCALE)),
        pixel_um=_pixel(scales.get("Y", _NO_SCALE), scales.get("X", _NO_SCALE)),
        notes=(note,) if found < blocks else (),
        block=int(array.chunks[len(lengths) - 1]) if len(lengths) == 1 else 1,
    )


def _interval(scale: tuple[str, float]) -> Stated[float] | None:
    seconds = _SECONDS.get(scale[0])
    if seconds is None or not scale[1] > 0:
        return None
    return Stated(value=scale[1] * seconds, origin="scale of axis t")


def _pixel(*scales: tuple[str, float]) -> Stated[tuple[float, float]] | None:
    found = [factor * _UNITS[unit] for unit, factor in scales if unit in _UNITS and factor > 0]
    return Stated(value=(found[0], found[1]), origin="scale of axes y and x") if len(found) == len(scales) else None
