"""The binary movie of suite2p: `data.bin` beside `ops.npy`, whose pickle is read without running code."""

from __future__ import annotations

import math
import pickle
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from orchestrator.data.readers.planes import Stored
from orchestrator.data.readers.tiff_pages import BlockPlanes
from orchestrator.data.recording import Part, Stated
from orchestrator.documents import convert
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.records.record import Choice

_DTYPE = np.dtype("<i2")
_SIDECARS = ("ops.npy", "settings.npy", "db.npy")  # suite2p 1.x divides ops into these
_ALLOWED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("builtins", "slice"),
}


class _Plain(pickle.Unpickler):
    """Reads numbers, texts and arrays; a name of anything else stands for nothing, so no code of the file runs."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - classes that a pickle names
        """Return what a name of the pickle stands for."""
        return super().find_class(module, name) if (module, name) in _ALLOWED else _Nothing


class _Nothing:
    """Takes the place of objects that are not read."""

    def __init__(self, *_: object) -> None:
        """Take any arguments, and do nothing."""

    def __setstate__(self, _: object) -> None:
        """Take any state, and do nothing."""


def is_suite2p(path: Path) -> bool:
    """Say whether a path is a binary movie, or a folder with one."""
    return path.suffix.lower() == ".bin" or (path / "data.bin").is_file()


class _Ops(Struct, frozen=True):
    """What ops.npy says, under the names of suite2p, of any type."""

    Ly: Any = None
    Lx: Any = None
    fs: Any = None
    nframes: Any = None


def open_movie(path: Path, _: Choice) -> BlockPlanes:
    """Open a binary movie of suite2p.

    Parameters
    ----------
    path : Path
        `data.bin`, or its folder. Beside it lies `ops.npy` with Ly, Lx and the frame rate.

    Returns
    -------
    BlockPlanes
        As many frames as the file holds.

    Raises
    ------
    BadInput
        When the size of frames is not known, or the file does not hold whole frames.
    """
    path = path / "data.bin" if path.is_dir() else path
    sidecars = tuple(path.with_name(name) for name in _SIDECARS if path.with_name(name).is_file())
    said: dict[str, Any] = {}
    for sidecar in sidecars:
        said |= _flat(_read(sidecar))
    ops = convert(said, _Ops, path)
    height, width = ops.Ly, ops.Lx
    if not isinstance(height, int) or not isinstance(width, int) or min(height, width) < 1:
        message = f"{path}: expected Ly and Lx in ops.npy beside it, got none"
        raise BadInput(message, "Copy ops.npy of suite2p into the folder of data.bin.")
    frames, rest = divmod(path.stat().st_size, height * width * _DTYPE.itemsize)
    if rest or not frames:
        message = f"{path}: expected whole frames of {height} x {width}, got {path.stat().st_size} bytes"
        raise BadInput(message, "Copy data.bin again, and the ops.npy that was written with it.")
    rate, counted = ops.fs, ops.nframes
    note = f"{path.name}: ops.npy counts {counted} frames, the file holds {frames}; all {frames} are taken."
    known = isinstance(rate, int | float) and 0 < rate < math.inf
    stored = Stored(
        format="suite2p binary",
        parts=(Part(file=path, planes=frames),),
        others=sidecars,
        axes="T",
        lengths=(frames,),
        planes=frames,
        frame=(height, width),
        dtype=np.dtype(np.int16),
        interval_s=Stated(value=1 / float(rate), origin="fs of ops.npy") if known and rate is not None else None,
        notes=(note,) if isinstance(counted, int) and counted != frames else (),
    )
    return BlockPlanes(stored, 0, _DTYPE)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            found = _unpickled(stream)
    except Exception as error:  # a damaged pickle raises whatever it likes
        message = f"{path}: expected the settings of suite2p, got what cannot be read ({type(error).__name__})"
        raise BadInput(message, "Copy it again from the folder that suite2p wrote.") from error
    return found if isinstance(found, dict) else {}


def _unpickled(stream: IO[bytes]) -> Any:  # noqa: ANN401 - whatever the file holds
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read(stream)
    if dtype != np.dtype(object):
        return None
    found = _Plain(stream).load()
    return found.item() if isinstance(found, np.ndarray) else found


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    """Return plain numbers by name, those of nested groups included."""
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            flat |= _flat(value)
        elif isinstance(value, int | float | np.integer | np.floating):
            flat[str(name)] = int(value) if isinstance(value, int | np.integer) else float(value)
    return flat
