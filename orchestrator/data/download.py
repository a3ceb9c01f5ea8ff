"""Files over HTTP: continued where a connection broke, checked, and only then given their name."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct, field

from orchestrator.documents import convert
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import requests

_log = logging.getLogger(__name__)
_CHUNK_BYTES = 1 << 16
_RETRY_STATUS = (408, 425, 429)  # of the client errors those that may go away by themselves
_INCOMING = ".incoming"  # folder for unfinished files, beside the finished ones
_CHANGED = "The interface of the repository has changed; download the files by hand."
_HINT = "Check the network (a proxy goes into HTTPS_PROXY, its certificate into REQUESTS_CA_BUNDLE) and run it again."

Answer = TypeVar("Answer")


class _Links(Struct, frozen=True):
    address: str = field(name="self")


class _File(Struct, frozen=True):
    key: str
    checksum: str
    size: int | str
    links: _Links


class _Licence(Struct, frozen=True):
    id: str | None = None


class _About(Struct, frozen=True):
    license: _Licence | None = None


class _Answer(Struct, frozen=True):
    """What is used of the answer of Zenodo's interface (developers.zenodo.org)."""

    files: tuple[_File, ...]
    metadata: _About = _About()


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """Patience of a download."""

    timeout_s: float = 30.0
    retries: int = 5
    wait_s: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """One file of a record."""

    url: str
    checksum: str
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a repository publishes about a dataset."""

    url: str
    licence: str | None
    files: Mapping[str, RemoteFile]

    def named(self, name: str) -> RemoteFile:
        """Return a file of the record."""
        if name not in self.files:
            message = f"{self.url}: expected a file {name}, got {', '.join(sorted(self.files)) or 'no files'}"
            raise BadInput(message, "The record has changed; compare it with data/manifest.yaml.")
        return self.files[name]


def read_record(url: str, transfer: Transfer) -> Record:
    """Ask a repository for a record."""

    def ask() -> Any:  # noqa: ANN401 - JSON
        with _get(url, transfer, {}) as response:
            return response.json()

    answer = _with_patience(ask, transfer, url, lambda: 0)
    try:
        found = convert(answer, _Answer, url, _CHANGED)
        sizes = {one.key: int(one.size) for one in found.files}
    except ValueError as error:
        message = f"{url}: expected sizes of files in bytes, got another answer ({error!r})"
        raise BadInput(message, _CHANGED) from error
    files = {
        one.key: RemoteFile(url=one.links.address, checksum=one.checksum, bytes=sizes[one.key]) for one in found.files
    }
    licence = None if found.metadata.license is None else found.metadata.license.id
    return Record(url=url, licence=licence, files=files)


def download(remote: RemoteFile, path: Path, transfer: Transfer, progress: Callable[[int], None]) -> None:
    """Download a file; what is under `path` afterwards is complete and has the right checksum.

    An unfinished download is kept in a hidden folder beside `path` and continued next time.
    """
    import pooch  # noqa: PLC0415 - heavy imports only where used

    pooch.get_logger().setLevel(logging.WARNING)  # progress belongs to the caller
    incoming = path.parent / _INCOMING
    part = incoming / f"{path.name}.part"
    incoming.mkdir(exist_ok=True)
    for stray in incoming.glob("tmp*"):  # temporary files of pooch, where it was killed
        stray.unlink()

    def resume(url: str, output_file: str, _: object) -> None:
        _fill(part, url, remote.bytes, transfer, progress)
        part.replace(output_file)

    for attempt in (1, 2):
        try:
            pooch.retrieve(remote.url, known_hash=remote.checksum, fname=path.name, path=incoming, downloader=resume)
        except ValueError as error:  # pooch has deleted the file, so the second attempt starts from nothing
            _log.warning("%s: %s", remote.url, error)
            if attempt == 1:
                continue
            message = f"{remote.url}: expected {remote.checksum}, got other bytes twice ({error})"
            raise BadInput(message, "Try again later, or download the file by hand and check it.") from error
        break
    (incoming / path.name).replace(path)
    with contextlib.suppress(OSError):  # not empty: an unfinished neighbour is in it
        incoming.rmdir()


def unfinished_bytes(path: Path) -> int:
    """Return how much of a file an earlier, broken download has left."""
    return _size(path.parent / _INCOMING / f"{path.name}.part")


def _fill(part: Path, url: str, size: int, transfer: Transfer, progress: Callable[[int], None]) -> None:
    """Append to `part` until it has `size` bytes."""
    if _size(part) > size:
        part.unlink()

    def append() -> None:
        if _size(part) < size:
            _append(part, url, size, transfer, progress)

    try:
        _with_patience(append, transfer, url, lambda: _size(part))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        message = f"{part}: expected room for {size} bytes, the disk is full"
        raise BadInput(message, "Free some space; the download continues where it stopped.") from error


def _append(part: Path, url: str, size: int, transfer: Transfer, progress: Callable[[int], None]) -> None:
    import requests  # noqa: PLC0415 - heavy imports only where used

    there = _size(part)
    with _get(url, transfer, {"Range": f"bytes={there}-"} if there else {}) as response:
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {there}-")
        done = there if resumed else 0
        with part.open("ab" if resumed else "wb") as stream:
            for chunk in response.iter_content(_CHUNK_BYTES):
                stream.write(chunk)
                done += len(chunk)
                progress(done)
            stream.flush()
            os.fsync(stream.fileno())
    if done < size:
        message = f"the connection ended after {done} of {size} bytes"
        raise requests.ConnectionError(message)


def _get(url: str, transfer: Transfer, headers: dict[str, str]) -> requests.Response:
    import requests  # noqa: PLC0415 - heavy imports only where used

    plain = {"Accept-Encoding": "identity"}  # a range of a compressed answer would be useless
    response = requests.get(url, headers=plain | headers, stream=True, timeout=transfer.timeout_s)
    response.raise_for_status()
    return response


def _with_patience(act: Callable[[], Answer], transfer: Transfer, url: str, got_bytes: Callable[[], int]) -> Answer:
    """Repeat until it works; an attempt that brought new bytes renews the patience."""
    import requests  # noqa: PLC0415 - heavy imports only where used

    failures = 0
    while True:
        before = got_bytes()
        try:
            return act()
        except requests.RequestException as error:
            failures = 1 if got_bytes() > before else failures + 1
            if _permanent(error) or failures > transfer.retries:
                message = f"{url}: expected an answer, got {error}"
                raise BadInput(message, _HINT) from error
            _log.info("%s: %s; trying again", url, error)
            time.sleep(transfer.wait_s * 2 ** (failures - 1))


def _permanent(error: requests.RequestException) -> bool:
    """Say whether trying again is pointless: the server refuses the request itself."""
    if error.response is None:
        return False
    status = error.response.status_code
    return 400 <= status < 500 and status not in _RETRY_STATUS  # noqa: PLR2004 - client errors of HTTP


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
