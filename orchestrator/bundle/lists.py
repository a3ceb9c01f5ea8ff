"""The list of an offline bundle: every byte in it by name, and one digest over them all."""

from __future__ import annotations

import hashlib
import json
import tarfile
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from orchestrator.bundle.inventory import Content, changes, inventory
from orchestrator.documents import LIMIT_BYTES, Document, Name, Sha256, parse_json, plain, read_text, write_record
from orchestrator.domain import Device
from orchestrator.errors import BadInput
from orchestrator.foreign import reading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LIST = "bundle.json"
_HINT = "Make one with `calm bundle create`, or copy it again."
_GROUP = 4  # digits that are read out at a time


class PackedImage(Document, frozen=True, kw_only=True):
    """One algorithm of a bundle, in its environment; the file is None where its image was left out."""

    algorithm: Name
    digest: Sha256
    variant: Device
    file: Name | None = None


class BundleList(Document, frozen=True, kw_only=True):
    """What is in a bundle."""

    files: dict[Name, Content]
    images: tuple[PackedImage, ...]
    format: Literal[1] = 1
    sha256: str = ""

    def root(self) -> str:
        """Return the digest over everything that is listed."""
        return hashlib.sha256(json.dumps(plain(replace(self, sha256="")), sort_keys=True).encode()).hexdigest()


def write_list(folder: Path, images: Sequence[PackedImage]) -> None:
    """List every file of a folder in it, which makes it a bundle."""
    listed = BundleList(files=inventory(folder), images=tuple(images))
    write_record(folder / _LIST, replace(listed, sha256=listed.root()))


def read_list(bundle: Path) -> BundleList:
    """Read the list of a bundle.

    Raises
    ------
    BadInput
        When it is no bundle, of another version of calm, or its list was altered.
    """
    place = bundle / _LIST if bundle.is_dir() else bundle
    if not place.is_file():
        got = "no such file" if not place.exists() else "a device or a folder"
        message = f"{place}: expected a bundle with a {_LIST}, got {got}"
        raise BadInput(message, _HINT)
    with reading(place, f"a bundle with a {_LIST}", _HINT):
        text = read_text(place, _HINT, LIMIT_BYTES) if bundle.is_dir() else _packed_list(bundle)
    listed = parse_json(text, BundleList, bundle / _LIST, _HINT)
    if listed.sha256 != listed.root():
        message = f"{place}: {_LIST}: altered; expected the list as it was written"
        raise BadInput(message, "Copy the bundle again; its list cannot be trusted.")
    return listed


def _packed_list(bundle: Path) -> str:
    with tarfile.open(bundle) as tar:
        member = tar.extractfile(_LIST)
        return "" if member is None else member.read(LIMIT_BYTES).decode()


def root_sentence(bundle: Path) -> str:
    """Return the one number that stands for all of a bundle, in groups that can be read out."""
    root = read_list(bundle).root()
    groups = " ".join(root[start : start + _GROUP] for start in range(0, len(root), _GROUP))
    return f"Root digest, to compare with that of its maker: {groups}"


def differences(bundle: Path) -> tuple[str, ...]:
    """Compare every file of a bundle with its list.

    Parameters
    ----------
    bundle : Path
        Folder or tar file.

    Returns
    -------
    tuple of str
        One sentence for each file that is missing, extra or altered, in the order of names; empty when all is well.

    Raises
    ------
    BadInput
        When it is no bundle.
    """
    expected = read_list(bundle).files
    found = {name: content for name, content in inventory(bundle).items() if name != _LIST}
    return tuple(changes(expected, found))
