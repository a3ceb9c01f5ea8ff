"""The offline bundle: a folder or tar whose every byte is listed in it."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contract.files import write_json
from orchestrator.bundle.inventory import Content, changes, inventory
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LIST = "bundle.json"
_FORMAT = 1


def write_list(folder: Path, images: Sequence[Mapping[str, Any]]) -> None:
    """List every file of a folder in it, which makes it a bundle."""
    files = {name: asdict(content) for name, content in inventory(folder).items()}
    document = {"files": files, "format": _FORMAT, "images": list(images)}
    write_json(folder / _LIST, document | {"sha256": _own_sum(document)})


def read_list(bundle: Path) -> dict[str, Any]:
    """Read the list of a bundle: `files` by name, and `images`."""
    try:
        if bundle.is_dir():
            text = (bundle / _LIST).read_bytes()
        else:
            with tarfile.open(bundle) as tar:
                member = tar.extractfile(_LIST)
                text = b"" if member is None else member.read()
        document: dict[str, Any] = json.loads(text)
    except (OSError, KeyError, ValueError, tarfile.TarError) as error:
        message = f"{bundle}: expected a bundle with a {_LIST}, got {error}"
        raise BadInput(message, "Make one with `calm bundle create`, or copy it again.") from error
    if document.get("format") != _FORMAT:
        message = f"{bundle}: expected a bundle of format {_FORMAT}, got {document.get('format')}"
        raise BadInput(message, "Use the version of calm that made it.")
    if document.pop("sha256", None) != _own_sum(document):
        message = f"{bundle}: {_LIST}: altered; expected the list as it was written"
        raise BadInput(message, "Copy the bundle again; its list cannot be trusted.")
    return document


def differences(bundle: Path) -> tuple[str, ...]:
    """Compare every file of a bundle with its list.

    Parameters
    ----------
    bundle : Path
        Folder or tar file.

    Returns
    -------
    tuple of str
        One sentence for each file that is missing, extra or altered, in the order of names; empty when all is well.

    Raises
    ------
    BadInput
        When it is no bundle.
    """
    expected = {name: Content(**fields) for name, fields in read_list(bundle)["files"].items()}
    found = {name: content for name, content in inventory(bundle).items() if name != _LIST}
    return tuple(changes(expected, found))


def _own_sum(document: Mapping[str, Any]) -> str:
    """Return the checksum of a list without its own: an altered byte in it is found as one of any other file."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
