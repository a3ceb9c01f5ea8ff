"""The files of an image as data, from an archive of layers or from a folder, and what differs between two of them."""

from __future__ import annotations

import hashlib
import stat
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec

from contract.files import sha256
from orchestrator.documents import LIMIT_BYTES, parse_json
from orchestrator.errors import BadInput
from orchestrator.foreign import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_BLOCK_BYTES = 2**20
_DAMAGED = "Save the image again; a copy may have been cut short."
# What engines write into every container or image of their own; everything else must agree.
ENGINE_FILES = (
    ".dockerenv",
    ".exec",
    ".run",
    ".shell",
    ".singularity.d",
    ".test",
    "dev",
    "environment",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "run/.containerenv",
    "singularity",
    "sys",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One path of an image; owner and times are left out, because engines change them."""

    kind: Literal["file", "folder", "link", "other"]
    mode: int = 0
    size_bytes: int = 0
    sha256: str = ""
    target: str = ""


class _ImageEntry(msgspec.Struct, frozen=True, rename="pascal"):
    """An image in the manifest.json of an archive; engines write more into it."""

    config: str
    layers: tuple[str, ...]


class _Settings(msgspec.Struct, frozen=True, rename="pascal"):
    """What an image says of itself."""

    labels: dict[str, str] | None = None


class _Layers(msgspec.Struct, frozen=True):
    """The digests of the layers of an image."""

    diff_ids: tuple[str, ...]


class _Configuration(msgspec.Struct, frozen=True):
    """The configuration of an image, whose digest is its identifier."""

    rootfs: _Layers
    config: _Settings | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """What `docker save` or `podman save` wrote."""

    identifier: str
    labels: Mapping[str, str]
    tree: Mapping[str, Entry]


def read_archive(archive: Path) -> Saved:
    """Read an image archive and apply its layers."""
    expected = "an archive of `docker save` or `podman save`"
    with reading(archive, expected, _DAMAGED), tarfile.open(archive) as tar:
        images = _document(tar, "manifest.json", tuple[_ImageEntry, ...], archive)[0]
        if len(images) != 1:
            message = f"{archive}: expected one image, got {len(images)}"
            raise BadInput(message, "Save one image at a time.")
        document, configuration = _document(tar, images[0].config, _Configuration, archive)
        tree: dict[str, Entry] = {}
        for name, digest in zip(images[0].layers, document.rootfs.diff_ids, strict=True):
            with tarfile.open(fileobj=_member(tar, name)) as layer:
                _check_layer(layer, name, digest)
                _apply(layer, tree)
    return Saved(
        identifier=f"sha256:{hashlib.sha256(configuration).hexdigest()}",
        labels=(document.config and document.config.labels) or {},
        tree=tree,
    )


def _document(tar: tarfile.TarFile, name: str, kind: type[T], archive: Path) -> tuple[T, bytes]:
    """Read a JSON document of an archive; return it, and its bytes."""
    data = _member(tar, name).read(LIMIT_BYTES)
    return parse_json(data.decode(), kind, f"{archive}: {name}", _DAMAGED), data


def read_folder(folder: Path) -> dict[str, Entry]:
    """Read every path below a folder."""
    return {str(path.relative_to(folder)): _entry_of(path) for path in sorted(folder.rglob("*"))}


def differences(expected: Mapping[str, Entry], found: Mapping[str, Entry]) -> Iterator[str]:
    """Compare two trees, leaving out what engines write themselves."""
    for path in sorted({*expected, *found}):
        if _is_engine_file(path):
            continue
        if path not in found:
            yield f"/{path}: missing"
        elif path not in expected:
            yield f"/{path}: extra"
        elif expected[path] != found[path]:
            yield f"/{path}: expected {_words(expected[path])}, got {_words(found[path])}"


def _is_engine_file(path: str) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in ENGINE_FILES)


def _words(entry: Entry) -> str:
    match entry.kind:
        case "file":
            return f"file {entry.mode:04o} {entry.size_bytes} bytes sha256 {entry.sha256[:12]}"
        case "link":
            return f"link to {entry.target}"
        case "folder" | "other":
            return f"{entry.kind} {entry.mode:04o}"


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = tar.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream


def _check_layer(layer: tarfile.TarFile, name: str, expected: str) -> None:
    """Compare a layer, unpacked where it is compressed, with its digest in the configuration of the image.

    The identifier is the digest of that configuration, so what is read is the image of that name and no other.
    """
    stream = cast("IO[bytes]", layer.fileobj)
    start = stream.tell()
    stream.seek(0)
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    stream.seek(start)
    if expected != f"sha256:{digest.hexdigest()}":
        message = f"layer {name} with {expected[:19]}, got sha256:{digest.hexdigest()[:12]}"
        raise ValueError(message)


def _apply(layer: tarfile.TarFile, tree: dict[str, Entry]) -> None:
    """Apply a layer: what it deletes, then what it holds."""
    members = [(member.name.removeprefix("./").strip("/"), member) for member in layer]
    for path, _ in members:
        folder, _, name = path.rpartition("/")
        if name == _OPAQUE:
            _remove(tree, folder, itself=False)
        elif name.startswith(_WHITEOUT):
            _remove(tree, f"{folder}/{name.removeprefix(_WHITEOUT)}".strip("/"), itself=True)
    for path, member in members:
        if path in ("", ".") or path.rpartition("/")[2].startswith(_WHITEOUT):
            continue
        entry = _entry_in(layer, member, tree)
        if entry.kind != "folder" and path in tree and tree[path].kind == "folder":
            _remove(tree, path, itself=True)
        tree[path] = entry


def _remove(tree: dict[str, Entry], path: str, *, itself: bool) -> None:
    for name in [name for name in tree if name.startswith(f"{path}/") or (itself and name == path)]:
        del tree[name]


def _entry_in(layer: tarfile.TarFile, member: tarfile.TarInfo, tree: Mapping[str, Entry]) -> Entry:
    mode = stat.S_IMODE(member.mode)
    if member.isdir():
        return Entry(kind="folder", mode=mode)
    if member.issym():
        return Entry(kind="link", target=member.linkname)
    if member.islnk():
        return tree[member.linkname.removeprefix("./").strip("/")]
    if not member.isreg() or member.issparse():
        return Entry(kind="other", mode=mode)
    digest = hashlib.sha256()
    stream = cast("Any", layer.extractfile(member))
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return Entry(kind="file", mode=mode, size_bytes=member.size, sha256=digest.hexdigest())


def _entry_of(path: Path) -> Entry:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return Entry(kind="link", target=str(path.readlink()))
    if stat.S_ISDIR(status.st_mode):
        return Entry(kind="folder", mode=mode)
    if stat.S_ISREG(status.st_mode):
        return Entry(kind="file", mode=mode, size_bytes=status.st_size, sha256=sha256(path))
    return Entry(kind="other", mode=mode)
