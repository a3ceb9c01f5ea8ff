"""What OME-XML says of a recording: its images, their sizes, and in which page of which file each plane lies."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from contract.headers import S_PER_UNIT, UM_PER_UNIT
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LETTERS = "TZC"


class _Attributes(msgspec.Struct, frozen=True, rename="pascal"):
    """Attributes of an element, by their names in OME-XML; those that are not named here are passed over."""


class _Image(_Attributes, frozen=True, rename="pascal"):
    name: str = ""
    identifier: str = msgspec.field(name="ID", default="")


class _Pixels(_Attributes, frozen=True, rename="pascal"):
    dimension_order: str = "XYCZT"
    size_t: int = 1
    size_z: int = 1
    size_c: int = 1
    time_increment: str = ""
    time_increment_unit: str = "s"
    physical_size_y: str = ""
    physical_size_x: str = ""
    physical_size_y_unit: str = "µm"
    physical_size_x_unit: str = "µm"

    @property
    def sizes(self) -> dict[str, int]:
        """Lengths by letter of T, Z and C, the slowest first."""
        order = self.dimension_order[:1:-1]
        if sorted(order) != sorted(_LETTERS):
            message = f"DimensionOrder {self.dimension_order}"
            raise ValueError(message)
        known = dict(zip(_LETTERS, (self.size_t, self.size_z, self.size_c), strict=True))
        return {letter: known[letter] for letter in order}


class _Channel(_Attributes, frozen=True, rename="pascal"):
    name: str = ""
    samples_per_pixel: int = 1


class _TiffData(_Attributes, frozen=True, rename="pascal"):
    first_t: int = 0
    first_z: int = 0
    first_c: int = 0
    page: int | None = msgspec.field(name="IFD", default=None)
    plane_count: int | None = None

    def first(self, sizes: dict[str, int]) -> int:
        """Return the number of its first plane among all of the image."""
        firsts = dict(zip(_LETTERS, (self.first_t, self.first_z, self.first_c), strict=True))
        number = 0
        for letter, length in sizes.items():
            number = number * length + firsts[letter]
        return number


class _Plane(_Attributes, frozen=True, rename="pascal"):
    the_t: int = 0
    the_z: int = 0
    the_c: int = 0
    delta_t: str = ""
    delta_t_unit: str = "s"


class _Named(_Attributes, frozen=True, rename="pascal"):
    """What an element says of a file."""

    file_name: str | None = None
    metadata_file: str | None = None
    uuid: str | None = msgspec.field(name="UUID", default=None)


AttributesT = TypeVar("AttributesT", bound=_Attributes)


def _read(element: ET.Element, kind: type[AttributesT]) -> AttributesT:
    """Read the attributes of an element; a ValueError names one that is not of its type."""
    return msgspec.convert(element.attrib, kind, strict=False)


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
    names = {_read(element, _Named).file_name for element in root.iter(f"{space}UUID")} - {None}

    def is_own(uuid: ET.Element) -> bool:
        """Say whether planes lie in the file itself; the only file of a recording may have been renamed."""
        named = _read(uuid, _Named).file_name in {None, path.name}
        same = named or (uuid.text or "").strip() == _read(root, _Named).uuid
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
    return None if found is None else _read(found, _Named).metadata_file


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
    said, names = _read(pixels, _Pixels), _read(image, _Image)
    channels = [_read(one, _Channel) for one in pixels.iterfind(f"{space}Channel")]
    sizes = said.sizes
    sizes["C"] //= channels[0].samples_per_pixel if channels else 1
    if min(sizes.values()) < 1:
        message = f"sizes {sizes}"
        raise ValueError(message)
    interval_s, origin = _interval(said, (_read(one, _Plane) for one in pixels.iterfind(f"{space}Plane")), sizes["T"])
    return OmeImage(
        name=names.name or names.identifier or "image",
        axes="".join(sizes),
        lengths=tuple(sizes.values()),
        runs=tuple(_runs(pixels, space, sizes, is_own)),
        channels=tuple(one.name for one in channels) if all(one.name for one in channels) else (),
        interval_s=interval_s,
        interval_origin=origin,
        pixel_um=_pixel_um(said),
    )


def _runs(
    pixels: ET.Element, space: str, sizes: dict[str, int], is_own: Callable[[ET.Element], bool]
) -> Iterator[PlaneRun]:
    total = math.prod(sizes.values())
    for element in pixels.iterfind(f"{space}TiffData"):
        said, uuid = _read(element, _TiffData), element.find(f"{space}UUID")
        count = said.plane_count if said.plane_count is not None else total if said.page is None else 1
        file = None if uuid is None or is_own(uuid) else _read(uuid, _Named).file_name
        yield PlaneRun(first=said.first(sizes), page=said.page or 0, count=count, file=file)


def _interval(said: _Pixels, planes: Iterator[_Plane], frames: int) -> tuple[float | None, str]:
    stated, unit = _positive(said.time_increment), S_PER_UNIT.get(said.time_increment_unit)
    if stated is not None and unit is not None:
        return stated * unit, "TimeIncrement of the OME-XML"
    times = {}
    for plane in planes:
        delta, unit = _number(plane.delta_t), S_PER_UNIT.get(plane.delta_t_unit)
        if delta is not None and unit is not None and plane.the_c == plane.the_z == 0:
            times[plane.the_t] = delta * unit
    if frames > 1 and {0, frames - 1} <= set(times) and times[frames - 1] > times[0]:
        return (times[frames - 1] - times[0]) / (frames - 1), "DeltaT of the OME-XML"
    return None, ""


def _pixel_um(said: _Pixels) -> tuple[float, float] | None:
    y, x = _positive(said.physical_size_y), _positive(said.physical_size_x)
    y_um, x_um = UM_PER_UNIT.get(said.physical_size_y_unit), UM_PER_UNIT.get(said.physical_size_x_unit)
    if y is None or x is None or y_um is None or x_um is None:
        return None
    return y * y_um, x * x_um


def _positive(text: str) -> float | None:
    number = _number(text)
    return number if number is not None and number > 0 else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
