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
from orchestrator.foreign import AGAIN, reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.records.record import Choice

_SUFFIXES = (".h5", ".hdf5", ".hdf", ".nwb", ".mat")
_SERIES = ("TwoPhotonSeries", "OnePhotonSeries")
_UM = {"m": 1e6, "meters": 1e6, "meter": 1e6, "um": 1.0, "micrometers": 1.0, "microns": 1.0, "mm": 1e3}
_FRAME_AXES = 2
_CACHE_BYTES = 64 * 2**20


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
        with reading(self._path, f"frames from {which.start} of {self._name}", AGAIN):
            if self._file is None:
                self._file = h5py.File(self._path, "r", rdcc_nbytes=_CACHE_BYTES)
            dataset = self._file[self._name]
            leading = dataset.shape[:-2]
            if len(leading) == 1:
                block = dataset[which.start : which.stop : which.step]
            else:
                planes = [dataset[np.unravel_index(plane, leading)] for plane in which] if leading else [dataset[()]]
                block = np.stack(planes)
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
    with reading(path, "an HDF5 file", AGAIN), h5py.File(path, "r") as file:
        series = _series(file)
        if series or "nwb_version" in file.attrs:
            return _nwb(path, file, _chosen(path, series, choice))
        found = [one.name for one in _datasets(file, h5py) if one.ndim > _FRAME_AXES]
        return _plain(path, file[_linked(path, file, choice.inside) or _chosen(path, found, choice)])


def _datasets(group: Any, h5py: Any) -> list[Any]:  # noqa: ANN401 - h5py has no types
    found: list[Any] = []

    def look(_: str, one: Any) -> None:  # noqa: ANN401
        if isinstance(one, h5py.Dataset) and one.dtype.kind in "iuf":
            found.append(one)

    group.visititems(look)
    return found


def _linked(path: Path, file: Any, inside: str | None) -> str | None:  # noqa: ANN401 - h5py has no types
    """Return the path of a dataset that the user named by a link, which a walk through the file does not pass."""
    link = None if inside is None else file.get(inside, getlink=True)
    if link is None or not hasattr(link, "path"):
        return None
    if hasattr(link, "filename"):
        message = f"{path}: expected a movie at {inside} in the file, got a link to {link.filename}"
        raise BadInput(message, f"Give that file as --input, with --inside {link.path.strip('/')}.")
    return str(link.path)


def _other_files(path: Path, dataset: Any) -> tuple[Path, ...]:  # noqa: ANN401 - h5py has no types
    """Return the other files in which pixels of a dataset lie.

    Raises
    ------
    BadInput
        When one is missing: HDF5 would give zeros in its place.
    """
    names = [one.file_name for one in dataset.virtual_sources()] if dataset.is_virtual else []
    names += [name for name, *_ in dataset.external or ()]
    files = tuple(dict.fromkeys(path.parent / name for name in names if name != "."))
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        message = f"{path}: expected {len(files)} other files with pixels of {dataset.name}, got no {missing[0]}"
        raise BadInput(message, "Put the files of the recording together.")
    return files


def _unwritten(path: Path, dataset: Any) -> tuple[str, ...]:  # noqa: ANN401 - h5py has no types
    """Say how many blocks of a dataset were never written: HDF5 gives its fill value for them."""
    if dataset.is_virtual or dataset.external or not dataset.size:
        return ()
    chunks = dataset.chunks or dataset.shape
    blocks = math.prod(-(-length // chunk) for length, chunk in zip(dataset.shape, chunks, strict=True))
    found = dataset.id.get_num_chunks() if dataset.chunks else int(dataset.id.get_storage_size() > 0)
    if found == blocks:
        return ()
    what = f"{blocks} blocks of pixels, {found} were written; the others read {dataset.fillvalue}."
    return (f"{path.name}: {dataset.name} has {what}",)


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
    rate = np.ravel(dataset.attrs.get("fr", dataset.attrs.get("frame_rate", ())))  # CaImAn writes fr
    interval = _interval(rate[0] if len(rate) == 1 else None, "attribute fr of the dataset")
    turned = "MATLAB_class" in dataset.attrs  # it writes an array of (Y, X, T) as (T, X, Y)
    labels = "".join(str(one.label or "") for one in dataset.dims).upper()
    leading, frame = dataset.shape[:-2], dataset.shape[-2:]
    axes = labels[:-2] if labels.endswith("YX") and len(labels) == dataset.ndim else "T" if len(leading) == 1 else ""
    axes = axes or "Q" * len(leading)
    stored = _stored(path, "HDF5", dataset, axes, tuple(map(int, leading)), frame[::-1] if turned else frame)
    return Hdf5Planes(path, dataset.name, replace(stored, interval_s=interval), transposed=turned)


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
    (interval, uneven), pixel = _nwb_interval(path, series), _nwb_pixel(series)
    notes = (*stored.notes, *uneven, *_nwb_notes(path, dataset))
    stored = replace(stored, interval_s=interval, pixel_um=pixel, notes=notes)
    return Hdf5Planes(path, dataset.name, stored, transposed=True)


def _nwb_interval(path: Path, series: Any) -> tuple[Stated[float] | None, tuple[str, ...]]:  # noqa: ANN401
    """Return the time between frames, and what is to be said of uneven timestamps."""
    if "starting_time" in series:
        return _interval(series["starting_time"].attrs.get("rate"), "rate of the NWB series"), ()
    steps = np.diff(series["timestamps"][:]) if "timestamps" in series else np.empty(0)
    usual_s = float(np.median(steps)) if len(steps) else 0.0
    if not 0 < usual_s < math.inf:
        return None, ()
    uneven = np.abs(steps - usual_s) > usual_s / 2
    notes: tuple[str, ...] = ()
    if uneven.any():
        where = int(np.argmax(uneven)) + 1
        note = f"{int(uneven.sum())} of its frames come early or late, the first is frame {where}; none is filled in."
        notes = (f"{path.name}: {note}",)
    return Stated(value=usual_s, origin="timestamps of the NWB series"), notes


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
        others=_other_files(path, dataset),
        notes=_unwritten(path, dataset),
        axes=axes,
        lengths=lengths,
        planes=planes,
        frame=(int(frame[0]), int(frame[1])),
        dtype=dataset.dtype.newbyteorder("="),
        block=int(dataset.chunks[0]) if dataset.chunks else 1,
    )
