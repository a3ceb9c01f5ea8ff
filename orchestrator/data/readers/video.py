"""AVI, MKV and MP4 in grey: every frame that can be decoded, counted by the packets of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.data.readers.extras import imported
from orchestrator.data.readers.planes import Stored
from orchestrator.data.recording import Part, Stated
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.records import Choice

_SUFFIXES = (".avi", ".mkv", ".mp4", ".mov", ".m4v")
_LOSSLESS = ("ffv1", "rawvideo", "huffyuv", "ffvhuff", "utvideo", "png", "magicyuv", "bmp", "dib")
_GREY_16 = ("gray16le", "gray14le", "gray12le", "gray10le")
_GREY = ("gray", *_GREY_16, "pal8", "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12")
_AGAIN = "Copy the file again from its source and compare checksums."


class VideoPlanes:
    """Frames of the first video stream of a file, decoded forward."""

    def __init__(self, path: Path, stored: Stored, layout: str) -> None:
        self.stored = stored
        self._path = path
        self._layout = layout
        self._next = 0
        self._frames: Iterator[NDArray[np.generic]] | None = None
        self._container: Any = None

    def read(self, which: range) -> NDArray[np.generic]:
        """Read planes as an array of shape (n, Y, X); going back begins the file again."""
        if self._frames is None or which.start < self._next:
            self.close()
            self._frames, self._next = self._decoded(), 0
        block = np.empty((len(which), *self.stored.frame), self.stored.dtype)
        for index, wanted in enumerate(which):
            frame = None
            while self._next <= wanted:
                frame = next(self._frames, None)
                self._next += 1
            if frame is None:
                message = f"{self._path}: expected {self.stored.planes} frames, as it has packets, got {self._next - 1}"
                raise BadInput(message, _AGAIN)
            block[index] = frame
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
        try:
            self._container = av.open(str(self._path))
            for frame in self._container.decode(video=0):
                yield self._pixels(frame)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            message = f"{self._path}: frame {self._next} cannot be decoded ({error})"
            raise BadInput(message, _AGAIN) from error

    def _pixels(self, frame: Any) -> NDArray[np.generic]:  # noqa: ANN401 - av has no types
        """Return grey values, or brightness, as they are stored."""
        if self._layout == "pal8":
            grey: NDArray[np.generic] = frame.to_ndarray(format="gray")
            return grey
        plane, dtype = frame.planes[0], self.stored.dtype.newbyteorder("<")
        rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
        return rows[: self.stored.frame[0], : self.stored.frame[1]]


def is_video(path: Path) -> bool:
    """Say whether a path is a video by its name."""
    return path.suffix.lower() in _SUFFIXES and path.is_file()


def open_movie(path: Path, _: Choice) -> VideoPlanes:
    """Open a grey video.

    Raises
    ------
    BadInput
        For a file without video, and for one in colour whose codec loses nothing: which channel is not known.
    """
    av = imported("av", "video", path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video or container.format.name.endswith(("_pipe", "image2")):
                message = f"{path}: expected a video, got {container.format.name}"
                raise BadInput(message, "Give the movie itself.")
            stream = container.streams.video[0]
            codec, layout = stream.codec_context.name, stream.codec_context.pix_fmt or ""
            rate = stream.average_rate
            frame = (int(stream.codec_context.height), int(stream.codec_context.width))
            packets = sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.error.FFmpegError, OSError) as error:
        message = f"{path}: expected a video, got one that cannot be read ({error})"
        raise BadInput(message, _AGAIN) from error
    deep = layout in _GREY_16
    if layout not in _GREY:
        message = f"{path}: expected a grey video, got one in colour ({layout})"
        raise BadInput(message, "Save one channel as a grey movie, for instance with Fiji as TIFF.")
    stored = Stored(
        format=f"video ({codec})",
        parts=(Part(file=path, planes=packets),),
        axes="T",
        lengths=(packets,),
        planes=packets,
        frame=frame,
        dtype=np.dtype(np.uint16 if deep else np.uint8),
        interval_s=Stated(value=float(1 / rate), origin="frame rate of the video") if rate else None,
        notes=_notes(path, codec, layout),
    )
    return VideoPlanes(path, stored, layout)


def _notes(path: Path, codec: str, layout: str) -> tuple[str, ...]:
    notes = []
    if codec not in _LOSSLESS:
        notes.append(
            f"{path.name}: its codec {codec} loses information, so the noise is not that of the detector: "
            "no law of gain holds, and methods that need independent pixels fail."
        )
    if not layout.startswith("gray"):
        notes.append(f"{path.name}: it is stored as {layout}; its brightness alone is taken.")
    return tuple(notes)
