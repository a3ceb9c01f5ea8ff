"""Packing: images, wheels, locks and data become an offline bundle."""

from __future__ import annotations

import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.algorithms.folders import in_environment
from orchestrator.bundle.interpreter import pack_python
from orchestrator.bundle.lists import PackedImage, write_list
from orchestrator.domain import CURRENT
from orchestrator.engines import answering_server, apptainer_engine
from orchestrator.engines.downloads import download_of
from orchestrator.engines.image import image_of, prepare
from orchestrator.engines.locks import pip
from orchestrator.engines.progress import SILENT
from orchestrator.engines.snakemake import fill_snakemake_wheels
from orchestrator.errors import BadInput, EngineMissing
from orchestrator.paths import check_writable, existing_parent
from orchestrator.scratch import scratch, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.domain import Algorithm, Device, Image
    from orchestrator.engines.progress import Progress
    from orchestrator.paths import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What goes into a bundle.

    Parameters
    ----------
    algorithms : tuple of Algorithm
        Their locks and wheels always go in.
    variant : {"cpu", "cuda"}
        Which lock of each; that of the CPU goes in for those without it, as the controls are.
    images : {"none", "archive", "sif"}
        In which form their images go in.
    datasets : tuple of str
        Datasets whose files go in.
    calm : bool
        Whether the packages of calm itself go in, to install it offline.
    python : Path or None
        Folder or tar file of a Python for the environments that goes in.
    """

    algorithms: tuple[Algorithm, ...]
    variant: Device
    images: Literal["none", "archive", "sif"]
    datasets: tuple[str, ...]
    calm: bool
    python: Path | None = None


def chosen(known: Mapping[str, Algorithm], named: Sequence[Algorithm], device: Device) -> tuple[Algorithm, ...]:
    """Return the algorithms, each in its environment, that a bundle is to hold.

    Parameters
    ----------
    known : mapping of str to Algorithm
        Every algorithm folder; the controls always go in, because every run is scored beside them.
    named : sequence of Algorithm
        What the user named; empty for every algorithm that has the device, in every environment.
    device : {"cpu", "cuda"}
        Which lock of each.

    Raises
    ------
    BadInput
        When an algorithm that is named has no such variant.
    """
    for one in named:
        if device not in one.devices:
            message = f"{one.name}: expected an algorithm with a {device} variant, got {'/'.join(one.devices)}"
            raise BadInput(message, "Leave it out, or choose another --device.")
    every = [in_environment(one, name) for one in known.values() for name in (CURRENT, *one.environments)]
    names = {one.full_name for one in named or every} | {one.name for one in known.values() if one.kind == "control"}
    return tuple(one for one in every if one.full_name in names and (device in one.devices or one.kind == "control"))


def create(
    target: Path, contents: Contents, layout: Layout, say: Callable[[str], None], progress: Progress = SILENT
) -> None:
    """Make a bundle.

    Parameters
    ----------
    target : Path
        Folder to make, or a tar file where the name ends in .tar; it appears only when complete.
    contents : Contents
        What goes in.
    layout : Layout
        Where caches, data and locks are.
    say : callable
        Is told what is being done, one line each.
    progress : Progress, optional
        Is told how far downloads and builds are.

    Raises
    ------
    BadInput
        When the target exists, or something to pack is not there.
    EngineMissing
        When images are asked for and no engine can make them.
    """
    if target.exists():
        message = f"{target}: expected a name that is free, got one that is taken"
        raise BadInput(message, "Choose another name, or delete it.")
    check_writable(existing_parent(target.parent))
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep([target.parent])  # one that was killed before, in a folder that no other command knows
    with scratch(target.parent) as made:
        folder = made / "bundle"
        folder.mkdir()
        if contents.python is not None:
            pack_python(contents.python, folder)
        images = [_add_algorithm(folder, one, contents, layout, say, progress) for one in contents.algorithms]
        for name in contents.datasets:
            shutil.copytree(_existing(layout.data / name, f"calm data fetch {name}"), folder / "data" / name)
        shutil.copyfile(layout.manifest, folder / "manifest.yaml")
        if contents.calm:
            say("calm itself: downloading its packages")
            _add_calm(folder / "calm", layout)
            wheels = fill_snakemake_wheels(layout, progress)
            shutil.copytree(wheels, folder / "wheels" / wheels.name, dirs_exist_ok=True)
        write_list(folder, images)
        if target.suffix == ".tar":
            folder = _packed(folder)
        folder.rename(target)


def _add_algorithm(  # noqa: PLR0913, PLR0917 - what, where, who is told
    folder: Path,
    algorithm: Algorithm,
    contents: Contents,
    layout: Layout,
    say: Callable[[str], None],
    progress: Progress,
) -> PackedImage:
    """Add lock, wheels and image of an algorithm; return its entry of the list."""
    variant: Device = contents.variant if contents.variant in algorithm.devices else "cpu"
    image = image_of(algorithm, variant, layout)
    say(f"{algorithm.full_name}: packing its lock, wheels and image; {download_of([image], layout)}")
    prepare(algorithm, image, layout, progress)
    (folder / "locks").mkdir(exist_ok=True)
    shutil.copyfile(image.lock, folder / "locks" / f"{algorithm.folder_name}-{variant}.lock")
    wheels = folder / "wheels" / image.wheelhouse.name
    if not wheels.exists():
        shutil.copytree(image.wheelhouse, wheels)
    file = _add_image(folder / "images", image, contents.images, layout, progress)
    return PackedImage(
        algorithm=algorithm.full_name,
        digest=image.digest,
        variant=variant,
        file=None if file is None else str(file.relative_to(folder)),
    )


def _add_image(folder: Path, image: Image, form: str, layout: Layout, progress: Progress) -> Path | None:
    if form == "none":
        return None
    folder.mkdir(exist_ok=True)
    if form == "sif":
        sif = apptainer_engine(layout).convert(image, progress=progress).path
        for path in (sif, sif.with_suffix(".json")):
            shutil.copyfile(path, folder / path.name)
        return folder / sif.name
    engine = answering_server(layout)
    if engine is None:
        message = "bundle: expected docker or podman to make image archives, got neither"
        raise EngineMissing(message, "Use --images sif or --images none, or start one of them; see `calm doctor`.")
    if engine.find(image) is None:
        engine.build(image, progress)
    path = folder / f"{image.algorithm}-{image.variant}-{image.digest[:12]}.tar"
    with path.open("wb") as stream:
        engine.save(image, stream)
    return path


def _add_calm(folder: Path, layout: Layout) -> None:
    """Add the packages of calm's own lock, for the Python that calm runs on; pip installs from the folder alone."""
    lock = layout.root / "requirements-dev.lock"
    pip("download", "--quiet", "--require-hashes", "--dest", str(folder), "-r", str(lock), of=Path(sys.executable))
    shutil.copyfile(lock, folder / lock.name)


def _existing(folder: Path, command: str) -> Path:
    if not folder.exists():
        message = f"{folder}: expected a dataset, got nothing"
        raise BadInput(message, f"Get it first: {command}.")
    return folder


def _packed(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as tar:
        for name in sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()):
            tar.add(folder / name, name)
    return path
