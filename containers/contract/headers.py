"""What a TIFF says beside its pixels: axes, metadata and scales, kept from an input or made afresh."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tifffile

from contract.errors import AlgorithmFailed, JobRefused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from contract.stacks import Stack

CLASSIC_LIMIT_BYTES = 4 * 2**30 - 2**25  # room for the directories of a classic TIFF, whose offsets are 32 bits
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296  # TIFF 6.0 tag numbers
_OME_TYPES = {"uint8": "uint8", "uint16": "uint16", "int16": "int16", "float32": "float"}
_OME_SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_LAYOUT = {"ImageJ", "SCIFIO", "images", "channels", "slices", "frames", "hyperstack", "mode", "min", "max", "axes"}
_ASCII_END = 128

UM_PER_UNIT = {  # how programs write lengths; ImageJ escapes what is not ASCII
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "inch": 25400.0,
    "m": 1e6,
}
S_PER_UNIT = {"": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "min": 60.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scales:
    """Sampling of a movie; None where nobody says.

    Parameters
    ----------
    interval_s : float or None
        From one frame to the next.
    pixel_um : tuple of float or None
        Height and width of a pixel.
    """

    interval_s: float | None = None
    pixel_um: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """Everything of a TIFF but its pixels.

    Parameters
    ----------
    flavour : {"plain", "imagej", "ome"}
        How metadata are stored.
    axes : str
        Axes as stored, singleton axes included.
    shape : tuple of int
        Shape as stored.
    properties : mapping
        ImageJ: properties by name, without those that describe the pixel layout.
    xml : str
        OME: the XML of an input, whose layout is set anew when it is written; empty for a new one.
    resolution : tuple or None
        TIFF tags XResolution and YResolution.
    resolution_unit : int or None
        TIFF tag ResolutionUnit.
    scales : Scales
        For a new OME-XML.
    """

    flavour: Literal["plain", "imagej", "ome"]
    axes: str
    shape: tuple[int, ...]
    properties: Mapping[str, Any] = field(default_factory=dict)
    xml: str = ""
    resolution: tuple[Any, Any] | None = None
    resolution_unit: int | None = None
    scales: Scales = Scales()

    @property
    def frames(self) -> tuple[int, ...]:
        """Shape as (T, Y, X)."""
        return (int(np.prod(self.shape[:-2], dtype=np.int64)), *self.shape[-2:])


def header_of(stack: Stack) -> Header:
    """Return the header of an open stack, to be written again with other pixels.

    Parameters
    ----------
    stack : Stack
        Open input.

    Returns
    -------
    Header
        Its axes, OME or ImageJ metadata and physical sizes.

    Raises
    ------
    JobRefused
        When its OME-XML describes no pixels.
    """
    tags = stack.tiff.pages.first.tags
    resolution = None
    if _X_RESOLUTION in tags and _Y_RESOLUTION in tags:
        resolution = (tags[_X_RESOLUTION].value, tags[_Y_RESOLUTION].value)
    header = Header(
        flavour="plain",
        axes=stack.axes,
        shape=stack.stored_shape,
        resolution=resolution,
        resolution_unit=int(tags[_RESOLUTION_UNIT].value) if _RESOLUTION_UNIT in tags else None,
    )
    if stack.tiff.is_ome:
        xml = stack.tiff.ome_metadata or ""
        _pixels_of(xml, stack.path)
        return replace(header, flavour="ome", xml=xml)
    if stack.tiff.is_imagej:
        found = dict(stack.tiff.imagej_metadata or {})
        return replace(
            header, flavour="imagej", properties=kept_properties(found), scales=imagej_scales(found, resolution)
        )
    return header


def kept_properties(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ImageJ properties of a file without those that describe its pixel layout or display range."""
    return {name: value for name, value in found.items() if name not in _LAYOUT}


def imagej_scales(properties: Mapping[str, Any], resolution: tuple[Any, Any] | None) -> Scales:
    """Return what an ImageJ description says of time and space.

    Parameters
    ----------
    properties : mapping
        Properties by name: `finterval` or `fps`, `tunit`, `unit`.
    resolution : tuple or None
        TIFF tags XResolution and YResolution, pixels per unit as (numerator, denominator).
    """
    pixel_um = None
    interval, rate = _positive(properties.get("finterval")), _positive(properties.get("fps"))
    interval_s = None if rate is None else 1 / rate
    if interval is not None:
        interval_s = interval * S_PER_UNIT.get(str(properties.get("tunit", "")), 1.0)
    um = UM_PER_UNIT.get(unescaped(str(properties.get("unit", ""))))
    if um is not None and resolution is not None and all(pair[0] and pair[1] for pair in resolution):
        x, y = (um * pair[1] / pair[0] for pair in resolution)
        pixel_um = (y, x)
    return Scales(interval_s=interval_s, pixel_um=pixel_um)


def create_empty(target: Path, header: Header, dtype: np.dtype) -> int:
    """Write all directories and metadata of a TIFF whose pixels follow later.

    Parameters
    ----------
    target : Path
        What to write.
    header : Header
        What it says.
    dtype : numpy.dtype
        dtype of the pixels.

    Returns
    -------
    int
        Where the pixels begin; they lie in one block. [bytes]
    """
    big = int(np.prod(header.shape, dtype=np.int64)) * dtype.itemsize > CLASSIC_LIMIT_BYTES
    if header.flavour == "imagej" and big:  # its offsets are 32 bits; what it says of time and space is kept as OME
        header = replace(header, flavour="ome", axes="TYX", shape=header.frames)
    shape, options = _written(header, dtype)
    imagej = header.flavour == "imagej"
    with tifffile.TiffWriter(target, bigtiff=big, imagej=imagej, byteorder="<") as writer:
        writer.write(shape=shape, dtype=dtype, photometric="minisblack", **options)
    with tifffile.TiffFile(target) as tiff:
        offset_bytes: int | None = tiff.series[0].dataoffset
    if offset_bytes is None:
        message = f"{target}: the pixels of a new TIFF do not lie in one block"
        raise AlgorithmFailed(message)
    return offset_bytes


def unescaped(text: str) -> str:
    r"""Return a text of an ImageJ description with characters in place of escapes such as `\u00B5`."""
    pieces = text.split("\\u")
    found = [pieces[0]]
    for piece in pieces[1:]:
        try:
            found.append(chr(int(piece[:4], 16)) + piece[4:])
        except ValueError:
            found.append("\\u" + piece)
    return "".join(found)


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value < float("inf") else None


def _written(header: Header, dtype: np.dtype) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Return the shape as it is written, and the options of the writer."""
    options: dict[str, Any] = {}
    if header.resolution is not None:
        options["resolution"] = header.resolution
        if header.resolution_unit is not None:
            options["resolutionunit"] = header.resolution_unit
    if header.flavour == "ome":
        return header.shape, options | {"description": _ome_xml(header, dtype), "metadata": None}
    if header.flavour == "imagej":
        properties = {_escaped(name): _escaped(value) for name, value in header.properties.items()}
        return _six_axes(header), options | {"metadata": properties}
    return header.shape, options | {"metadata": {"axes": header.axes}}


def _escaped(value: Any) -> Any:  # noqa: ANN401 - a property may be anything
    """Write characters that are not ASCII as ImageJ does in its descriptions."""
    if not isinstance(value, str):
        return value
    return "".join(one if ord(one) < _ASCII_END else f"\\u{ord(one):04X}" for one in value)


def _six_axes(header: Header) -> tuple[int, ...]:
    """Return the shape in the order TZCYXS that ImageJ files are written in."""
    by_letter = dict(zip(header.axes, header.shape, strict=True))
    frames, height, width = header.frames
    if by_letter.get("Z", 1) > 1:
        return (1, frames, 1, height, width, 1)
    return (frames, 1, 1, height, width, 1)


def _pixels_of(xml: str, path: object) -> tuple[ET.Element, str, ET.Element]:
    """Return root, name space and the first Pixels element of an OME-XML."""
    try:
        root = ET.fromstring(xml)  # noqa: S314 - expat resolves no external entities
    except ET.ParseError as error:
        message = f"{path}: its OME-XML cannot be read ({error})"
        raise JobRefused(message) from error
    space = root.tag.removesuffix("OME")
    pixels = root.find(f"{space}Image/{space}Pixels")
    if pixels is None:
        message = f"{path}: its OME-XML has no Pixels element"
        raise JobRefused(message)
    return root, space, pixels


def _ome_xml(header: Header, dtype: np.dtype) -> bytes:
    """Return the OME-XML of the input with the pixel type of the prediction, or a new one."""
    root, space, pixels = _pixels_of(header.xml or _new_xml(header), "new OME-TIFF")
    ET.register_namespace("", space.strip("{}"))
    root.attrib.pop("UUID", None)
    pixels.set("Type", _OME_TYPES[dtype.name])
    pixels.set("BigEndian", "false")
    pixels.attrib.pop("SignificantBits", None)
    kept = [child for child in pixels if child.tag not in {f"{space}TiffData", f"{space}BinData"}]
    first = sum(child.tag == f"{space}Channel" for child in kept)
    for child in list(pixels):
        pixels.remove(child)
    pixels.extend(kept)
    pixels.insert(first, ET.Element(f"{space}TiffData", {"IFD": "0", "PlaneCount": str(header.frames[0])}))
    xml: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml


def _new_xml(header: Header) -> str:
    frames, height, width = header.frames
    root = ET.Element(f"{{{_OME_SPACE}}}OME")
    image = ET.SubElement(root, f"{{{_OME_SPACE}}}Image", {"ID": "Image:0"})
    sizes = {"SizeX": width, "SizeY": height, "SizeC": 1, "SizeZ": 1, "SizeT": frames}
    options = {"ID": "Pixels:0", "DimensionOrder": "XYCZT", "Type": "uint16"}
    options |= {name: str(size) for name, size in sizes.items()}
    if header.scales.pixel_um is not None:
        for letter, size_um in zip("YX", header.scales.pixel_um, strict=True):
            options |= {f"PhysicalSize{letter}": repr(size_um), f"PhysicalSize{letter}Unit": "µm"}
    if header.scales.interval_s is not None:
        options |= {"TimeIncrement": repr(header.scales.interval_s), "TimeIncrementUnit": "s"}
    pixels = ET.SubElement(image, f"{{{_OME_SPACE}}}Pixels", options)
    ET.SubElement(pixels, f"{{{_OME_SPACE}}}Channel", {"ID": "Channel:0:0", "SamplesPerPixel": "1"})
    return ET.tostring(root, encoding="unicode")
