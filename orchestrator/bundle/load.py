"""Unpacking: what an offline bundle holds goes where calm looks for it, once every byte of it was checked."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from orchestrator.bundle.check import checked
from orchestrator.bundle.interpreter import FOLDER, put_python
from orchestrator.engines import answering_server, apptainer_engine
from orchestrator.engines.sif import find_sif, sif_path
from orchestrator.errors import BadInput
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.domain import Image
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
        When a file is missing, extra or altered, by the list of the bundle or by this checkout; nothing was written.
    """
    with checked(bundle, layout) as found:
        if found.faults:
            shown = "; ".join(found.faults[:_SHOWN])
            got = f"{len(found.faults)} differences: {shown}"
            message = f"{bundle}: expected the files of its list and of this checkout, got {got}"
            raise BadInput(message, "Copy the bundle again; `calm bundle verify` lists every difference.")
        for one in sorted((found.folder / FOLDER).glob("*")):
            say(f"python {one.stem}: {put_python(one, layout)}")
        for name, target in (("wheels", layout.wheels), ("data", layout.data)):
            for one in sorted((found.folder / name).glob("*")):
                say(f"{name} {one.name}: {_put(one, target / one.name)}")
        for packed in found.packed:
            if packed.file is not None:
                image = packed.image
                say(f"image {image.algorithm} {image.variant}: {_load_image(packed.file, image, layout)}")


def _load_image(path: Path, image: Image, layout: Layout) -> str:
    if path.suffix == ".sif":
        target = sif_path(layout.sifs, image)
        if find_sif(layout, image) is None:
            target.unlink(missing_ok=True)  # without its sidecar nobody knows what it is
            target.with_suffix(".json").unlink(missing_ok=True)
        _put(path, target)
        return _put(path.with_suffix(".json"), target.with_suffix(".json"))
    engine = answering_server(layout)
    if engine is None:
        return str(apptainer_engine(layout).convert(image, path).path)
    return f"{engine.name} {engine.load(path, image)}"


def _put(source: Path, target: Path) -> str:
    """Copy a file or folder to where it belongs, unless it is there; it appears only when complete."""
    if target.exists():
        return "was here already"
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch(target.parent) as made:
        part = made / source.name
        _copy(source, part)
        part.rename(target)
    return str(target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
