"""Regions that a user drew or another program found, read from four formats, and kept with a run; no code is run."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import msgspec
import numpy as np

from contract.stacks import open_stack
from orchestrator.documents import Count, Document, Sealed, read_sealed, write_sealed
from orchestrator.errors import BadInput
from orchestrator.foreign import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import roifile
    from numpy.typing import NDArray

    from orchestrator.paths import RunFolder

    _Named = tuple[str, NDArray[np.int64]]

_HINT = (
    "docs/data.md#regions lists the forms: JSON of Neurofinder, stat.npy of suite2p, ROI sets of ImageJ, label TIFF."
)
_ALLOWED = {  # what a stat.npy consists of; nothing else is ever made of what a file names
    *(("numpy.core.multiarray", name) for name in ("_reconstruct", "scalar")),
    *(("numpy._core.multiarray", name) for name in ("_reconstruct", "scalar")),
    *(("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")),
    *(("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")),
}
_MOST_BYTES = 2**30
_KEPT_HINT = "Delete it, and give --regions again."


class KeptRegion(Document, frozen=True, kw_only=True):
    """One region of regions.json: its name and its pixels (y, x)."""

    name: str
    pixels: tuple[tuple[Count, Count], ...]


class KeptRegions(Sealed, frozen=True, kw_only=True):
    """regions.json: where a run is looked at, whoever asks."""

    origin: str
    regions: tuple[KeptRegion, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Regions:
    """Regions of one movie; they may overlap.

    Parameters
    ----------
    origin : str
        Where they come from, in words.
    names : tuple of str
        Name of each.
    pixels : tuple of ndarray of shape (n, 2), int64
        Pixels (y, x) of each, none twice.
    """

    origin: str
    names: tuple[str, ...]
    pixels: tuple[NDArray[np.int64], ...]

    @property
    def middles(self) -> NDArray[np.int64]:
        """Middle (y, x) of each: shape (R, 2)."""
        return np.array([one.mean(axis=0).round() for one in self.pixels], np.int64)


def read_regions(path: Path, shape: tuple[int, ...]) -> Regions:
    """Read regions.

    Parameters
    ----------
    path : Path
        JSON of Neurofinder ([{"coordinates": [[y, x], ...]}]), stat.npy of suite2p (those that iscell.npy beside it
        accepts), an ROI or ROI set of ImageJ (.roi, .zip), or a TIFF of labels of shape (Y, X).
    shape : tuple of int
        Of the movie, (T, Y, X).

    Raises
    ------
    BadInput
        For another form, a damaged file, no region, or one that reaches out of the movie.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None or not path.is_file():
        what = "a file that is there" if reader is not None else f"a name that ends in {', '.join(_READERS)}"
        message = f"--regions: expected {what}, got {path}"
        raise BadInput(message, _HINT)
    with reading(path, "regions", _HINT):
        found = reader(path, shape[1:])
    return _checked(path, found, shape[1:])


def keep_regions(folder: RunFolder, regions: Regions | None) -> None:
    """Write regions into the folder of a run: its page, traces, checks and exports look there from now on.

    Without regions nothing changes.
    """
    if regions is None:
        return
    kept = tuple(
        KeptRegion(name=name, pixels=tuple((y, x) for y, x in pixels.tolist()))
        for name, pixels in zip(regions.names, regions.pixels, strict=True)
    )
    write_sealed(folder.regions, KeptRegions(origin=regions.origin, regions=kept))


def kept_regions(folder: RunFolder) -> Regions | None:
    """Return the regions that a run was given; None where active spots are to be looked for.

    Raises
    ------
    BadInput
        When regions.json is damaged.
    """
    if not folder.regions.exists():
        return None
    known = read_sealed(folder.regions, KeptRegions, hint=_KEPT_HINT)
    return Regions(
        origin=known.origin,
        names=tuple(one.name for one in known.regions),
        pixels=tuple(np.array(one.pixels, np.int64).reshape(-1, 2) for one in known.regions),
    )


def _checked(path: Path, found: list[_Named], frame: tuple[int, ...]) -> Regions:
    if not found:
        message = f"{path}: expected regions, got none"
        raise BadInput(message, _HINT)
    for name, pixels in found:
        if not len(pixels) or pixels.min() < 0 or (pixels >= frame).any():
            message = (
                f"{path}: expected pixels (y, x) within {frame[0]} x {frame[1]} in each region, got others in {name}"
            )
            raise BadInput(message, "Give the regions of this movie, as it is cropped and binned.")
    return Regions(
        origin=f"{len(found)} region{'' if len(found) == 1 else 's'} of {path.name}",
        names=_told_apart([name for name, _ in found]),
        pixels=tuple(np.unique(pixels, axis=0) for _, pixels in found),
    )


def _told_apart(names: list[str]) -> tuple[str, ...]:
    """Tell regions of one name apart by their place in the file."""
    return tuple(name if names.index(name) == index else f"{name} ({index + 1})" for index, name in enumerate(names))


class _Neuron(msgspec.Struct, frozen=True):
    """A region as Neurofinder writes it; whatever else it says is passed over."""

    coordinates: list[Any]
    id: Any = None


def _neurofinder(path: Path, _: tuple[int, ...]) -> list[_Named]:
    document = msgspec.json.decode(path.read_bytes(), type=list[_Neuron])
    return [
        (str(index if one.id is None else one.id), _pixels(one.coordinates))
        for index, one in enumerate(document, start=1)
    ]


def _suite2p(path: Path, _: tuple[int, ...]) -> list[_Named]:
    stat = _unpickled(path)
    beside = path.with_name("iscell.npy")
    cells = np.load(beside, allow_pickle=False)[:, 0] > 0 if beside.is_file() else np.ones(len(stat), bool)
    return [
        (str(index), _pixels(np.stack([one["ypix"], one["xpix"]], axis=1)))
        for index, (one, is_cell) in enumerate(zip(stat, cells, strict=True))
        if is_cell
    ]


class _Unpickler(pickle.Unpickler):
    """Reads arrays, dicts and numbers; any other name in the file is refused before anything is made of it."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        super().__init__(stream)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as pickle declares it
        if (module, name) not in _ALLOWED:
            message = f"{self._path}: expected a stat.npy of plain arrays, got one that asks for {module}.{name}"
            raise BadInput(message, "It was not run. Save it again with suite2p.")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _unpickled(path: Path) -> Any:  # noqa: ANN401 - of a foreign file; the caller takes arrays out of it
    if path.stat().st_size > _MOST_BYTES:
        message = f"a file of {path.stat().st_size / 2**30:.1f} GiB"
        raise ValueError(message)
    stream = io.BytesIO(path.read_bytes())
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    read(stream)
    return _Unpickler(stream, path).load()


def _imagej(path: Path, frame: tuple[int, ...]) -> list[_Named]:
    import roifile  # noqa: PLC0415 - regions of other formats need it not

    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            found = [archive.read(name) for name in archive.namelist() if name.lower().endswith(".roi")]
    else:
        found = [path.read_bytes()]
    rois = [roifile.ImagejRoi.frombytes(one) for one in found]
    return [(roi.name or str(index), _inside(roi, frame)) for index, roi in enumerate(rois, start=1)]


def _inside(roi: roifile.ImagejRoi, frame: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the pixels whose middles lie inside an outline: an even number of its edges is crossed outside."""
    corners = np.asarray(roi.coordinates(), np.float64).reshape(-1, 2)
    x, y = (corners - 0.5).T  # pixel 0 reaches from 0 to 1 in ImageJ
    top, bottom = max(0, int(np.floor(y.min()))), min(frame[0] - 1, int(np.ceil(y.max())))
    left, right = max(0, int(np.floor(x.min()))), min(frame[1] - 1, int(np.ceil(x.max())))
    rows, columns = np.mgrid[top : bottom + 1, left : right + 1]
    inside = np.zeros(rows.shape, bool)
    for x1, y1, x2, y2 in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):
        if y1 != y2:
            between = (y1 > rows) != (y2 > rows)
            inside ^= between & (columns < (x2 - x1) * (rows - y1) / (y2 - y1) + x1)
    return np.stack([rows[inside], columns[inside]], axis=1).astype(np.int64)


def _labels(path: Path, frame: tuple[int, ...]) -> list[_Named]:
    with open_stack(path, "YX") as stack:
        labels = stack.frames(0, 1)[0]
    if labels.shape != frame or labels.dtype.kind not in "iu":
        message = f"labels of shape {labels.shape} and dtype {labels.dtype} for frames of {frame}"
        raise ValueError(message)
    return [(str(number), np.argwhere(labels == number)) for number in np.unique(labels[labels > 0]).tolist()]


def _pixels(values: Iterable[Any]) -> NDArray[np.int64]:
    pixels = np.asarray(values)
    if pixels.ndim != 2 or pixels.shape[1] != 2 or pixels.dtype.kind not in "iu":  # noqa: PLR2004 - y and x
        message = f"expected whole numbers (y, x), got {pixels.dtype} of shape {pixels.shape}"
        raise ValueError(message)
    return pixels.astype(np.int64)


_READERS: dict[str, Callable[[Path, tuple[int, ...]], list[_Named]]] = {
    ".json": _neurofinder,
    ".npy": _suite2p,
    ".roi": _imagej,
    ".zip": _imagej,
    ".tif": _labels,
    ".tiff": _labels,
}
