"""The files of a folder or tar with their checksums, and what differs between two lists of them."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.files import sha256
from orchestrator.foreign import AGAIN, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_BLOCK_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What is in a file."""

    size_bytes: int
    sha256: str

    def words(self) -> str:
        """Return the content in words."""
        return f"{self.size_bytes} bytes sha256 {self.sha256[:12]}"


_LINK = Content(size_bytes=0, sha256="none: a link, or no ordinary file")  # equal to the content of no file


def inventory(where: Path) -> dict[str, Content]:
    """List every file of a folder or tar by its name within it, in the order of names."""
    return dict(sorted(_in_folder(where) if where.is_dir() else _in_tar(where)))


def changes(expected: Mapping[str, Content], found: Mapping[str, Content]) -> Iterator[str]:
    """Compare two inventories."""
    for name in sorted({*expected, *found}):
        if name not in found:
            yield f"{name}: missing"
        elif name not in expected:
            yield f"{name}: extra"
        elif expected[name] != found[name]:
            yield f"{name}: altered; expected {expected[name].words()}, got {found[name].words()}"


def _in_folder(folder: Path) -> Iterator[tuple[str, Content]]:
    for path in folder.rglob("*"):
        if path.is_symlink():
            yield str(path.relative_to(folder)), _LINK
        elif path.is_file():
            yield str(path.relative_to(folder)), Content(size_bytes=path.stat().st_size, sha256=sha256(path))


def _in_tar(archive: Path) -> Iterator[tuple[str, Content]]:
    with reading(archive, "a tar file", AGAIN), tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() and not member.issparse() else None
            if stream is None:
                if not member.isdir():
                    yield member.name, _LINK
                continue
            digest = hashlib.sha256()
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
            yield member.name, Content(size_bytes=member.size, sha256=digest.hexdigest())
