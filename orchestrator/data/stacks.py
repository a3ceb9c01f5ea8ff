"""The stacks that jobs read: a movie that is no uncompressed TIFF in one block is copied into the cache, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from contract.predictions import write_stack
from contract.stacks import open_stack
from orchestrator.data.fetch import check_room
from orchestrator.data.inspect import blocks_of, header_for
from orchestrator.data.readers import open_planes
from orchestrator.data.readers.choose import choose
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.data.recording import Recording


def make_stacks(recordings: Iterable[Recording], say: Callable[[str], None]) -> None:
    """Make the copies that are not there yet; memory does not grow with the number of frames.

    Parameters
    ----------
    recordings : iterable of Recording
        Movies, each with the path of its stack.
    say : callable
        Told one line about each copy that is made.

    Raises
    ------
    BadInput
        When a file is no longer as it was described, a frame cannot be decoded, or the disk is too small.
    """
    for recording in recordings:
        if recording.copied and not recording.stack.exists():
            recording.stack.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(recording.stack.with_name(f".{recording.stack.name}.lock")):
                if not recording.stack.exists():  # another process may have made it while this one waited
                    megabytes = recording.facts.bytes / 1e6
                    say(f"Copying {recording.given.name} into a stack that jobs can read, {megabytes:.0f} MB.")
                    _make(recording)


def _make(recording: Recording) -> None:
    check_room(recording.stack.parent, recording.facts.bytes, recording.stack.name)
    dtype = np.dtype(recording.dtype)
    planes = open_planes(recording.given, recording.choice)
    try:
        frames = choose(recording.given, planes.stored, recording.choice)
        if len(frames.planes) != recording.shape[0]:
            message = f"{recording.given}: expected {recording.shape[0]} frames as before, got {len(frames.planes)}"
            raise BadInput(message, "Something else writes to this movie; wait until it is finished.")
        header = header_for(recording, planes.stored, frames)
        with write_stack(recording.stack, header, dtype, gaps=recording.gap_frame is not None) as stack:
            for block in blocks_of(planes, frames.planes):
                stack.write(block.astype(dtype))
    finally:
        planes.close()
    with open_stack(recording.stack) as written:
        if written.shape != recording.shape or not written.contiguous:
            recording.stack.unlink()
            message = f"{recording.given}: expected a stack of {recording.shape}, wrote one that reads {written.shape}"
            raise BadInput(message, "This is a fault of calm; save the movie as a plain TIFF for now.")
