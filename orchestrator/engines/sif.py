"""From an image archive to a SIF: converted, its content compared with the image, and only then given its name."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from contract.files import sha256, write_json
from orchestrator.engines import process
from orchestrator.engines.failures import diagnose_words
from orchestrator.engines.settings import LABEL
from orchestrator.engines.tree import differences, read_archive, read_folder
from orchestrator.errors import AlgorithmFailed, BadInput
from orchestrator.paths import free_bytes_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.domain import Image
    from orchestrator.engines.tree import Saved

# Disk that a conversion needs, in sizes of the archive: unpacked layers, SIF, and the SIF unpacked again to compare.
_DISK_FACTOR = 4
_SHOWN = 5
# Measured on an image of 330 MB: 12 times less computing than the default, for a file 11 % larger.
_FAST = ("--mksquashfs-args", "-Xcompression-level 1")
_PARTITION = re.compile(r"\|\s*(\d+)-\d+\s*\|\s*FS \(Squashfs")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sif:
    """A finished SIF and what it was made from."""

    path: Path
    image: str
    identifier: str
    sha256: str
    entries: int


def sif_path(folder: Path, image: Image) -> Path:
    """Return where the SIF of an image lies; its name holds the digest of the image."""
    return folder / f"{image.algorithm}-{image.variant}-{image.digest[:12]}.sif"


def find_sif(folder: Path, image: Image) -> Sif | None:
    """Return the finished SIF of an image, None where there is none."""
    path = sif_path(folder, image)
    sidecar = path.with_suffix(".json")
    if not (path.exists() and sidecar.exists()):
        return None
    document = json.loads(sidecar.read_text(encoding="utf-8"))
    fields = {name: document[name] for name in ("image", "identifier", "sha256", "entries")}
    return Sif(path=path, **fields) if document["image"] == image.digest else None


def make_sif(folder: Path, image: Image, archive: Callable[[Path], Path]) -> Sif:
    """Make the SIF of an image, or find it finished and unchanged; one process at a time works on it."""
    path = sif_path(folder, image)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        found = find_sif(folder, image)
        if found is not None:
            return _unchanged(found)
        with _scratch(folder / f".part-{path.stem}") as scratch:
            part = scratch / path.name
            document = _convert(archive(scratch), image, part)
            part.replace(path)
        write_json(path.with_suffix(".json"), document)
    return Sif(path=path, **{name: document[name] for name in ("image", "identifier", "sha256", "entries")})


def _unchanged(sif: Sif) -> Sif:
    """Return a finished SIF whose file is still the one that was compared with its image."""
    found = sha256(sif.path)
    if found != sif.sha256:
        message = f"{sif.path}: expected sha256 {sif.sha256[:12]}, as when it was compared, got {found[:12]}"
        raise AlgorithmFailed(message, f"Delete it and make it again: rm {shlex.quote(str(sif.path))}.")
    return sif


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give an empty folder and delete it in the end; also what a conversion left here that was killed before.

    A disk that fills up in between is called so.
    """
    _delete(folder)
    folder.mkdir()
    try:
        yield folder
    except (OSError, AlgorithmFailed) as error:
        failure = diagnose_words(f"{folder.parent}: {error}")
        if failure is None:
            raise
        raise failure.raised() from error
    finally:
        _delete(folder)


def check_content(path: Path, saved: Saved) -> None:
    """Compare the content of a SIF with the image that it was made from.

    Every path must have the same type, mode, size, SHA-256 and link target; what engines write into every image of
    their own (`ENGINE_FILES`), owners and times are left out.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".content-") as scratch:
        unpacked = Path(scratch) / "content"
        command = ["unsquashfs", "-no-progress", "-no-xattrs", "-quiet", "-offset", str(partition_start(path))]
        process.run([*command, "-dest", str(unpacked), str(path)])
        found = list(differences(saved.tree, read_folder(unpacked)))
        _make_removable(unpacked)
    if found:
        shown = "; ".join(found[:_SHOWN])
        message = f"{path.name}: expected the content of {saved.identifier[:19]}, got {len(found)} differences: {shown}"
        raise AlgorithmFailed(message, "Do not use this SIF; make it again, and report this if it differs again.")


def partition_start(path: Path) -> int:
    """Return where in a SIF its squashfs begins, bytes."""
    return start_in(process.run(["apptainer", "sif", "list", str(path)]))


def start_in(listing: str) -> int:
    """Read the start of the squashfs partition from what `apptainer sif list` prints."""
    found = _PARTITION.search(listing)
    if found is None:
        message = f"apptainer sif list: expected a squashfs partition, got: {listing.strip()[-300:]}"
        raise AlgorithmFailed(message, "The file is no SIF, or of a newer kind than calm knows.")
    return int(found[1])


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for Apptainer without variables that change what it does (APPTAINER_BIND and others)."""
    prefixes = ("APPTAINER", "SINGULARITY")
    return {name: value for name, value in environment.items() if not name.startswith(prefixes)}


def _convert(archive: Path, image: Image, part: Path) -> dict[str, Any]:
    """Convert an archive to a SIF, compare, and return the sidecar's content."""
    saved = read_archive(archive)
    _check_label(saved, archive, image)
    _check_disk(archive, part.parent)
    _check_program()
    scratch = {"APPTAINER_TMPDIR": str(part.parent), "APPTAINER_CACHEDIR": str(part.parent / "cache")}
    process.run(
        ["apptainer", "build", "--disable-cache", "--force", *_FAST, str(part), f"docker-archive:{archive}"],
        environment=clean_environment(os.environ) | scratch,
    )
    check_content(part, saved)
    return {
        "algorithm": image.algorithm,
        "apptainer": process.run(["apptainer", "--version"]).strip(),
        "archive_sha256": sha256(archive),
        "entries": len(saved.tree),
        "identifier": saved.identifier,
        "image": image.digest,
        "sha256": sha256(part),
        "variant": image.variant,
    }


def _check_label(saved: Saved, archive: Path, image: Image) -> None:
    found = saved.labels.get(LABEL)
    if found != image.digest:
        message = f"{archive}: expected the image {image.digest[:12]} of this checkout, got {(found or 'another')[:12]}"
        raise BadInput(message, f"Build and save it with this version of calm: calm build {image.algorithm}.")


def _check_disk(archive: Path, folder: Path) -> None:
    needed, free = _DISK_FACTOR * archive.stat().st_size, free_bytes_at(folder)
    if free < needed:
        message = f"{folder}: expected {needed / 1e9:.1f} GB free to convert {archive.name}, got {free / 1e9:.1f} GB"
        raise BadInput(message, "Free some, or move the cache with CALM_HOME.")


def _check_program() -> None:
    """Ask for the program of the comparison before the minutes of the conversion."""
    if shutil.which("unsquashfs") is None:
        message = "unsquashfs: expected it, to compare the SIF with its image, got no program of that name"
        raise BadInput(message, "Install squashfs-tools, or convert on a machine that has it and carry SIF and .json.")


def _delete(folder: Path) -> None:
    if folder.exists():
        _make_removable(folder)
        shutil.rmtree(folder)


def _make_removable(folder: Path) -> None:
    """Let an ordinary user delete folders that the image makes read-only."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o700)
