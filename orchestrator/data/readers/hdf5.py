"""HDF5 files: a dataset of a path, or the only movie in the file; and the series of NWB files."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.data.readers.extras import imported
from orchestrator.data.readers.planes import Stored
from orchestrator.data.recording import Part, Stated
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.records import Choice

_SUFFIXES = (".h5", ".hdf5", ".hdf", ".nwb", ".mat")
_SERIES = ("TwoPhotonSeries", "OnePhotonSeries")
_UM = {"m": 1e6, "meters": 1e6, "meter": 1e6, "um": 1.0, "micrometers": 1.0, "microns": 1.0, "mm": 1e3}
_FRAME_AXES = 2
_CACHE_BYTES = 64 * 2**20
_AGAIN = "Copy the file again from its source and compare checksums."


class Hdf5Planes:
    """Frames of one dataset of an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Path of the dataset in it.
    stored : Stored
        What the file says.
    transposed : bool
        Whether its frames are stored as (X, Y).
    """

    def __init__(self, path: Path, name: str, stored: Stored, *, transposed: bool) -> None:
        self.stored = stored
        self._path = path
        self._name = name
        self._transposed = transposed
        self._file: Any = None

    def read(self, which: range) -> NDArray[np.generic]:
        """Read planes as an array of shape (n, Y, X)."""
        h5py = imported("h5py", "hdf5", self._path)
        try:
            if self._file is None:
                self._file = h5py.File(self._path, "r", rdcc_nbytes=_CACHE_BYTES)
            dataset = self._file[self._name]
            leading = dataset.shape[:-2]
            if len(leading) == 1:
                block = dataset[which.start : which.stop : which.step]
            else:
                planes = [dataset[np.unravel_index(plane, leading)] for plane in which] if leading else [dataset[()]]
                block = np.stack(planes)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            message = f"{self._path}: frames from {which.start} of {self._name} cannot be decoded ({error})"
            raise BadInput(message, _AGAIN) from error
        block = block.transpose(0, 2, 1) if self._transposed else block
        return np.ascontiguousarray(block, self.stored.dtype)

    def check(self) -> None:
        """Find nothing: HDF5 knows the shape of a dataset as a whole."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_hdf5(path: Path) -> bool:
    """Say whether a path is an HDF5 file by its name."""
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def open_movie(path: Path, choice: Choice) -> Hdf5Planes:
    """Open a movie in an HDF5 or NWB file.

    Parameters
    ----------
    path : Path
        The file.
    choice : Choice
        `inside` is the path of the dataset, or of the series; not needed where there is one only.

    Raises
    ------
    BadInput
        For a file that is no HDF5, holds no movie, or several; and for series whose pixels lie in other files.
    """
    h5py = imported("h5py", "hdf5", path)
    try:
        with h5py.File(path, "r") as file:
            series = _series(file)
            if series or "nwb_version" in file.attrs:
                return _nwb(path, file, _chosen(path, series, choice))
            found = [one for one in _datasets(file, h5py) if one.ndim > _FRAME_AXES]
            return _plain(path, file[_chosen(path, [one.name for one in found], choice)])
    except OSError as error:
        message = f"{path}: expected an HDF5 file, got one that cannot be read ({error})"
        raise BadInput(message, _AGAIN) from error


def _datasets(group: Any, h5py: Any) -> list[Any]:  # noqa: ANN401 - h5py has no types
    found: list[Any] = []

    def look(_: str, one: Any) -> None:  # noqa: ANN401
        if isinstance(one, h5py.Dataset) and one.dtype.kind in "iuf":
            found.append(one)

    group.visititems(look)
    return found


def _chosen(path: Path, names: list[str], choice: Choice) -> str:
    known = {name.strip("/"): name for name in names}
    if choice.inside is not None and choice.inside.strip("/") in known:
        return known[choice.inside.strip("/")]
    if choice.inside is None and len(names) == 1:
        return names[0]
    shown = ", ".join(known) or "none"
    asked = "one movie" if choice.inside is None else f"a movie at {choice.inside}"
    message = f"{path}: expected {asked} in the file, got {shown}"
    hint = f"Choose with --inside {next(iter(known))}." if known else "Give a file with a dataset of shape (T, Y, X)."
    raise BadInput(message, hint)


def _plain(path: Path, dataset: Any) -> Hdf5Planes:  # noqa: ANN401 - h5py has no types
    rate = dataset.attrs.get("fr", dataset.attrs.get("frame_rate"))  # CaImAn writes fr
    interval = _interval(rate, "attribute fr of the dataset")
    labels = "".join(str(one.label or "") for one in dataset.dims).upper()
    leading = dataset.shape[:-2]
    axes = labels[:-2] if labels.endswith("YX") and len(labels) == dataset.ndim else "T" if len(leading) == 1 else ""
    axes = axes or "Q" * len(leading)
    stored = _stored(path, "HDF5", dataset, axes, tuple(map(int, leading)), dataset.shape[-2:])
    return Hdf5Planes(path, dataset.name, replace(stored, interval_s=interval), transposed=False)


def _interval(rate: Any, origin: str) -> Stated[float] | None:  # noqa: ANN401 - an attribute may be anything
    try:
        number = float(rate)
    except (TypeError, ValueError):
        return None
    return Stated(value=1 / number, origin=origin) if 0 < number < math.inf else None


def _series(file: Any) -> list[str]:  # noqa: ANN401 - h5py has no types
    found: list[str] = []

    def look(_: str, one: Any) -> None:  # noqa: ANN401
        kind = one.attrs.get("neurodata_type", b"")
        if (kind.decode() if isinstance(kind, bytes) else kind) in _SERIES:
            found.append(one.name)

    file.visititems(look)
    return found


def _nwb(path: Path, file: Any, name: str) -> Hdf5Planes:  # noqa: ANN401 - h5py has no types
    series = file[name]
    if "external_file" in series:
        files = ", ".join(str(one.decode() if isinstance(one, bytes) else one) for one in series["external_file"][:3])
        message = f"{path}: expected the pixels of {name} in the file, got a reference to {files}"
        raise BadInput(message, "Give that file as --input.")
    dataset = series["data"]
    leading = tuple(map(int, dataset.shape[:1]))
    frames = (dataset.shape[2], dataset.shape[1])  # NWB stores (time, x, y[, z])
    if dataset.ndim != _FRAME_AXES + 1:
        message = f"{path}: expected {name} of shape (time, x, y), got {dataset.shape}"
        raise BadInput(message, "Save one plane as a stack (T, Y, X).")
    stored = _stored(path, "NWB", dataset, "T", leading, frames)
    interval, pixel, notes = _nwb_interval(series), _nwb_pixel(series), _nwb_notes(path, dataset)
    stored = replace(stored, interval_s=interval, pixel_um=pixel, notes=notes)
    return Hdf5Planes(path, dataset.name, stored, transposed=True)


def _nwb_interval(series: Any) -> Stated[float] | None:  # noqa: ANN401 - h5py has no types
    if "starting_time" in series:
        return _interval(series["starting_time"].attrs.get("rate"), "rate of the NWB series")
    times = series.get("timestamps")
    if times is None or len(times) <= 1 or not times[-1] > times[0]:
        return None
    return Stated(value=float(times[-1] - times[0]) / (len(times) - 1), origin="timestamps of the NWB series")


def _nwb_pixel(series: Any) -> Stated[tuple[float, float]] | None:  # noqa: ANN401 - h5py has no types
    plane = series.get("imaging_plane")
    spacing = None if plane is None else plane.get("grid_spacing")
    if spacing is None or len(spacing) < _FRAME_AXES:
        return None
    unit = spacing.attrs.get("unit", "meters")
    um = _UM.get(unit.decode() if isinstance(unit, bytes) else unit)
    x, y = (float(one) for one in spacing[:2])
    if um is None or not min(x, y) > 0:
        return None
    return Stated(value=(y * um, x * um), origin="grid_spacing of the NWB imaging plane")


def _nwb_notes(path: Path, dataset: Any) -> tuple[str, ...]:  # noqa: ANN401 - h5py has no types
    conversion, offset = float(dataset.attrs.get("conversion", 1.0)), float(dataset.attrs.get("offset", 0.0))
    if (conversion, offset) == (1.0, 0.0):
        return ()
    return (f"{path.name}: values are taken as stored; conversion {conversion:g} and offset {offset:g} are not used.",)


def _stored(  # noqa: PLR0913, PLR0917 - what a dataset is
    path: Path,
    kind: str,
    dataset: Any,  # noqa: ANN401 - h5py has no types
    axes: str,
    lengths: tuple[int, ...],
    frame: tuple[int, int],
) -> Stored:
    planes = math.prod(lengths)
    return Stored(
        format=kind,
        parts=(Part(file=path, planes=planes),),
        axes=axes,
        lengths=lengths,
        planes=planes,
        frame=(int(frame[0]), int(frame[1])),
        dtype=dataset.dtype.newbyteorder("="),
        block=int(dataset.chunks[0]) if dataset.chunks else 1,
    )
