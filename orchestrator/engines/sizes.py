"""How large the files of a lock are: recorded beside it when it is made, so that it can be said before a download."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from msgspec import Struct
from uv import find_uv_bin

from contract.files import write_json
from orchestrator.documents import Count, Sha256, convert, read_json
from orchestrator.engines import process
from orchestrator.engines.locks import pip, read_lock
from orchestrator.engines.python import VERSION
from orchestrator.errors import CalmError
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.engines.locks import Pin

NAME = "requirements-sizes.json"  # beside the locks of a folder; no image holds it, and no key depends on it


class _Hashes(Struct, frozen=True):
    sha256: str = ""


class _File(Struct, frozen=True):
    hashes: _Hashes = _Hashes()
    size: int | None = None


class _Package(Struct, frozen=True):
    sdist: _File | None = None
    wheels: tuple[_File, ...] = ()


class _PyLock(Struct, frozen=True):
    """What is used of pylock.toml (packaging.python.org/en/latest/specifications/pylock-toml)."""

    packages: tuple[_Package, ...] = ()


def read_sizes(lock: Path) -> dict[str, int]:
    """Return the bytes of files by their SHA-256, as recorded beside a lock; empty where nothing is."""
    path = lock.with_name(NAME)
    hint = f"`calm lock {lock.parent.name} --sizes` writes it anew."
    return read_json(path, dict[Sha256, Count], hint=hint) if path.exists() else {}


def record_sizes(folder: Path) -> Path:
    """Record how large each file in the locks of a folder is, as an index or the file tells; others are left out.

    Returns
    -------
    Path
        The record, a JSON object of SHA-256 and bytes.
    """
    locks = [read_lock(path) for path in sorted(folder.glob("requirements*.lock"))]
    sizes = read_sizes(folder / NAME)
    for pins in locks:
        missing = [pin for pin in pins if pin.sha256 not in sizes]
        sizes |= _told([pin for pin in missing if "+" not in pin.version])
        for pin in missing:
            if pin.sha256 not in sizes:
                sizes |= _weighed(pin)
    wanted = {pin.sha256 for pins in locks for pin in pins}
    write_json(folder / NAME, {digest: size for digest, size in sizes.items() if digest in wanted})
    return folder / NAME


def _told(pins: Sequence[Pin]) -> dict[str, int]:
    """Return the sizes that an index tells of all files of the pinned versions."""
    if not pins:
        return {}
    with scratch() as made:
        source, found = made / "pins.in", made / "pylock.toml"
        source.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in pins), encoding="utf-8")
        where = ["--universal", "--no-deps", "--python-version", VERSION, "--format", "pylock.toml"]
        process.run([find_uv_bin(), "pip", "compile", "--quiet", *where, "-o", str(found), str(source)])
        packages = convert(tomllib.loads(found.read_text(encoding="utf-8")), _PyLock, found).packages
    files = [one for package in packages for one in (*package.wheels, *([package.sdist] if package.sdist else []))]
    return {one.hashes.sha256: one.size for one in files if one.size is not None}


def _weighed(pin: Pin) -> dict[str, int]:
    """Return the size of the file of a pin as pip downloads it; nothing where it cannot."""
    with scratch() as made:
        source, folder = made / "pin.txt", made / "files"
        source.write_text(f"{pin.line}\n", encoding="utf-8")
        try:
            pip("download", "--quiet", "--no-deps", "--require-hashes", "-r", str(source), "-d", str(folder))
        except CalmError:  # of another system, or not published any more
            return {}
        return {pin.sha256: sum(path.stat().st_size for path in folder.iterdir())}
