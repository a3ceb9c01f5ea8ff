"""Recordings as instruments and labs store them, written by tifffile with metadata of our own wording."""

from __future__ import annotations

import numpy as np
import tifffile

FRAMES = np.random.default_rng(13).integers(0, 4000, (12, 40, 48)).astype(np.uint16)
_OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def pages(path, movie, description, **options):
    """Write one page for each frame, with a description on the first."""
    with tifffile.TiffWriter(path, **options) as tiff:
        for index, frame in enumerate(movie):
            text = description.encode() if index == 0 and description else None
            tiff.write(frame, description=text, metadata=None, contiguous=False, photometric="minisblack")
    return path


def block(path, movie, description):
    """Write pages whose pixels follow each other, as ImageJ does."""
    tifffile.imwrite(path, movie, description=description.encode(), metadata=None, photometric="minisblack")
    return path


def ome_xml(movie, *, sizes, scales="", body="<TiffData/>", uuid=""):
    """Return an OME-XML; `sizes` are T, Z and C."""
    time, depth, channels = sizes
    names = "".join(f'<Channel ID="Channel:0:{index}" SamplesPerPixel="1"/>' for index in range(channels))
    height, width = movie.shape[-2:]
    return (
        f'<?xml version="1.0" encoding="utf-8"?><OME xmlns="{_OME}" {uuid}><Image ID="Image:0" Name="m">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="{width}" SizeY="{height}" '
        f'SizeC="{channels}" SizeZ="{depth}" SizeT="{time}" {scales}>{names}{body}</Pixels></Image></OME>'
    )


def ome_set(folder, movie, files=4):
    """Write one recording in several files that an OME-XML in each joins; return their paths."""
    each = len(movie) // files
    names = [f"set_{index}.ome.tif" for index in range(files)]
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{index}" for index in range(files)]
    body = "".join(
        f'<TiffData IFD="{frame % each}" FirstT="{frame}" PlaneCount="1">'
        f'<UUID FileName="{names[frame // each]}">{uuids[frame // each]}</UUID></TiffData>'
        for frame in range(len(movie))
    )
    scales = 'TimeIncrement="50" TimeIncrementUnit="ms"'
    for index, name in enumerate(names):
        xml = ome_xml(movie, sizes=(len(movie), 1, 1), scales=scales, body=body, uuid=f'UUID="{uuids[index]}"')
        pages(folder / name, movie[index * each : (index + 1) * each], xml)
    return [folder / name for name in names]


def scanimage(path, movie, settings):
    """Write a recording with the header of ScanImage 2016 and later in tag Software."""
    text = "\n".join(f"SI.{name} = {value}" for name, value in {"VERSION_MAJOR": 2020, **settings}.items())
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for frame in movie.astype(np.int16):
            tiff.write(frame, software=text, metadata=None, contiguous=False, photometric="minisblack")
    return path
