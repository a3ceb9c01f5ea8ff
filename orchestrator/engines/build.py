"""The build context of an image as one archive, and the messages of a build."""

from __future__ import annotations

import re
import tarfile
import time
from typing import IO, TYPE_CHECKING, Any

from orchestrator.engines.failures import diagnose_words
from orchestrator.engines.progress import SILENT
from orchestrator.engines.wheelhouse import LOCK
from orchestrator.errors import AlgorithmFailed
from orchestrator.records.record import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.domain import Image
    from orchestrator.engines.progress import Progress
    from orchestrator.errors import CalmError

_TAIL_CHARACTERS = 1500
# "Step 3/9 : RUN ..." of Docker, "[2/2] STEP 3/9: RUN ..." of Podman
_STEP = re.compile(r"(?:\[\d+/\d+\] )?step (\d+)/(\d+) ?:", re.IGNORECASE)


def pack(image: Image, archive: IO[bytes]) -> None:
    """Write the build context: the image's context folder and its wheelhouse, the same bytes each time."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
        entry.mode = 0o755 if entry.isdir() else 0o644
        return entry

    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in sorted(image.context.rglob("*")):
            tar.add(path, str(path.relative_to(image.context)), recursive=False, filter=plain)
        tar.add(image.wheelhouse / LOCK, LOCK, filter=plain)
        for path in sorted(image.wheelhouse.glob("*.whl")):
            tar.add(path, f"wheelhouse/{path.name}", filter=plain)


def follow(messages: Iterator[dict[str, Any]], tag: str, progress: Progress = SILENT) -> None:
    """Read the messages of a build to their end, and tell which step it is at."""
    said: list[str] = []
    progress.begin(f"building {tag}")
    try:
        for message in messages:
            said.append(message.get("stream", ""))
            if step := _STEP.match(said[-1]):
                progress.event(Event(step=int(step[1]) - 1, steps=int(step[2]), time_s=time.time()))
            if "error" in message:
                text = f"building {tag} failed: {message['error']}: {''.join(said)[-_TAIL_CHARACTERS:].strip()}"
                raise _failure(text)
    finally:
        progress.end()


def _failure(text: str) -> CalmError:
    failure = diagnose_words(text)
    hint = "The build is offline: every package must be in the lock."
    return AlgorithmFailed(text, hint) if failure is None else failure.raised()
