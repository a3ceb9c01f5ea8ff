"""What OME-XML says of a recording: its images, their sizes, and in which page of which file each plane lies."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.headers import S_PER_UNIT, UM_PER_UNIT
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LETTERS = "TZC"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaneRun:
    """Planes of one TiffData element: the first of them, its page, how many, and the file; None is the file itself."""

    first: int
    page: int
    count: int
    file: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OmeImage:
    """One Image element.

    Parameters
    ----------
    name : str
        Name, or else its identifier.
    axes : str
        Letters of T, Z and C, the slowest first.
    lengths : tuple of int
        Their lengths.
    runs : tuple of PlaneRun
        Where its planes lie.
    channels : tuple of str
        Names of its channels; empty where one has none.
    interval_s : float or None
        TimeIncrement, or else what DeltaT of the first and the last plane say.
    interval_origin : str
        Which of these.
    pixel_um : tuple of float or None
        PhysicalSizeY and PhysicalSizeX.
    """

    name: str
    axes: str
    lengths: tuple[int, ...]
    runs: tuple[PlaneRun, ...]
    channels: tuple[str, ...]
    interval_s: float | None
    interval_origin: str
    pixel_um: tuple[float, float] | None

    @property
    def planes(self) -> int:
        """Planes that it says there are."""
        return math.prod(self.lengths)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of other files that hold its planes, in the order of planes."""
        return tuple(dict.fromkeys(run.file for run in self.runs if run.file is not None))


def read_ome(xml: str, path: Path) -> tuple[OmeImage, ...]:
    """Read the images of an OME-XML.

    Parameters
    ----------
    xml : str
        The document.
    path : Path
        File that it comes from.

    Returns
    -------
    tuple of OmeImage
        Empty where it describes none.

    Raises
    ------
    BadInput
        When it is no XML, or a size is no number above 0.
    """
    root = _root(xml, path)
    space = root.tag.removesuffix("OME")
    names = {element.get("FileName") for element in root.iter(f"{space}UUID")} - {None}

    def is_own(uuid: ET.Element) -> bool:
        """Say whether planes lie in the file itself; the only file of a recording may have been renamed."""
        same = uuid.get("FileName") in {None, path.name} or (uuid.text or "").strip() == root.get("UUID")
        return same or len(names) == 1

    try:
        return tuple(_image(image, space, path, is_own) for image in root.iterfind(f"{space}Image"))
    except (ValueError, KeyError, ZeroDivisionError) as error:
        message = f"{path}: its OME-XML cannot be used ({type(error).__name__}: {error})"
        raise BadInput(message, "--axes TYX takes the pages of this file as they are.") from error


def master_of(xml: str, path: Path) -> str | None:
    """Return the name of the file with the metadata of a set of which this is another file; None where it is none."""
    root = _root(xml, path)
    found = root.find(f"{root.tag.removesuffix('OME')}BinaryOnly")
    return None if found is None else found.get("MetadataFile")


def narrowed(xml: str, path: Path, *, image: int, frames: int, channel: int | None) -> str:
    """Return an OME-XML of one image along time alone, and of one of its channels.

    Parameters
    ----------
    xml : str
        The document.
    path : Path
        File that it comes from.
    image : int
        Which Image element is kept.
    frames : int
        Frames that it has now.
    channel : int or None
        Which Channel element is kept; None for the first.
    """
    root = _root(xml, path)
    space = root.tag.removesuffix("OME")
    for index, element in enumerate(root.findall(f"{space}Image")):
        if index != image:
            root.remove(element)
    (pixels,) = root.iterfind(f"{space}Image/{space}Pixels")
    for name, size in (("SizeT", frames), ("SizeZ", 1), ("SizeC", 1)):
        pixels.set(name, str(size))
    channels = pixels.findall(f"{space}Channel")
    for index, element in enumerate(channels):
        if index != (channel or 0):
            pixels.remove(element)
        else:
            element.attrib.pop("SamplesPerPixel", None)
    for element in pixels.findall(f"{space}Plane"):  # they number planes that are no longer there
        pixels.remove(element)
    ET.register_namespace("", space.strip("{}"))
    return ET.tostring(root, encoding="unicode")


def _root(xml: str, path: Path) -> ET.Element:
    try:
        return ET.fromstring(xml)  # noqa: S314 - expat resolves no external entities
    except ET.ParseError as error:
        message = f"{path}: its OME-XML cannot be read ({error})"
        raise BadInput(message, "--axes TYX takes the pages of this file as they are.") from error


def _image(image: ET.Element, space: str, path: Path, is_own: Callable[[ET.Element], bool]) -> OmeImage:
    pixels = image.find(f"{space}Pixels")
    if pixels is None:
        message = f"{path}: its OME-XML has an image without Pixels"
        raise BadInput(message, "--axes TYX takes the pages of this file as they are.")
    order = pixels.get("DimensionOrder", "XYCZT")[:1:-1]
    if sorted(order) != sorted(_LETTERS):
        message = f"DimensionOrder {pixels.get('DimensionOrder')}"
        raise ValueError(message)
    samples = int(next((c.get("SamplesPerPixel", "1") for c in pixels.iterfind(f"{space}Channel")), "1"))
    sizes = {letter: int(pixels.get(f"Size{letter}", "1")) for letter in order}
    sizes["C"] //= samples
    if min(sizes.values()) < 1:
        message = f"sizes {sizes}"
        raise ValueError(message)
    interval_s, origin = _interval(pixels, space, sizes["T"])
    channels = tuple(one.get("Name", "") for one in pixels.iterfind(f"{space}Channel"))
    return OmeImage(
        name=image.get("Name") or image.get("ID") or "image",
        axes=order,
        lengths=tuple(sizes.values()),
        runs=tuple(_runs(pixels, space, sizes, is_own)),
        channels=channels if all(channels) else (),
        interval_s=interval_s,
        interval_origin=origin,
        pixel_um=_pixel_um(pixels),
    )


def _runs(
    pixels: ET.Element, space: str, sizes: dict[str, int], is_own: Callable[[ET.Element], bool]
) -> Iterator[PlaneRun]:
    total = math.prod(sizes.values())
    for element in pixels.iterfind(f"{space}TiffData"):
        first = 0
        for letter, length in sizes.items():
            first = first * length + int(element.get(f"First{letter}", "0"))
        page = element.get("IFD")
        count = int(element.get("PlaneCount", total if page is None else 1))
        uuid = element.find(f"{space}UUID")
        file = None if uuid is None or is_own(uuid) else uuid.get("FileName")
        yield PlaneRun(first=first, page=int(page or "0"), count=count, file=file)


def _interval(pixels: ET.Element, space: str, frames: int) -> tuple[float | None, str]:
    stated = _positive(pixels.get("TimeIncrement"))
    unit = S_PER_UNIT.get(pixels.get("TimeIncrementUnit", "s"))
    if stated is not None and unit is not None:
        return stated * unit, "TimeIncrement of the OME-XML"
    times = {}
    for plane in pixels.iterfind(f"{space}Plane"):
        delta, unit = plane.get("DeltaT"), S_PER_UNIT.get(plane.get("DeltaTUnit", "s"))
        if delta is not None and unit is not None and plane.get("TheC", "0") == plane.get("TheZ", "0") == "0":
            times[int(plane.get("TheT", "0"))] = float(delta) * unit
    if frames > 1 and {0, frames - 1} <= set(times) and times[frames - 1] > times[0]:
        return (times[frames - 1] - times[0]) / (frames - 1), "DeltaT of the OME-XML"
    return None, ""


def _pixel_um(pixels: ET.Element) -> tuple[float, float] | None:
    found = []
    for letter in "YX":
        size = _positive(pixels.get(f"PhysicalSize{letter}"))
        um = UM_PER_UNIT.get(pixels.get(f"PhysicalSize{letter}Unit", "µm"))
        if size is None or um is None:
            return None
        found.append(size * um)
    return found[0], found[1]


def _positive(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
