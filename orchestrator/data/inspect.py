"""Look at input movies before anything is started: whatever cannot be used is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contract.errors import AlgorithmFailed, JobRefused
from contract.headers import Header, Scales, create_empty, header_of
from contract.stacks import SUPPORTED_DTYPES, open_stack
from orchestrator.data.dtypes import Values, needs_values, values_of
from orchestrator.data.light import check_sizes, saturation_note, saturation_of
from orchestrator.data.readers import open_planes
from orchestrator.data.readers.choose import choose
from orchestrator.data.readers.ome import narrowed
from orchestrator.data.recording import Recording, Stated
from orchestrator.data.targets import check_target
from orchestrator.documents import plain
from orchestrator.errors import BadInput
from orchestrator.records.truth import read_truth
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from orchestrator.data.checksums import Checksums
    from orchestrator.data.readers.choose import Frames
    from orchestrator.data.readers.planes import Planes, Stored
    from orchestrator.domain import Movie
    from orchestrator.records.record import Choice

_VERSION = "stack 1\n"  # a change of what is written needs another number, and so another cache folder
_KEY_DIGITS = 16
_GAPS_HINT = "Replace these values (borders left by motion correction?), crop them away, or set detector_gaps=fill."
_BLOCK_BYTES = 8 * 2**20
_LONGEST_NAME = 200  # bytes; file systems take 255
_SMALLEST = 11  # pixels a side; the window of SSIM
_ORIGIN = "--frame-rate"
_TIFF_NAMES = (".tif", ".tiff")
_READABLE = ("TIFF", "ImageJ TIFF", "OME-TIFF")  # formats whose own metadata a prediction keeps
_SAME_RATE = 0.01  # instruments measure the rate of each recording
_DIGITS = re.compile(r"\d+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # how Python keeps bytes that are no UTF-8


def check_path(path: Path) -> None:
    """Refuse a path that some engine cannot mount.

    Raises
    ------
    BadInput
        For a comma (breaks mounts of Docker, Podman and Apptainer), a colon (breaks those of Apptainer), bytes that are
        no UTF-8, which no record can hold, and a name that is too long to be the beginning of others.
    """
    if _SURROGATE.search(str(path)):
        shown = str(path).encode(errors="backslashreplace").decode()
        message = f"{shown}: expected a path in UTF-8, got other bytes"
        raise BadInput(message, "Rename the file.")
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        message = f"{path}: expected a name of at most {_LONGEST_NAME} bytes, got {len(os.fsencode(path.name))}"
        raise BadInput(message, "Rename the file; what is made of it has longer names.")
    for character in ",:":
        if character in str(path):
            message = f"{path}: expected a path without '{character}', which container engines cannot mount"
            raise BadInput(message, "Rename or move the file; a symbolic link elsewhere will not do.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspector:
    """Describes movies; what it found out of a content is remembered.

    Parameters
    ----------
    stacks : Path
        Folder of the copies that jobs read, where they cannot read a movie itself.
    checksums : Checksums
        Memory of contents.
    """

    stacks: Path
    checksums: Checksums

    def describe(self, given: Path, choice: Choice) -> Recording:
        """Describe a movie.

        Parameters
        ----------
        given : Path
            A file, a folder with the files of one recording, or a pattern of their names.
        choice : Choice
            What the user says of it.

        Returns
        -------
        Recording
            All that is known of it without starting anything; its values were read where that is needed.

        Raises
        ------
        BadInput
            For whatever cannot be used: damaged, unclear, too small, not finite, or not to be written again.
        """
        check_path(given)
        planes = open_planes(given, choice)
        try:
            frames = choose(given, planes.stored, choice)
            return self._described(given, planes, frames, choice)
        finally:
            planes.close()

    def _described(self, given: Path, planes: Planes, frames: Frames, choice: Choice) -> Recording:
        stored = planes.stored
        height, width = stored.frame
        _check_frames(given, stored, frames)
        places = {*(part.file for part in stored.parts), *stored.others}
        files = tuple(sorted(place for place in places if place.is_file()))
        check_sizes(given, stored, sum(path.stat().st_size for path in files))
        content = self._content(files, choice)
        values = self._values(given, content, planes, frames)
        saturation = self._saturation(given, content, planes, frames)
        recording = Recording(
            given=given,
            format=stored.format,
            parts=stored.parts,
            files=files,
            shape=(len(frames.planes), height, width),
            axes=frames.axes,
            stored_dtype=stored.dtype.name,
            dtype=values.dtype,
            frame_rate_hz=_rate(stored, choice),
            pixel_um=stored.pixel_um,
            gap_frame=values.gap_frame,
            choice=choice,
            notes=(
                *stored.notes,
                *frames.notes,
                *_rate_notes(given, stored, choice),
                *saturation_note(given.name, saturation),
            ),
            stack=self.stacks / content / _stack_name(given, stored),
            copied=True,
        )
        self._check_pages(content, planes)
        axes = self._own_axes(content, recording, stored, frames)
        if axes is None:
            self._check_output(content, recording, lambda: header_for(recording, stored, frames))
            return recording
        direct = replace(recording, stack=files[0], axes=axes, copied=False)
        self._check_output(content, direct, lambda: _own_header(direct))
        return direct

    def _values(self, given: Path, content: str, planes: Planes, frames: Frames) -> Values:
        """Look at the values where the dtype of the stack depends on them, once for each content."""
        dtype = planes.stored.dtype
        if not needs_values(dtype):
            return Values(dtype=dtype.name)

        def look() -> str:
            found = values_of(given, dtype, blocks_of(planes, frames.planes))
            return json.dumps([found.dtype, found.gap_frame])

        name, gap_frame = json.loads(self.checksums.found(f"{content} values", look))
        return Values(dtype=name, gap_frame=gap_frame)

    def _saturation(self, given: Path, content: str, planes: Planes, frames: Frames) -> tuple[float, float] | None:
        """Look for a saturated detector, once for each content; a movie without structure is refused."""
        text = self.checksums.found(
            f"{content} saturation", lambda: json.dumps(saturation_of(given, planes, frames.planes) or ())
        )
        return json.loads(text) or None

    def _content(self, files: tuple[Path, ...], choice: Choice) -> str:
        """Return a hash of all that a copy is made of."""
        sums = self.checksums.of_all(files)
        root = Path(os.path.commonpath([path.parent for path in files]))
        names = [[str(path.relative_to(root)), digest] for path, digest in zip(files, sums, strict=True)]
        text = json.dumps([names, plain(choice)], sort_keys=True)
        return hashlib.sha256((_VERSION + text).encode()).hexdigest()[:_KEY_DIGITS]

    def _own_axes(self, content: str, recording: Recording, stored: Stored, frames: Frames) -> str | None:
        """Return the axes of a file that jobs can read as it is; None where they read a copy."""
        axes: str | None = json.loads(
            self.checksums.found(f"{content} axes", lambda: json.dumps(_direct_axes(recording, stored, frames)))
        )
        return axes

    def _check_pages(self, content: str, planes: Planes) -> None:
        def check() -> str:
            planes.check()
            return "passed"

        self.checksums.found(f"{content} pages", check)

    def _check_output(self, content: str, recording: Recording, header_of_it: Callable[[], Header]) -> None:
        """Begin the prediction as a job will, and read back what was begun."""

        def check() -> str:
            header = header_of_it()
            self.stacks.mkdir(parents=True, exist_ok=True)
            try:
                with scratch(self.stacks) as folder:
                    for dtype in dict.fromkeys(("float32", recording.dtype)):
                        create_empty(folder / "begun.tif", header, np.dtype(dtype))
                        with open_stack(folder / "begun.tif") as stack:
                            _check_shape(recording, stack.shape)
            except OSError:  # of the disk
                raise
            except Exception as error:  # tifffile raises many classes on metadata that it cannot write
                message = f"{recording.given}: its prediction cannot be written with its metadata ({error})"
                raise BadInput(
                    message, "Save the movie without these metadata, for instance as a plain TIFF."
                ) from error
            return "passed"

        self.checksums.found(f"{content} output", check)


def check_movies(name: str, movies: tuple[Movie, ...], recordings: dict[Path, Recording], checksums: Checksums) -> None:
    """Check the movies of a run against each other, and their targets.

    Raises
    ------
    BadInput
        For one frame where a movie is expected, two movies of one name, a target that `check_target` refuses, and a
        truth that does not fit.
    """
    for movie in movies:
        recording = recordings[movie.noisy]
        if recording.shape[0] == 1 and recording.choice.axes != "YX":
            message = f"{recording.given}: expected a movie of at least 2 frames, got 1"
            raise BadInput(message, _one_frame_hint(recording))
        if movie.target is not None:
            check_target(movie.target, movie.noisy.name, recording.shape, checksums)
        if movie.truth is not None:
            read_truth(movie.truth, recording.shape)
    names = [f"{movie.split}/{movie.noisy.name}" for movie in movies]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        message = f"{name}: expected movies of different names, got {', '.join(twice)} twice"
        raise BadInput(message, "Predictions keep the names of their movies; rename one of them.")


def check_gaps(recordings: Iterable[Recording]) -> None:
    """Refuse movies with values that are not finite, to an algorithm that does not fill them.

    Raises
    ------
    BadInput
        With the first frame that holds one.
    """
    for one in recordings:
        if one.gap_frame is not None:
            message = f"{one.given}: expected finite values, got NaN or infinity in frame {one.gap_frame}"
            raise BadInput(message, _GAPS_HINT)


def blocks_of(planes: Planes, which: range) -> Iterator[NDArray[np.generic]]:
    """Yield frames in blocks of shape (n, Y, X) that need a bounded amount of memory."""
    stored = planes.stored
    step = max(1, _BLOCK_BYTES // (stored.frame[0] * stored.frame[1] * max(8, stored.dtype.itemsize)))
    step = step if step < stored.block else step // stored.block * stored.block
    for start in range(0, len(which), step):
        yield planes.read(which[start : start + step])


def header_for(recording: Recording, stored: Stored, frames: Frames) -> Header:
    """Return the header of the copy of a movie: what its file says, or a new one that says the same."""
    count, height, width = recording.shape
    shape = (count, height, width) if frames.axes != "YX" else (height, width)
    rate = recording.frame_rate_hz
    interval_s = None if rate is None else 1 / rate.value
    kept = stored.header
    if kept is None:
        known = rate is not None or recording.pixel_um is not None
        plain = recording.stack.suffix in _TIFF_NAMES and not known
        scales = Scales(
            interval_s=interval_s, pixel_um=None if recording.pixel_um is None else recording.pixel_um.value
        )
        axes = frames.axes if plain else "TYX"
        return Header(
            flavour="plain" if plain else "ome", axes=axes, shape=shape if plain else recording.shape, scales=scales
        )
    if kept.flavour == "imagej":
        properties = dict(kept.properties)
        if rate is not None and rate.origin == _ORIGIN:
            properties = {name: one for name, one in properties.items() if name not in {"fps", "tunit"}}
            properties["finterval"] = interval_s
        axes = frames.axes if frames.axes[0] in "TZ" else "TYX"
        return replace(kept, axes=axes, shape=recording.shape, properties=properties)
    channel = None if recording.choice.channel is None else recording.choice.channel - 1
    as_said = stored.doubt is None and not stored.notes and len(stored.parts) == 1
    whole = frames.planes == range(stored.planes) and as_said
    xml = kept.xml if whole else narrowed(kept.xml, recording.given, image=stored.image, frames=count, channel=channel)
    return replace(kept, axes=frames.axes, shape=recording.shape, xml=xml)


def _direct_axes(recording: Recording, stored: Stored, frames: Frames) -> str | None:
    """Return the axes of a file that is one block of just the frames of its movie, None for another."""
    states = recording.frame_rate_hz is not None or recording.pixel_um is not None
    alone = len(recording.files) == 1 and frames.planes == range(stored.planes)
    carried = stored.header is not None or not states or _rate_origin(recording) == _ORIGIN
    if not alone or not carried or stored.format not in _READABLE or recording.stored_dtype not in SUPPORTED_DTYPES:
        return None
    path = recording.files[0]
    try:
        with open_stack(path, recording.choice.axes) as stack:
            same = stack.contiguous and stack.shape == recording.shape and stack.dtype.name == recording.dtype
            if same:
                header_of(stack)  # what cannot be told of the file is told of a copy
            return stack.axes if same else None
    except JobRefused:
        return None


def _own_header(recording: Recording) -> Header:
    with open_stack(recording.stack, recording.choice.axes) as stack:
        return header_of(stack)


def _rate_origin(recording: Recording) -> str | None:
    return None if recording.frame_rate_hz is None else recording.frame_rate_hz.origin


def _stack_name(given: Path, stored: Stored) -> str:
    """Return the name of the copy of a movie, which its prediction keeps."""
    first = stored.parts[0].file
    if given.is_dir() and len(stored.parts) > 1 and stored.header is None:
        return f"{given.name}.tif"
    if first.suffix.lower() in _TIFF_NAMES:
        return first.name
    return f"{given.name.removesuffix(given.suffix).removesuffix('.ome')}.ome.tif"


def _check_frames(given: Path, stored: Stored, frames: Frames) -> None:
    """Refuse a movie without a frame, and frames that are too small."""
    height, width = stored.frame
    if not len(frames.planes):
        message = f"{given}: expected a movie, got no frame: {stored.shape}"
        raise BadInput(message, "Give a movie that was recorded to its end.")
    if min(height, width) < _SMALLEST:
        message = f"{given}: expected frames of at least {_SMALLEST} pixels a side, got {height} x {width}"
        raise BadInput(message, "Scores and networks need larger frames; crop less.")


def _rate(stored: Stored, choice: Choice) -> Stated[float] | None:
    if choice.frame_rate_hz is not None:
        return Stated(value=choice.frame_rate_hz, origin=_ORIGIN)
    if stored.interval_s is None:
        return None
    return Stated(value=1 / stored.interval_s.value, origin=stored.interval_s.origin)


def _rate_notes(given: Path, stored: Stored, choice: Choice) -> tuple[str, ...]:
    if choice.frame_rate_hz is None or stored.interval_s is None:
        return ()
    own = 1 / stored.interval_s.value
    if abs(own - choice.frame_rate_hz) <= _SAME_RATE * own:
        return ()
    asked = f"--frame-rate {choice.frame_rate_hz:g} Hz is used"
    return (f"{given.name}: {asked}; its file states {own:g} Hz ({stored.interval_s.origin}).",)


def common_rate_hz(name: str, recordings: Sequence[Recording]) -> float | None:
    """Return the frame rate of all movies of a run; those that state none are taken to have that of the others.

    Raises
    ------
    BadInput
        When they state rates that differ by more than 1 %.
    """
    stated = [(one.given.name, one.frame_rate_hz.value) for one in recordings if one.frame_rate_hz is not None]
    if not stated:
        return None
    for other, rate in stated:
        if abs(rate - stated[0][1]) > _SAME_RATE * rate:
            message = f"{name}: expected movies of one frame rate, got {stated[0][1]:g} Hz ({stated[0][0]}) and "
            message += f"{rate:g} Hz ({other})"
            raise BadInput(message, "Run them apart, or give one rate for all with --frame-rate.")
    return stated[0][1]


def _one_frame_hint(recording: Recording) -> str:
    first = recording.parts[0].file
    pattern = "*".join(_DIGITS.split(first.name))
    others = len(list(first.parent.glob(pattern))) - 1 if pattern != first.name else 0
    if others > 0:
        return f"It is one of {others + 1} numbered files; give them all in quotes: --input '{first.parent / pattern}'."
    return "Denoisers learn from time; for single images say so with --axes YX."


def _check_shape(recording: Recording, shape: tuple[int, ...]) -> None:
    if shape != recording.shape:
        message = f"a file that was begun says {shape}, expected {recording.shape}"
        raise AlgorithmFailed(message)
