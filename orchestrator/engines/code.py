"""Whether what an image runs is the code of this checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engines.settings import LABEL
from orchestrator.engines.stamps import changes
from orchestrator.engines.tree import read_archive
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.domain import Image
    from orchestrator.engines.tree import Entry, Saved

CODE = "opt/calm"
ENTRY = "usr/local/bin/algorithm"
_SCRIPT = "contract/algorithm.sh"
_NOT_COPIED = ("Dockerfile", _SCRIPT)


def check_archive(archive: Path, image: Image) -> Saved:
    """Read an image archive and compare it with the checkout.

    Raises
    ------
    BadInput
        When it is no archive, or of another image, or holds other code than this checkout.
    """
    if not archive.is_file():
        message = f"{archive}: expected an archive of `docker save` or `podman save`, got no such file"
        raise BadInput(message, "Name the file that it wrote.")
    saved = read_archive(archive)
    found = saved.labels.get(LABEL)
    if found != image.digest:
        message = f"{archive}: expected the image {image.digest[:12]} of this checkout, got {(found or 'another')[:12]}"
        raise BadInput(message, f"Build and save it with this version of calm: calm build {image.algorithm}.")
    check_code(archive, saved.tree, image)
    return saved


def check_code(where: Path, tree: Mapping[str, Entry], image: Image) -> None:
    """Compare the code in the tree of an image with the checkout: every file, none missing, none extra.

    Raises
    ------
    BadInput
        With the first file that differs.
    """
    expected = {f"/{CODE}/{name}": digest for name, digest in image.files.items() if name not in _NOT_COPIED}
    expected[f"/{ENTRY}"] = image.files[_SCRIPT]
    found = {
        f"/{path}": entry.sha256 or entry.kind
        for path, entry in tree.items()
        if path == ENTRY or (path.startswith(f"{CODE}/") and entry.kind != "folder")
    }
    changed = next(changes(expected, found), None)
    if changed is not None:
        message = f"{where}: expected the code of this checkout, got other code: {changed}"
        raise BadInput(message, "Do not use it: it was changed since calm made it. Make it again from this checkout.")
