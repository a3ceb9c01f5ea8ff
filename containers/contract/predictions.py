"""Streaming TIFF output: one prediction per input stack, same shape, axes and physical sizes, every frame present."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from contract.errors import AlgorithmFailed, JobRefused
from contract.stacks import Stack, open_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contract.events import Events
    from contract.job import Job

_CLASSIC_LIMIT_BYTES = 4 * 2**30 - 2**25  # room for the directories of a classic TIFF, whose offsets are 32 bits
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296  # TIFF 6.0 tag numbers
_OME_TYPES = {"uint8": "uint8", "uint16": "uint16", "int16": "int16", "float32": "float"}
_INTEGERS = ("uint8", "uint16", "int16")


class Prediction:
    """A prediction being written, frame after frame.

    Attributes
    ----------
    written : int
        Frames written so far.
    clipped_pixels : int
        Pixels that had to be clipped to the dtype of the input; 0 for float32.
    """

    def __init__(self, descriptor: int, offset_bytes: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape = shape
        self.written = 0
        self.clipped_pixels = 0
        self._descriptor = descriptor
        self._offset_bytes = offset_bytes
        self._dtype = dtype

    def write(self, frames: np.ndarray) -> None:
        """Append frames.

        Parameters
        ----------
        frames : ndarray of shape (n, Y, X) or (Y, X), float
            Intensities in the units of the input.

        Raises
        ------
        AlgorithmFailed
            For frames of another size, too many frames, or a value that is not finite.
        """
        block = np.asarray(frames)
        block = block[None] if block.ndim == 2 else block  # noqa: PLR2004 - a single frame
        if block.shape[1:] != self.shape[1:] or self.written + len(block) > self.shape[0]:
            message = f"expected {self.shape[0]} frames of {self.shape[1:]}, got {block.shape} after {self.written}"
            raise AlgorithmFailed(message)
        finite = np.isfinite(block).all(axis=(1, 2))
        if not finite.all():
            message = f"prediction: frame {self.written + int(np.argmin(finite))} holds NaN or infinite values"
            raise AlgorithmFailed(message)
        data = np.ascontiguousarray(self._to_dtype(block))
        position = self._offset_bytes + self.written * data[0].nbytes
        _write_all(self._descriptor, data.tobytes(), position)
        self.written += len(block)

    def _to_dtype(self, block: np.ndarray) -> np.ndarray:
        if self._dtype.name not in _INTEGERS:
            return block.astype(self._dtype, copy=False)
        limits = np.iinfo(self._dtype)
        rounded = np.rint(block)
        self.clipped_pixels += int(np.count_nonzero((rounded < limits.min) | (rounded > limits.max)))
        clipped: np.ndarray = np.clip(rounded, limits.min, limits.max).astype(self._dtype)
        return clipped


def _write_all(descriptor: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, position)
        view, position = view[count:], position + count


@contextmanager
def open_prediction(path: Path, like: Stack, dtype: str = "float32") -> Iterator[Prediction]:
    """Create the prediction of a stack; it gets its name only when complete.

    Parameters
    ----------
    path : Path
        File to make; its folder must exist.
    like : Stack
        The input: shape, axes, OME or ImageJ metadata and physical sizes are carried over.
    dtype : {"float32", "input"}
        dtype of the pixels; "input" rounds to the nearest integer and clips to the range of the input's dtype.

    Yields
    ------
    Prediction
        To be given every frame in order.

    Raises
    ------
    AlgorithmFailed
        When the block ends before every frame was written.
    """
    made = np.dtype("float32") if dtype == "float32" else like.dtype
    part = path.with_name(path.name + ".part")
    try:
        offset_bytes = _create_empty(part, like, made)
        descriptor = os.open(part, os.O_WRONLY)
        try:
            prediction = Prediction(descriptor, offset_bytes, like.shape, made)
            yield prediction
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if prediction.written != like.shape[0]:
            message = f"{path}: expected {like.shape[0]} frames, got {prediction.written}"
            raise AlgorithmFailed(message)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def predictions_of(job: Job, events: Events) -> Iterator[tuple[Stack, Prediction]]:
    """Open every stack of a predict job beside its prediction, and report progress as frames are written.

    Parameters
    ----------
    job : Job
        A predict job; `job.predictions` is created. A prediction that is there already is complete and is kept.
    events : Events
        Progress goes here, in frames over all stacks.

    Yields
    ------
    stack : Stack
        Input to read from.
    prediction : Prediction
        Output to write every frame of that input to.

    Raises
    ------
    JobRefused
        When two inputs have the same name, or an input cannot be read.
    """
    names = [path.name for path in job.inputs.noisy]
    if len(set(names)) != len(names):
        message = f"{job.path}: expected noisy stacks of different names, got {', '.join(sorted(names))}"
        raise JobRefused(message)
    job.predictions.mkdir(parents=True, exist_ok=True)
    done, total = 0, sum(_frame_count(path, job.axes) for path in job.inputs.noisy)
    for path in job.inputs.noisy:
        with open_stack(path, job.axes) as stack:
            target = job.predictions / path.name
            if not target.exists():
                with open_prediction(target, stack, job.output_dtype) as prediction:
                    yield stack, _Reporting(prediction, events, done, total)
                events.clipped(path.name, prediction.clipped_pixels)
            done += stack.shape[0]
            events.step(done, total)


class _Reporting(Prediction):
    """A prediction that reports progress after each write."""

    def __init__(self, prediction: Prediction, events: Events, done: int, total: int) -> None:
        self.shape = prediction.shape
        self.written = prediction.written
        self._prediction, self._events, self._done, self._total = prediction, events, done, total

    def write(self, frames: np.ndarray) -> None:
        self._prediction.write(frames)
        self.written = self._prediction.written
        self._events.step(self._done + self.written, self._total)


def _frame_count(path: Path, axes: str) -> int:
    with open_stack(path, axes) as stack:
        return stack.shape[0]


def _create_empty(part: Path, like: Stack, dtype: np.dtype) -> int:
    """Write all directories and metadata of a TIFF whose pixels follow later; return where the pixels begin."""
    size_bytes = like.shape[0] * like.shape[1] * like.shape[2] * dtype.itemsize
    big = size_bytes > _CLASSIC_LIMIT_BYTES
    imagej = bool(like.tiff.is_imagej) and not big
    options = _resolution(like)
    if like.tiff.is_ome:
        options |= {"description": _ome_xml(like, dtype), "metadata": None}
    elif imagej:
        options |= {"metadata": _imagej_metadata(like)}
    else:
        options |= {"metadata": {"axes": like.axes}}
    shape = _six_axes(like) if imagej else like.stored_shape
    with tifffile.TiffWriter(part, bigtiff=big, imagej=imagej, byteorder="<") as writer:
        writer.write(shape=shape, dtype=dtype, photometric="minisblack", **options)
    with tifffile.TiffFile(part) as tiff:
        offset_bytes: int | None = tiff.series[0].dataoffset
    if offset_bytes is None:
        message = f"{part}: the pixels of a new TIFF do not lie in one block"
        raise AlgorithmFailed(message)
    return offset_bytes


def _resolution(like: Stack) -> dict[str, Any]:
    tags = like.tiff.pages.first.tags
    if _X_RESOLUTION not in tags or _Y_RESOLUTION not in tags:
        return {}
    options: dict[str, Any] = {"resolution": (tags[_X_RESOLUTION].value, tags[_Y_RESOLUTION].value)}
    if _RESOLUTION_UNIT in tags:
        options["resolutionunit"] = int(tags[_RESOLUTION_UNIT].value)
    return options


def _six_axes(like: Stack) -> tuple[int, ...]:
    """Return the shape in the order TZCYXS that ImageJ files are written in."""
    by_letter = dict(zip(like.axes, like.stored_shape, strict=True))
    frames = like.shape[0]
    if by_letter.get("Z", 1) > 1:
        return (1, frames, 1, *like.shape[1:], 1)
    return (frames, 1, 1, *like.shape[1:], 1)


def _imagej_metadata(like: Stack) -> dict[str, Any]:
    """Keep the ImageJ properties of the input, but for those that describe its pixel layout or display range."""
    layout = {"ImageJ", "images", "channels", "slices", "frames", "hyperstack", "mode", "min", "max", "axes"}
    properties = dict(like.tiff.imagej_metadata or {})
    return {name: value for name, value in properties.items() if name not in layout}


def _ome_xml(like: Stack, dtype: np.dtype) -> bytes:
    """Return the OME-XML of the input with the pixel type of the prediction; everything else is kept."""
    root = ET.fromstring(like.tiff.ome_metadata or "")  # noqa: S314 - expat resolves no external entities
    space = root.tag.removesuffix("OME")
    ET.register_namespace("", space.strip("{}"))
    root.attrib.pop("UUID", None)
    pixels = root.find(f"{space}Image/{space}Pixels")
    if pixels is None:
        message = f"{like.path}: its OME-XML has no Pixels element"
        raise JobRefused(message)
    pixels.set("Type", _OME_TYPES[dtype.name])
    pixels.set("BigEndian", "false")
    pixels.attrib.pop("SignificantBits", None)
    kept = [child for child in pixels if child.tag not in {f"{space}TiffData", f"{space}BinData"}]
    first = sum(child.tag == f"{space}Channel" for child in kept)
    for child in list(pixels):
        pixels.remove(child)
    pixels.extend(kept)
    pixels.insert(first, ET.Element(f"{space}TiffData", {"IFD": "0", "PlaneCount": str(like.shape[0])}))
    xml: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml
