"""Files that exist are complete: write beside, flush to disk, rename."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to; rename it to `path` when the block ends well, delete it otherwise.

    Parameters
    ----------
    path : Path
        Final name; its folder must exist.

    Yields
    ------
    Path
        `<path>.part`, to be written by the caller.
    """
    part = path.with_name(path.name + ".part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, document: object) -> None:
    """Write JSON with sorted keys and a final newline, atomically: the same document gives the same bytes."""
    with atomic(path) as part:
        part.write_text(json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
