"""From an image archive to a SIF: converted, its content compared with the image, and only then given its name."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock

from contract.files import sha256
from orchestrator.documents import Count, Sealed, Sha256, read_sealed, write_sealed
from orchestrator.domain import Device
from orchestrator.engines import process
from orchestrator.engines.code import CODE, ENTRY, check_archive, check_code
from orchestrator.engines.failures import diagnose_words
from orchestrator.engines.stamps import sums
from orchestrator.engines.tree import differences, read_folder
from orchestrator.errors import AlgorithmFailed, BadInput, EngineFailed
from orchestrator.paths import free_bytes_at
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from orchestrator.domain import Image
    from orchestrator.engines.tree import Entry, Saved
    from orchestrator.paths import Layout

# Disk that a conversion needs, in sizes of the archive: unpacked layers, SIF, and the SIF unpacked again to compare.
_DISK_FACTOR = 4
_SHOWN = 5
# Measured on an image of 330 MB: 12 times less computing than the default, for a file 11 % larger.
_FAST = ("--mksquashfs-args", "-Xcompression-level 1")
_PARTITION = re.compile(r"\|\s*(\d+)-\d+\s*\|\s*FS \(Squashfs")


class Sidecar(Sealed, frozen=True, kw_only=True):
    """What a SIF was made from, beside it."""

    algorithm: str
    apptainer: str
    archive_sha256: Sha256
    entries: Count
    identifier: str
    image: Sha256
    sha256: Sha256
    variant: Device


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


def find_sif(layout: Layout, image: Image) -> Sif | None:
    """Return the finished SIF of an image, None where there is none.

    Raises
    ------
    EngineFailed
        When the file is not the one that was compared with its image.
    """
    path = sif_path(layout.sifs, image)
    sidecar = path.with_suffix(".json")
    if not (path.exists() and sidecar.exists()):
        return None
    sif = _sif(path, read_sidecar(path, image))
    if sif.image != image.digest:
        return None
    found = sums(layout.stamps / f"{path.name}.json", {path.name: path})[path.name]
    if found != sif.sha256:
        message = f"{path}: expected sha256 {sif.sha256[:12]}, as when it was compared, got {found[:12]}"
        raise EngineFailed(message, f"Delete it: rm {shlex.quote(str(path))}; `calm sif` makes it again.")
    return sif


def read_sidecar(path: Path, image: Image) -> Sidecar:
    """Read what the SIF of an image was made from."""
    hint = f"Delete it; `calm sif {image.algorithm}` makes it again."
    return read_sealed(path.with_suffix(".json"), Sidecar, hint=hint)


def make_sif(
    layout: Layout, image: Image, archive: Callable[[Path], Path], say: Callable[[str], None], *, anew: bool = False
) -> Sif:
    """Make the SIF of an image from an archive, or find it finished; one process at a time works on it.

    Parameters
    ----------
    layout : Layout
        Where SIFs are.
    image : Image
        Of the checkout, which the archive must hold.
    archive : callable
        Given a folder for what it must write, returns the archive.
    say : callable
        Is told what is being done, one line each.
    anew : bool
        Whether it is made also where a finished one is there.
    """
    path = sif_path(layout.sifs, image)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        found = None if anew else find_sif(layout, image)
        if found is not None:
            say(f"{image.algorithm}: found its SIF, unchanged since it was made")
            return found
        with _disk_named(path.parent), scratch(path.parent) as made:
            part = made / path.name
            sidecar = _convert(archive(made), image, part, say)
            path.with_suffix(".json").unlink(missing_ok=True)
            part.replace(path)
        sidecar = write_sealed(path.with_suffix(".json"), sidecar)
    return _sif(path, sidecar)


def _sif(path: Path, sidecar: Sidecar) -> Sif:
    return Sif(
        path=path,
        image=sidecar.image,
        identifier=sidecar.identifier,
        sha256=sidecar.sha256,
        entries=sidecar.entries,
    )


@contextmanager
def _disk_named(folder: Path) -> Iterator[None]:
    """Call a disk that fills up in a block so."""
    try:
        yield
    except (OSError, AlgorithmFailed) as error:
        failure = diagnose_words(f"{folder}: {error}")
        if failure is None:
            raise
        raise failure.raised() from error


def check_content(path: Path, saved: Saved) -> None:
    """Compare the content of a SIF with the image that it was made from.

    Every path must have the same type, mode, size, SHA-256 and link target; what engines write into every image of
    their own (`ENGINE_FILES`), owners and times are left out.
    """
    found = list(differences(saved.tree, _unpacked(path, path.parent)))
    if found:
        shown = "; ".join(found[:_SHOWN])
        message = f"{path.name}: expected the content of {saved.identifier[:19]}, got {len(found)} differences: {shown}"
        raise AlgorithmFailed(message, "Do not use this SIF; make it again, and report this if it differs again.")


def check_sif_code(path: Path, image: Image) -> None:
    """Compare the code in a SIF that came from elsewhere with the checkout."""
    check_code(path, _unpacked(path, None, CODE, ENTRY), image)


def _unpacked(path: Path, place: Path | None, *names: str) -> dict[str, Entry]:
    """Read the tree of a SIF, or the named parts of it, which are unpacked in a place, or the temporary folder."""
    with scratch(place) as made:
        folder = made / "content"
        command = ["unsquashfs", "-no-progress", "-no-xattrs", "-quiet", "-offset", str(partition_start(path))]
        process.run([*command, "-dest", str(folder), str(path), *names])
        return read_folder(folder)


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


def _convert(archive: Path, image: Image, part: Path, say: Callable[[str], None]) -> Sidecar:
    """Convert an archive to a SIF, compare, and return the sidecar's content."""
    say(f"{image.algorithm}: comparing the code in {archive.name} with this checkout")
    saved = check_archive(archive, image)
    _check_disk(archive, part.parent)
    check_program()
    say(f"{image.algorithm}: converting {archive.stat().st_size / 1e6:.0f} MB to a SIF")
    folders = {"APPTAINER_TMPDIR": str(part.parent), "APPTAINER_CACHEDIR": str(part.parent / "cache")}
    process.run(
        ["apptainer", "build", "--disable-cache", "--force", *_FAST, str(part), f"docker-archive:{archive}"],
        environment=clean_environment(os.environ) | folders,
    )
    say(f"{image.algorithm}: comparing {len(saved.tree)} paths of the SIF with those of the image")
    check_content(part, saved)
    return Sidecar(
        algorithm=image.algorithm,
        apptainer=process.run(["apptainer", "--version"]).strip(),
        archive_sha256=sha256(archive),
        entries=len(saved.tree),
        identifier=saved.identifier,
        image=image.digest,
        sha256=sha256(part),
        variant=image.variant,
    )


def _check_disk(archive: Path, folder: Path) -> None:
    needed, free = _DISK_FACTOR * archive.stat().st_size, free_bytes_at(folder)
    if free < needed:
        message = f"{folder}: expected {needed / 1e9:.1f} GB free to convert {archive.name}, got {free / 1e9:.1f} GB"
        raise BadInput(message, "Free some, or move the cache with CALM_HOME.")


def check_program() -> None:
    """Ask for the program of the comparison before the minutes of the conversion."""
    if shutil.which("unsquashfs") is None:
        message = "unsquashfs: expected it, to compare the SIF with its image, got no program of that name"
        raise BadInput(message, "Install squashfs-tools, or convert on a machine that has it and carry SIF and .json.")
