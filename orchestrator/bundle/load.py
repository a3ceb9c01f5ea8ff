"""Unpacking: what an offline bundle holds goes where calm looks for it, once every byte of it was checked."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.algorithms import in_environment, load_algorithms
from orchestrator.bundle.lists import differences, read_list
from orchestrator.engines import answering_server, apptainer_engine
from orchestrator.engines.image import image_of
from orchestrator.engines.sif import find_sif, sif_path
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.domain import Algorithm, Image
    from orchestrator.paths import Layout

_SHOWN = 5


def load(bundle: Path, layout: Layout, say: Callable[[str], None]) -> None:
    """Check a bundle and put what it holds where calm looks for it.

    Image archives go to Docker or Podman, whichever answers first, and otherwise become SIFs.

    Parameters
    ----------
    bundle : Path
        Folder or tar file.
    layout : Layout
        Where caches and data go; what is there already is kept.
    say : callable
        Is told what came where, one line each.

    Raises
    ------
    BadInput
        When a file is missing, extra or altered, or the bundle is of another version of calm; nothing was written.
    """
    found = differences(bundle)
    if found:
        message = f"{bundle}: expected the files of its list, got {len(found)} differences: {'; '.join(found[:_SHOWN])}"
        raise BadInput(message, "Copy the bundle again; `calm bundle verify` lists every difference.")
    if bundle.is_dir():
        _load(bundle, layout, say)
        return
    layout.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=layout.home, prefix=".bundle-") as made, tarfile.open(bundle) as tar:
        tar.extractall(made, filter="data")
        _load(Path(made), layout, say)


def _load(folder: Path, layout: Layout, say: Callable[[str], None]) -> None:
    known = load_algorithms(layout.containers)
    images = [(one["file"], _image(one, known, layout)) for one in read_list(folder)["images"]]
    for source, target in ((folder / "wheels", layout.wheels), (folder / "data", layout.data)):
        for one in sorted(source.glob("*")):
            say(f"{source.name} {one.name}: {_put(one, target / one.name)}")
    for name, image in images:
        if name is not None:
            say(f"image {image.algorithm} {image.variant}: {_load_image(folder / name, image, layout)}")


def _load_image(path: Path, image: Image, layout: Layout) -> str:
    if path.suffix == ".sif":
        target = sif_path(layout.sifs, image)
        if find_sif(layout.sifs, image) is None:
            target.unlink(missing_ok=True)  # without its sidecar nobody knows what it is
        _put(path, target)
        return _put(path.with_suffix(".json"), target.with_suffix(".json"))
    engine = answering_server(layout)
    if engine is None:
        return str(apptainer_engine(layout).convert(image, path).path)
    with path.open("rb") as stream:
        return f"{engine.name} {engine.load(stream, image)}"


def _image(entry: Mapping[str, Any], known: Mapping[str, Algorithm], layout: Layout) -> Image:
    """Return the image of an entry of the list, as this version of calm sees it."""
    name, _, environment = entry["algorithm"].partition("@")
    algorithm = known.get(name)
    if algorithm is not None and environment in algorithm.environments:
        algorithm = in_environment(algorithm, environment)
    image = None if algorithm is None else image_of(algorithm, entry["variant"], layout)
    if image is None or image.digest != entry["digest"]:
        found = "no such algorithm" if image is None else image.digest[:12]
        message = (
            f"bundle: expected {entry['algorithm']} with digest {entry['digest'][:12]} in this checkout, got {found}"
        )
        raise BadInput(message, "Use the version of calm that made the bundle.")
    return image


def _put(source: Path, target: Path) -> str:
    """Copy a file or folder to where it belongs, unless it is there; it appears only when complete."""
    if target.exists():
        return "was here already"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as made:
        part = Path(made) / source.name
        _copy(source, part)
        part.rename(target)
    return str(target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
