"""Checking: a bundle against its own list, and then against this checkout, which no bundle can change."""

from __future__ import annotations

import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.files import sha256
from orchestrator.algorithms.folders import in_environment, load_algorithms
from orchestrator.bundle.lists import differences, read_list
from orchestrator.engines.code import check_archive
from orchestrator.engines.image import image_of
from orchestrator.engines.sif import check_sif_code, read_sidecar
from orchestrator.engines.snakemake import snakemake_image
from orchestrator.engines.wheelhouse import altered
from orchestrator.errors import BadInput
from orchestrator.foreign import AGAIN, reading
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.bundle.lists import PackedImage
    from orchestrator.domain import Algorithm, Image
    from orchestrator.paths import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """An image of the checkout, and the file of the bundle that holds it, if one does."""

    image: Image
    file: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A bundle as a folder, what it holds, and what speaks against it.

    Parameters
    ----------
    folder : Path
        The bundle, or what its tar file holds.
    packed : tuple of Packed
        Its images.
    faults : tuple of str
        One sentence for each file that is not as its list or this checkout says; empty when all is well.
    """

    folder: Path
    packed: tuple[Packed, ...]
    faults: tuple[str, ...]


@contextmanager
def checked(bundle: Path, layout: Layout) -> Iterator[Checked]:
    """Check a bundle, as `calm bundle verify` and `calm bundle load` both do.

    The list and the locks in a bundle were written by whoever made it and prove nothing: wheels must be those of the
    locks of this checkout, and images must hold its code.

    Raises
    ------
    BadInput
        When it is no bundle, or one of another version of calm.
    """
    found = differences(bundle)
    if found:
        yield Checked(folder=bundle, packed=(), faults=found)
        return
    with _unpacked(bundle, layout) as folder:
        known = load_algorithms(layout.containers)
        packed = tuple(_packed(one, folder, known, layout) for one in read_list(folder).images)
        yield Checked(folder=folder, packed=packed, faults=tuple(_faults(folder, packed, layout)))


@contextmanager
def _unpacked(bundle: Path, layout: Layout) -> Iterator[Path]:
    if bundle.is_dir():
        yield bundle
        return
    layout.home.mkdir(parents=True, exist_ok=True)
    with scratch(layout.home) as made:
        with reading(bundle, "a bundle", AGAIN), tarfile.open(bundle) as tar:
            tar.extractall(made, filter="data")
        yield made


def _packed(entry: PackedImage, folder: Path, known: Mapping[str, Algorithm], layout: Layout) -> Packed:
    """Return the image of an entry of the list, as this version of calm sees it."""
    name, _, environment = entry.algorithm.partition("@")
    algorithm = known.get(name)
    if algorithm is not None and environment in algorithm.environments:
        algorithm = in_environment(algorithm, environment)
    image = None if algorithm is None else image_of(algorithm, entry.variant, layout)
    if image is None or image.digest != entry.digest:
        found = "no such algorithm" if image is None else image.digest[:12]
        message = f"bundle: expected {entry.algorithm} with digest {entry.digest[:12]} in this checkout, got {found}"
        raise BadInput(message, "Use the version of calm that made the bundle.")
    return Packed(image=image, file=None if entry.file is None else folder / entry.file)


def _faults(folder: Path, packed: tuple[Packed, ...], layout: Layout) -> Iterator[str]:
    images = (*(one.image for one in packed), snakemake_image(layout))
    yield from _faults_of_wheels(folder, {image.wheelhouse.name: image.lock for image in images})
    locks = {sha256(one.image.lock) for one in packed}
    for path in sorted((folder / "locks").glob("*")):
        if sha256(path) not in locks:
            yield f"locks/{path.name}: altered; expected a lock of this checkout"
    for one in packed:
        try:
            _check_file(one)
        except BadInput as error:
            yield error.message.removeprefix(f"{folder}/")


def _faults_of_wheels(folder: Path, locks: Mapping[str, Path]) -> Iterator[str]:
    with scratch() as made:
        for wheels in sorted((folder / "wheels").glob("*")):
            lock = locks.get(wheels.name)
            if lock is None:
                yield f"wheels/{wheels.name}: extra; expected wheels of the images that are listed"
                continue
            for fault in altered(lock, wheels, made / f"{wheels.name}.json"):
                yield f"wheels/{wheels.name}/{fault}, by {lock}"


def _check_file(packed: Packed) -> None:
    path, image = packed.file, packed.image
    if path is None:
        return
    if path.suffix != ".sif":
        check_archive(path, image)
        return
    sidecar = read_sidecar(path, image)
    if sidecar.image != image.digest or sidecar.sha256 != sha256(path):
        message = f"{path}: expected the SIF of {image.digest[:12]} that its {path.stem}.json describes, got another"
        raise BadInput(message, "Make it again.")
    check_sif_code(path, image)
