"""AVI, MKV and MP4: every frame that can be decoded, counted by the packets of the file; colours are channels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.data.readers.extras import imported
from orchestrator.data.readers.planes import Stored
from orchestrator.data.recording import Part, Stated
from orchestrator.errors import BadInput
from orchestrator.foreign import AGAIN, reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.records.record import Choice

_SUFFIXES = (".avi", ".mkv", ".mp4", ".mov", ".m4v")
_LOSSLESS = ("ffv1", "rawvideo", "huffyuv", "ffvhuff", "utvideo", "png", "magicyuv", "bmp", "dib")
_GREY_16 = ("gray16le", "gray14le", "gray12le", "gray10le")
_BRIGHTNESS = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12")  # in its first plane
_COLOURS = ("rgb24", "bgr24", "rgb0", "bgr0", "0rgb", "0bgr", "rgba", "bgra", "argb", "abgr", "gbrp", "pal8")
_NO_COLOUR, _SLACK = 128, 8  # of the planes beside brightness; what a codec adds to a grey movie is less
_AV_TICKS = 1_000_000  # of a duration, in a second


class VideoPlanes:
    """Frames of the first video stream of a file, decoded forward; of a movie in colour, three planes each."""

    def __init__(self, path: Path, stored: Stored, layout: str) -> None:
        self.stored = stored
        self._path = path
        self._layout = layout
        self._next = 0
        self._frame: NDArray[np.generic] | None = None
        self._frames: Iterator[NDArray[np.generic]] | None = None
        self._container: Any = None

    def read(self, which: range) -> NDArray[np.generic]:
        """Read planes as an array of shape (n, Y, X); going back begins the file again."""
        first = which.start // (len(self.stored.channels) or 1)
        if self._frames is None or first < self._next - 1:
            self.close()
            self._frames, self._next = self._decoded(), 0
        block = np.empty((len(which), *self.stored.frame), self.stored.dtype)
        channels = len(self.stored.channels) or 1
        for index, plane in enumerate(which):
            frame, channel = divmod(plane, channels)
            while self._next <= frame:
                self._frame = next(self._frames, None)
                self._next += 1
            if self._frame is None:
                count = self.stored.parts[0].planes
                message = f"{self._path}: expected {count} frames, as it has packets, got {self._next - 1}"
                raise BadInput(message, AGAIN)
            block[index] = self._frame[..., channel]
        return block

    def check(self) -> None:
        """Find nothing: frames are compared with the packets when they are read."""

    def close(self) -> None:
        """Close the file."""
        self._frames = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def _decoded(self) -> Iterator[NDArray[np.generic]]:
        av = imported("av", "video", self._path)
        with reading(self._path, "a video", AGAIN):
            self._container = av.open(str(self._path))
        frames = self._container.decode(video=0)
        while True:
            with reading(self._path, f"frame {self._next}", AGAIN):
                frame = next(frames, None)
                pixels = None if frame is None else self._pixels(frame)
            if pixels is None:
                return
            yield pixels

    def _pixels(self, frame: Any) -> NDArray[np.generic]:  # noqa: ANN401 - av has no types
        """Return values as they are stored, of shape (Y, X, channels): grey or brightness, or red, green and blue."""
        if self._layout in _COLOURS:
            colours: NDArray[np.generic] = frame.to_ndarray(format="rgb24")
            return colours if self.stored.channels else self._one_of(colours)
        if self._layout in _BRIGHTNESS and any(_is_coloured(plane, self._layout) for plane in frame.planes[1:]):
            raise self._in_colour()
        plane, dtype = frame.planes[0], self.stored.dtype.newbyteorder("<")
        rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
        return rows[: self.stored.frame[0], : self.stored.frame[1], None]

    def _one_of(self, colours: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return one channel of a grey frame that is stored in colours."""
        if not (colours == colours[..., :1]).all():
            raise self._in_colour()
        return colours[..., :1]

    def _in_colour(self) -> BadInput:
        what = f"one in colour ({self._layout}) in frame {self._next}"
        message = f"{self._path}: expected a grey video, got {what}"
        return BadInput(message, "Save one channel as a grey movie, for instance with Fiji as TIFF.")


def _is_coloured(plane: Any, layout: str) -> bool:  # noqa: ANN401 - av has no types
    """Say whether a plane of colour differences holds any; bytes beyond the width of the frame are no pixels."""
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]
    inside = rows[:, : plane.width * (2 if layout == "nv12" else 1)]  # nv12 has both differences in one plane
    return bool(np.abs(inside.astype(np.int16) - _NO_COLOUR).max() > _SLACK)


def is_video(path: Path) -> bool:
    """Say whether a path is a video by its name."""
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def open_movie(path: Path, _: Choice) -> VideoPlanes:
    """Open a video; one in colours without loss has three channels, one in brightness and colour must be grey.

    Raises
    ------
    BadInput
        For a file without video, one of a layout that is not known, and one whose brightness is mixed of colours.
    """
    av = imported("av", "video", path)
    with reading(path, "a video", AGAIN), av.open(str(path)) as container:
        if not container.streams.video or container.format.name.endswith(("_pipe", "image2")):
            message = f"{path}: expected a video, got {container.format.name}"
            raise BadInput(message, "Give the movie itself.")
        context = container.streams.video[0].codec_context
        codec, layout = context.name, context.pix_fmt or ""
        stored = _stored(path, container, f"video ({codec})", _notes(path, codec, layout))
    if layout not in {"gray", *_GREY_16, *_BRIGHTNESS, *_COLOURS}:
        message = f"{path}: expected a grey video, got one in colour ({layout})"
        raise BadInput(message, "Save one channel as a grey movie, for instance with Fiji as TIFF.")
    three = replace(
        stored, axes="TS", lengths=(*stored.lengths, 3), planes=3 * stored.planes, channels=("red", "green", "blue")
    )
    if layout not in _COLOURS:
        grey = VideoPlanes(path, stored, layout)
        grey.read(range(1))  # one in colour is refused at once
        return grey
    colours = VideoPlanes(path, three, layout)
    red, green, blue = colours.read(range(3))
    is_grey = np.array_equal(red, green) and np.array_equal(red, blue)
    colours.close()
    return VideoPlanes(path, stored, layout) if is_grey else colours


def _stored(path: Path, container: Any, kind: str, notes: tuple[str, ...]) -> Stored:  # noqa: ANN401 - av has no types
    stream = container.streams.video[0]
    rate, size = stream.average_rate, (int(stream.codec_context.height), int(stream.codec_context.width))
    packets = sum(1 for packet in container.demux(video=0) if packet.size)
    seconds = (container.duration or 0) / _AV_TICKS
    counted = stream.frames or round(seconds * (rate or 0))
    doubt = None
    if counted > packets + 1:  # a duration is rounded
        message = f"{path}: expected {counted} frames, as its header counts, got {packets}"
        doubt = BadInput(message, f"{AGAIN[:-1]}; or --axes TYX takes the frames that are there.")
    return Stored(
        format=kind,
        parts=(Part(file=path, planes=packets),),
        axes="T",
        lengths=(packets,),
        planes=packets,
        frame=size,
        dtype=np.dtype(np.uint16 if stream.codec_context.pix_fmt in _GREY_16 else np.uint8),
        interval_s=Stated(value=float(1 / rate), origin="frame rate of the video") if rate else None,
        notes=notes,
        doubt=doubt,
    )


def _notes(path: Path, codec: str, layout: str) -> tuple[str, ...]:
    notes = []
    if codec not in _LOSSLESS:
        notes.append(
            f"{path.name}: its codec {codec} loses information, so the noise is not that of the detector: "
            "no law of gain holds, and methods that need independent pixels fail."
        )
    if layout in _BRIGHTNESS:
        notes.append(f"{path.name}: it is stored as {layout}; its brightness alone is taken.")
    return tuple(notes)
