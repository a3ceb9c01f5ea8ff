"""TIFF files of all programs: pages are counted, and what metadata say of them is believed where it fits the count."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from contract.headers import Header, imagej_scales, kept_properties
from orchestrator.data.readers.ome import master_of, read_ome
from orchestrator.data.readers.planes import Stored, squeezed
from orchestrator.data.readers.scanimage import is_scanimage, read_scanimage
from orchestrator.data.readers.spans import directory_spans, pages_after
from orchestrator.data.readers.tiff_pages import BlockPlanes, Kind, TiffPlanes, kind_of, open_tiff, reported
from orchestrator.data.recording import Part, Stated
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tifffile

    from orchestrator.data.readers.ome import OmeImage
    from orchestrator.records.record import Choice

    Opened = TiffPlanes | BlockPlanes

SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".ome.tif", ".lsm", ".stk")
_TAKE_PAGES = "--axes TYX takes the pages that are there, in their order."
_RGB = 3
_FRAME_AXES = 2
_LOSSY = ("JPEG", "OJPEG", "WEBP")  # compressions that change values
_PLAIN_KINDS = ("uniform", "generic", "shaped")


def open_movie(path: Path, choice: Choice) -> Opened:
    """Open a TIFF file, and with it the other files of its recording.

    Parameters
    ----------
    path : Path
        One of its files.
    choice : Choice
        `series` chooses one of several images of a file.

    Returns
    -------
    TiffPlanes or BlockPlanes
        Every page that there is, along the axes that the metadata state.

    Raises
    ------
    BadInput
        For what is no TIFF, is damaged, or holds several images.
    """
    tiff = open_tiff(path)
    try:
        with reported(path):
            texts = _texts(tiff)
            if is_scanimage(texts):
                return _scanimage(path, tiff, texts)
            if tiff.is_ome and (found := _ome_or_pages(path, tiff, choice)) is not None:
                return found
            if tiff.is_imagej and not tiff.is_ome:
                return _imagej(path, tiff)
        return _other(path, tiff, choice)
    finally:
        tiff.close()


def _ome_or_pages(path: Path, tiff: tifffile.TiffFile, choice: Choice) -> TiffPlanes | None:
    """Open an OME-TIFF; None where its metadata cannot be used and the user names the axes of its pages instead."""
    try:
        return _ome(path, tiff, choice)
    except BadInput:
        if choice.axes is None:
            raise
        return None


def _texts(tiff: tifffile.TiffFile) -> list[str]:
    tags = tiff.pages.first.tags
    found = (tags.valueof(code) for code in ("Software", "ImageDescription"))
    return [text for text in found if isinstance(text, str)]


def _all_pages(path: Path, tiff: tifffile.TiffFile, stored: Stored) -> TiffPlanes:
    """Return every page of a file as planes; colour images have an axis of samples, the fastest."""
    kind = kind_of(tiff.pages.first)
    return _planes_of(stored, [(0, page) for page in range(len(tiff.pages))], kind, path)


def _planes_of(stored: Stored, places: Sequence[tuple[int, int]], kind: Kind, path: Path) -> TiffPlanes:
    if stored.planes != len(places):
        message = f"{path}: expected {stored.planes} pages, got {len(places)}"
        raise BadInput(message, _TAKE_PAGES)
    if kind.samples > 1:
        stored = replace(
            stored,
            axes=stored.axes + "S",
            lengths=(*stored.lengths, kind.samples),
            planes=stored.planes * kind.samples,
            channels=("red", "green", "blue") if kind.samples == _RGB and not stored.channels else stored.channels,
            header=None,
        )
    return TiffPlanes(stored, places, kind)


def _counted(path: Path, stored: Stored, counted: int, who: str) -> Stored:
    """Compare the pages that there are with the count of the metadata; both are said where they differ.

    Parameters
    ----------
    path : Path
        For messages.
    stored : Stored
        As the metadata describe the movie, `planes` being the pages that there are.
    counted : int
        Pages as the metadata count them.
    who : str
        Whose metadata.
    """
    pages = stored.planes
    if pages == counted:
        return stored
    if pages > counted and sum(length > 1 for length in stored.lengths) <= 1:
        long = next((axis for axis, length in enumerate(stored.lengths) if length > 1), 0)
        note = f"{path.name}: {who} counts {counted} frames, the file holds {pages}; all {pages} are taken."
        letter = stored.axes[long] if stored.axes else "I"
        return replace(stored, axes=letter, lengths=(pages,), notes=(*stored.notes, note))
    message = f"{path}: expected {counted} frames, as {who} counts, got {pages} pages"
    doubt = BadInput(message, f"Copy the file again from its source; or {_TAKE_PAGES}")
    return replace(stored, axes="I", lengths=(pages,), doubt=doubt)


def _ended(path: Path, tiff: tifffile.TiffFile, stored: Stored) -> Stored:
    """Doubt a directory that ends where its file goes on: nothing else of such a file counts its pages."""
    more = pages_after(tiff)
    if more < 1 or tiff.is_micromanager or tiff.pages.first.subifds:
        return stored
    message = f"{path}: expected {stored.planes} pages, as its directory lists, got a file with room for {more} more"
    return replace(stored, doubt=BadInput(message, f"Copy the file again from its source; or {_TAKE_PAGES}"))


def _imagej(path: Path, tiff: tifffile.TiffFile) -> Opened:
    found = dict(tiff.imagej_metadata or {})
    pages, page = len(tiff.pages), tiff.pages.first
    sizes = {
        letter: _whole(found.get(name), 1) for letter, name in (("T", "frames"), ("Z", "slices"), ("C", "channels"))
    }
    images = _whole(found.get("images"), math.prod(sizes.values()))
    axes, lengths = "".join(sizes), tuple(sizes.values())
    axes, lengths = ("I", (images,)) if math.prod(lengths) != images else squeezed(axes, lengths)
    resolution = _resolution(tiff)
    scales = imagej_scales(found, resolution)
    kind = kind_of(page)
    virtual = pages == 1 and images > 1 and page.is_contiguous and kind.samples == 1
    fitting = (path.stat().st_size - page.dataoffsets[0]) // max(1, page.nbytes) if virtual else 0
    planes = min(images, max(fitting, 1)) if virtual else pages
    stored = Stored(
        format="ImageJ TIFF",
        parts=(Part(file=path, planes=planes),),
        axes=axes,
        lengths=lengths,
        planes=planes,
        frame=kind.frame,
        dtype=kind.dtype,
        interval_s=_stated(scales.interval_s, "finterval or fps of the ImageJ description"),
        pixel_um=_stated(scales.pixel_um, "resolution and unit of the ImageJ file"),
        header=_imagej_header(tiff, found, resolution),
    )
    stored = _counted(path, stored, images, "its ImageJ description")
    if virtual:
        dtype = np.dtype(page.dtype).newbyteorder(tiff.byteorder)
        return BlockPlanes(stored, page.dataoffsets[0], dtype, directory_spans(page))
    return _all_pages(path, tiff, stored)


def _imagej_header(tiff: tifffile.TiffFile, found: dict[str, Any], resolution: tuple[Any, Any] | None) -> Header:
    unit = tiff.pages.first.tags.valueof("ResolutionUnit")
    return Header(
        flavour="imagej",
        axes="TYX",
        shape=(1, 1, 1),
        properties=kept_properties(found),
        resolution=resolution,
        resolution_unit=None if unit is None else int(unit),
        scales=imagej_scales(found, resolution),
    )


def _ome(path: Path, tiff: tifffile.TiffFile, choice: Choice) -> TiffPlanes:
    xml, home = _whole_xml(path, tiff.ome_metadata or "")
    images = read_ome(xml, home)
    if not images:
        message = f"{path}: expected an image in its OME-XML, got none"
        raise BadInput(message, _TAKE_PAGES)
    index, notes = _chosen_image(path, images, choice)
    image = images[index]
    axes, lengths = squeezed(image.axes, image.lengths)
    files = [home if name is None else home.parent / name for name in dict.fromkeys(run.file for run in image.runs)]
    files = files or [path]
    kind = kind_of(tiff.pages.first)
    counts = _page_counts(path, files, kind)
    scales = {
        "interval_s": _stated(image.interval_s, image.interval_origin),
        "pixel_um": _stated(image.pixel_um, "PhysicalSizeX and PhysicalSizeY of the OME-XML"),
    }
    stored = Stored(
        format="OME-TIFF",
        parts=tuple(Part(file=file, planes=count) for file, count in zip(files, counts, strict=True)),
        others=() if home in files else (home,),
        axes=axes,
        lengths=lengths,
        planes=sum(counts),
        frame=kind.frame,
        dtype=kind.dtype,
        channels=image.channels,
        notes=notes,
        header=Header(flavour="ome", axes="TYX", shape=(1, 1, 1), xml=xml),
        image=index,
        **scales,
    )
    own = sum(run.count for run in image.runs)
    if len(images) > 1 and stored.planes > image.planes == own:  # pages of other images lie in the same files
        stored = replace(stored, planes=image.planes)
    stored = _counted(path, stored, image.planes, "its OME-XML")
    return _planes_of(stored, _places(path, image, files, counts, stored), kind, path)


def _whole_xml(path: Path, xml: str) -> tuple[str, Path]:
    """Return the OME-XML of a set, and the file that holds it: a file of a set may only name another one."""
    name = master_of(xml, path)
    if name is None:
        return xml, path
    home = path.parent / Path(name).name
    if not home.is_file():
        message = f"{path}: expected {home.name} beside it, which holds the metadata of its set, got no such file"
        raise BadInput(message, f"Put the files of the recording together; {_TAKE_PAGES}")
    if not home.name.lower().endswith((".tif", ".tiff")):
        return home.read_text(encoding="utf-8"), home
    with open_tiff(home) as master:
        return master.ome_metadata or "", home


def _chosen_image(path: Path, images: Sequence[OmeImage], choice: Choice) -> tuple[int, tuple[str, ...]]:
    """Choose an image; positions that lie in other files are not asked for."""
    names = {None, path.name}
    here = [n for n, image in enumerate(images) if names & {run.file for run in image.runs} or not image.runs]
    if choice.series is None and len(here) == 1:
        others = len(images) - 1
        note = f"{path.name}: it holds image {here[0] + 1} of {len(images)}; the others lie in other files."
        return here[0], (note,) if others else ()
    shapes = [f"{image.name}: {image.axes}YX {image.lengths}" for image in images]
    return _chosen_series(path, shapes, choice), ()


def _chosen_series(path: Path, shapes: Sequence[str], choice: Choice) -> int:
    if choice.series is None and len(shapes) == 1:
        return 0
    shown = "; ".join(f"{number}: {shape}" for number, shape in enumerate(shapes[:8], start=1))
    if choice.series is None or choice.series > len(shapes):
        got = "" if choice.series is None else f", and --series {choice.series}"
        message = f"{path}: expected one image series, got {len(shapes)} (positions, or a thumbnail): {shown}{got}"
        raise BadInput(message, f"Choose the movie with --series 1 to {len(shapes)}.")
    return choice.series - 1


def _page_counts(path: Path, files: Sequence[Path], kind: Kind) -> list[int]:
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        shown = ", ".join(missing[:4]) + (" and more" if len(missing) > len(missing[:4]) else "")
        message = f"{path}: expected {len(files)} files of one recording, as its OME-XML names them, got no {shown}"
        raise BadInput(message, f"Put the files of the recording together; {_TAKE_PAGES}")
    counts = []
    for file in files:
        with open_tiff(file) as tiff:
            counts.append(len(tiff.pages))
            found = kind_of(tiff.pages.first)
        if found != kind:
            message = f"{file}: expected pages of {kind}, as in {path.name}, got {found}"
            raise BadInput(message, "The files of a recording hold frames of one size and dtype.")
    return counts


def _places(
    path: Path, image: OmeImage, files: Sequence[Path], counts: Sequence[int], stored: Stored
) -> list[tuple[int, int]]:
    """Return file and page of every plane: as the OME-XML says where its count is right, else in the order of pages."""
    in_order = [(file, page) for file, count in enumerate(counts) for page in range(count)]
    if stored.planes != image.planes or stored.doubt is not None:
        return in_order
    numbers = {name: number for number, name in enumerate(dict.fromkeys(run.file for run in image.runs))}
    places: dict[int, tuple[int, int]] = {}
    for run in image.runs:
        for step in range(run.count):
            places[run.first + step] = (numbers[run.file], run.page + step)
    wrong = [plane for plane in range(image.planes) if plane not in places]
    wrong += [plane for plane, (file, page) in places.items() if page >= counts[file] or plane >= image.planes]
    if wrong and image.runs:
        message = f"{path}: expected every plane of its OME-XML in a page of {files[0].name}, got none for {wrong[0]}"
        raise BadInput(message, f"Copy the files again from their source; or {_TAKE_PAGES}")
    return [places[plane] for plane in range(image.planes)] if image.runs else in_order


def _scanimage(path: Path, tiff: tifffile.TiffFile, texts: Sequence[str]) -> TiffPlanes:
    said, pages = read_scanimage(texts), len(tiff.pages)
    axes, lengths = squeezed(*said.axes(pages), keep="T")
    kind = kind_of(tiff.pages.first)
    notes = []
    if said.asked not in (None, pages):
        part = f"; a file ends after {said.frames_per_file} frames" if said.frames_per_file else ""
        notes.append(
            f"{path.name}: its ScanImage settings ask for {said.asked} pages{part}, the file holds {pages}; "
            f"all {pages} are taken."
        )
    if said.has_regions:
        notes.append(
            f"{path.name}: its ScanImage regions (mROI) lie below each other in each frame, as they are stored."
        )
    stored = Stored(
        format="ScanImage TIFF",
        parts=(Part(file=path, planes=pages),),
        axes=axes,
        lengths=lengths,
        planes=pages,
        frame=kind.frame,
        dtype=kind.dtype,
        volume=said.is_volume,
        interval_s=_stated(said.interval_s, "the ScanImage header"),
        notes=tuple(notes),
    )
    return _all_pages(path, tiff, _ended(path, tiff, stored))


def _other(path: Path, tiff: tifffile.TiffFile, choice: Choice) -> Opened:
    """Open what tifffile makes sense of: plain pages, and formats of other vendors."""
    with reported(path):
        found: list[Any] = list(tiff.series) if not tiff.is_ome else list(_plain(path))
        if tiff.is_shaped and len(found) > 1 and len({kind_of(one.keyframe) for one in found}) == 1:
            found = list(_plain(path))  # written frame by frame, each with metadata of its own
    chosen = found[_chosen_series(path, [f"{one.axes} {one.shape} {one.dtype}" for one in found], choice)]
    stored, planes, kind = _series(path, tiff, chosen), _said(tiff, chosen, found), kind_of(chosen.keyframe)
    one_block = chosen.dataoffset is not None and kind.samples == 1
    if chosen.kind in _PLAIN_KINDS and len(found) == 1 and not (one_block and len(tiff.pages) == 1):
        stored = _counted(path, replace(stored, planes=len(tiff.pages)), planes, "its description")
        return _all_pages(path, tiff, _ended(path, tiff, stored))
    if one_block:
        dtype = np.dtype(chosen.dtype).newbyteorder(tiff.byteorder)
        return BlockPlanes(stored, int(chosen.dataoffset), dtype, directory_spans(chosen.keyframe))
    places = [(0, int(page.index)) for page in chosen.pages if page is not None]
    stored = replace(stored, planes=len(places))
    return _planes_of(_counted(path, stored, planes, "its description"), places, kind, path)


def _series(path: Path, tiff: tifffile.TiffFile, chosen: Any) -> Stored:  # noqa: ANN401 - tifffile has no types
    letters = str(chosen.axes)
    if not letters.replace("S", "").endswith("YX"):
        message = f"{path}: expected axes that end in YX, got {letters} for shape {tuple(chosen.shape)}"
        raise BadInput(message, "Save the movie as a stack (T, Y, X).")
    leading = [(one, int(n)) for one, n in zip(letters, chosen.shape, strict=True) if one not in "YXS"]
    lengths = tuple(length for _, length in leading)
    kind, scales = kind_of(chosen.keyframe), _plain_scales(tiff)
    lossy = f"{path.name}: its compression {kind.compression} loses information, so the noise is not the detector's."
    return Stored(
        format="TIFF",
        parts=(Part(file=path, planes=math.prod(lengths)),),
        axes="".join(letter for letter, _ in leading),
        lengths=lengths,
        planes=math.prod(lengths),
        frame=kind.frame,
        dtype=kind.dtype,
        interval_s=scales[0],
        pixel_um=scales[1],
        notes=(lossy,) if kind.compression in _LOSSY else (),
    )


def _said(tiff: Any, chosen: Any, found: list[Any]) -> int:  # noqa: ANN401 - tifffile has no types
    """Return how many planes the description counts: tifffile itself passes over a shape that does not fit."""
    text, kind = str(tiff.pages.first.description), kind_of(chosen.keyframe)
    if text.startswith('{"shape"') and len(found) == 1:
        with suppress(ValueError):
            shape = json.loads(text).get("shape", ())
            if len(shape) > _FRAME_AXES and tuple(shape[-2:]) == kind.frame:
                return int(math.prod(shape[:-2])) // kind.samples  # samples in planes of their own are an axis of it
    return math.prod(int(length) for one, length in zip(chosen.axes, chosen.shape, strict=True) if one not in "YXS")


def _plain(path: Path) -> Any:  # noqa: ANN401 - tifffile has no types
    import tifffile  # noqa: PLC0415

    with tifffile.TiffFile(path, is_shaped=False, is_ome=False, is_imagej=False, is_scanimage=False) as tiff:
        return list(tiff.series)


class _MicroManager(msgspec.Struct, frozen=True):
    """What Micro-Manager says of a recording, under its names, of any type."""

    Interval_ms: Any = None
    PixelSize_um: Any = None


def _plain_scales(tiff: tifffile.TiffFile) -> tuple[Stated[float] | None, Stated[tuple[float, float]] | None]:
    """Return what Micro-Manager says of time and space; other files say nothing that can be relied on."""
    summary = (tiff.micromanager_metadata or {}).get("Summary") if tiff.is_micromanager else None
    if not isinstance(summary, dict):
        return None, None
    said = msgspec.convert(summary, _MicroManager)
    interval_ms, size_um = _number(said.Interval_ms), _number(said.PixelSize_um)
    interval = _stated(None if interval_ms is None else interval_ms / 1000, "Interval_ms of Micro-Manager")
    pixel = None if size_um is None else (size_um, size_um)
    return interval, _stated(pixel, "PixelSize_um of Micro-Manager")


def _stated(value: Any, origin: str) -> Any:  # noqa: ANN401 - of any type
    return None if value is None else Stated(value=value, origin=origin)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value < math.inf else None


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 1 else otherwise


def _resolution(tiff: tifffile.TiffFile) -> tuple[Any, Any] | None:
    tags = tiff.pages.first.tags
    found = tags.valueof("XResolution"), tags.valueof("YResolution")
    return None if None in found else found
