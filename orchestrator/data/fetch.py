"""Get the files of a dataset: compute them, download them, or say whom to ask."""

from __future__ import annotations

import math
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, assert_never, get_args

import numpy as np
from filelock import FileLock, Timeout
from msgspec.structs import replace

from orchestrator.data.datasets import Split, locate, matches
from orchestrator.data.download import Transfer, download, read_record, unfinished_bytes
from orchestrator.data.manifest import LockedDataset, LockedFile, read_lock
from orchestrator.data.simulator.movie import write_movie
from orchestrator.documents import write_record
from orchestrator.errors import BadInput
from orchestrator.paths import free_bytes_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orchestrator.data.datasets import Dataset, File
    from orchestrator.data.download import Record

PATIENCE = Transfer(timeout_s=30.0, retries=5, wait_s=1.0)
_INCOMING = ".incoming"
_SPARE_BYTES = 64 * 2**20  # what a file system needs beside the files


class Progress(Protocol):
    """Who is told how it goes."""

    def __call__(self, name: str, done_bytes: int, all_bytes: int) -> None:
        """Take note that `done_bytes` of `all_bytes` of the file `name` are there."""
        ...


def fetch(
    dataset: Dataset, root: Path, *, lock: Path, progress: Progress, transfer: Transfer = PATIENCE
) -> tuple[Path, ...]:
    """Make every file of a dataset be there, with the right checksum.

    Files that are there and right are left alone; a file appears under its name only when it is complete.

    Parameters
    ----------
    dataset : Dataset
        Which.
    root : Path
        Data root, absolute.
    lock : Path
        File that keeps checksums learnt at the first fetch (`Manifest.lock`).
    progress : Progress
        Who is told how it goes.
    transfer : Transfer
        Patience with servers.

    Returns
    -------
    tuple of Path
        All files of the dataset, sorted.

    Raises
    ------
    BadInput
        When the disk is too small, another process fetches the same dataset, a server refuses or is silent, a checksum
        is wrong, or the dataset is restricted and not there; the hint says what to do.
    """
    match dataset.access:
        case "simulated":
            with _alone(dataset, root):
                _simulate(dataset, root, lock, progress)
        case "public":
            with _alone(dataset, root):
                _download(dataset, root, lock, progress, transfer)
        case "restricted":
            locate(dataset, root)
        case other:
            assert_never(other)
    return tuple(sorted(path for file in dataset.files for path in matches(dataset, file, root)))


def has_checksum(path: Path, checksum: str | None) -> bool:
    """Say whether a file is there and has a checksum ("sha256:<hex>" or "md5:<hex>"); False for an unknown one."""
    if checksum is None or not path.is_file():
        return False
    return checksum_of(path, checksum.partition(":")[0]) == checksum


def checksum_of(path: Path, algorithm: str) -> str:
    """Return "<algorithm>:<hex>" of a file."""
    import pooch  # noqa: PLC0415 - heavy imports only where used

    return f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"


def check_room(folder: Path, needed_bytes: int, what: str) -> None:
    """Refuse to begin what the disk has no room for."""
    free_bytes = free_bytes_at(folder)
    if needed_bytes + _SPARE_BYTES > free_bytes:
        message = f"{folder}: expected {needed_bytes + _SPARE_BYTES} free bytes for {what}, got {free_bytes}"
        raise BadInput(message, "Free some space, or choose another disk (CALM_DATA, CALM_HOME).")


def _simulate(dataset: Dataset, root: Path, lock: Path, progress: Progress) -> None:
    folder = root / dataset.folder
    for split in get_args(Split):
        files = [file for file in dataset.files if file.split == split]
        if all(has_checksum(folder / file.path, file.checksum) for file in files):
            continue
        check_room(folder, sum(_expected_bytes(file) for file in files), dataset.name)
        _simulate_split(dataset, split, folder, progress)
        _remember(lock, dataset, files, folder)


def _simulate_split(dataset: Dataset, split: Split, folder: Path, progress: Progress) -> None:
    """Simulate into a hidden folder, and move the files only when all have the checksums of the manifest."""
    if dataset.simulation is None or split not in dataset.simulation.scenes:
        message = f"{dataset.name}: expected a simulation of the split {split} in the manifest, got none"
        raise BadInput(message, "Add it to data/manifest.yaml.")
    files = {file.role: file for file in dataset.files if file.split == split}
    incoming = folder / _INCOMING
    parts = {role: incoming / file.path for role, file in files.items()}
    scene = dataset.simulation.scenes[split]
    pixels = scene.frames * scene.height * scene.width
    total = pixels * (dataset.simulation.noise.dtype.itemsize + np.dtype(np.float32).itemsize)
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress(files["noisy"].name, done, total)

    try:
        write_movie(scene, dataset.simulation.noise, **parts, progress=count)
        for role, file in files.items():
            _check_simulated(parts[role], file)
        for role, file in files.items():
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            parts[role].replace(folder / file.path)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _check_simulated(part: Path, file: File) -> None:
    if file.checksum is None or has_checksum(part, file.checksum):
        return
    got = checksum_of(part, file.checksum.partition(":")[0])
    message = f"{file.path}: expected simulated bytes of {file.checksum}, got {got} with NumPy {np.__version__}"
    raise BadInput(message, "Use the NumPy of requirements.lock: another version may draw other random numbers.")


def _download(dataset: Dataset, root: Path, lock: Path, progress: Progress, transfer: Transfer) -> None:
    folder = root / dataset.folder
    wrong = [file for file in dataset.files if not has_checksum(folder / file.path, file.checksum)]
    if not wrong:
        return
    _check_lock(lock)
    record = read_record(_record_url(dataset), transfer)
    for file in wrong:
        _check_unchanged(dataset, file, record)
    missing = [file for file in wrong if not has_checksum(folder / file.path, record.named(file.name).checksum)]
    needed = sum(record.named(one.name).bytes - unfinished_bytes(folder / one.path) for one in missing)
    check_room(folder, needed, dataset.name)
    for file in wrong:
        if file in missing:
            _download_file(file, folder, record, progress, transfer)
        _remember(lock, dataset, [file], folder, record)


def _download_file(file: File, folder: Path, record: Record, progress: Progress, transfer: Transfer) -> None:
    remote = record.named(file.name)
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    download(remote, path, transfer, lambda done: progress(file.name, done, remote.bytes))


def _record_url(dataset: Dataset) -> str:
    if dataset.record_url is None:
        message = f"{dataset.name}: expected a record_url in the manifest, got none"
        raise BadInput(message, "Add the address of the record to data/manifest.yaml.")
    return dataset.record_url


def _check_unchanged(dataset: Dataset, file: File, record: Record) -> None:
    published = record.named(file.name).checksum
    if file.checksum not in (None, published):
        message = f"{record.url}: expected {file.name} with {file.checksum}, got {published}"
        hint = f"The record of {dataset.name} has changed since the first fetch; results would not be comparable."
        raise BadInput(message, f"{hint} If that is intended, remove its entry from the lock.")


def _check_lock(lock: Path) -> None:
    if not os.access(lock if lock.exists() else lock.parent, os.W_OK):
        message = f"{lock}: expected a file that can be written, to keep the checksums of the record"
        raise BadInput(message, "Make it writable, or work in a checkout of your own.")


def _expected_bytes(file: File) -> int:
    if file.bytes is not None:
        return file.bytes
    return 0 if file.shape is None else math.prod(file.shape) * np.dtype(file.dtype).itemsize


def _remember(lock: Path, dataset: Dataset, files: Sequence[File], folder: Path, record: Record | None = None) -> None:
    """Keep the checksums that the manifest does not have."""
    unknown = [file for file in files if file.checksum is None]
    if not unknown:
        return
    _check_lock(lock)
    document = read_lock(lock)
    entry = document.get(dataset.name, LockedDataset())
    locked = dict(entry.files)
    for file in unknown:
        path = folder / file.path
        known = checksum_of(path, "sha256") if record is None else record.named(file.name).checksum
        locked[file.path] = LockedFile(checksum=known, bytes=path.stat().st_size)
    of = {} if record is None else {"record_url": record.url, "licence": record.licence}
    write_record(lock, document | {dataset.name: replace(entry, files=locked, **of)})


@contextmanager
def _alone(dataset: Dataset, root: Path) -> Iterator[None]:
    """Let one process at a time fetch a dataset."""
    lock = FileLock(root / f".{dataset.name}.fetch")
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        message = f"{root / dataset.folder}: expected to be alone, got another process that fetches {dataset.name}"
        raise BadInput(message, "Wait for the other process to end.") from error
    except OSError as error:
        message = f"{root}: expected a folder that can be written, got {error.strerror}"
        raise BadInput(message, "Choose another folder with CALM_DATA.") from error
    try:
        yield
    finally:
        lock.release()
