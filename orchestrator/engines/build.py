"""The build context of an image as one archive, and the messages of a build."""

from __future__ import annotations

import tarfile
from typing import IO, TYPE_CHECKING, Any

from orchestrator.engines.failures import diagnose_words
from orchestrator.engines.wheelhouse import LOCK
from orchestrator.errors import AlgorithmFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.domain import Image

_TAIL_CHARACTERS = 1500


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


def follow(messages: Iterator[dict[str, Any]], tag: str) -> None:
    """Read the messages of a build to their end."""
    said: list[str] = []
    for message in messages:
        said.append(message.get("stream", ""))
        if "error" in message:
            text = f"building {tag} failed: {message['error']}: {''.join(said)[-_TAIL_CHARACTERS:].strip()}"
            failure = diagnose_words(text)
            if failure is not None:
                raise failure.raised()
            raise AlgorithmFailed(text, "The build is offline: every package must be in the lock.")
