"""The Python of the environments in a bundle, for machines that have none and cannot download one."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.python import VERSION, answer_of
from orchestrator.errors import BadInput
from orchestrator.foreign import reading
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from orchestrator.paths import Layout

FOLDER = "python"  # of a bundle
_KIND = f"a Python {VERSION} that runs wherever it is put, as a folder or a tar file"
_PROGRAM = f"bin/python{VERSION}"
_WITHIN = (".", "python", "python/install")  # where archives of uv and python-build-standalone have it
_HINT = f"`uv python install --install-dir FOLDER {VERSION}` downloads one, where there is internet."


def pack_python(given: Path, folder: Path) -> None:
    """Put a Python into a bundle, as one tar file whose name tells its version.

    Parameters
    ----------
    given : Path
        Folder with `bin/python3.11`, or a tar file of one, as uv and python-build-standalone make them. It is
        packed, unpacked and started, to see that it runs elsewhere than where it was installed.
    folder : Path
        The bundle.

    Raises
    ------
    BadInput
        When it is something else, or does not run from a copy.
    """
    with scratch(folder) as made:
        packed = _packed(given, made / "given.tar") if given.is_dir() else given
        name, home = _unpacked(packed, made / "copy", given)
        target = folder / FOLDER / f"{name}.tar"
        target.parent.mkdir()
        _packed(home, target)


def put_python(packed: Path, layout: Layout) -> str:
    """Put the Python of a bundle where calm looks for one, unless it is there; return where, in words.

    Raises
    ------
    BadInput
        When it does not run on this machine; nothing was put anywhere.
    """
    target = layout.pythons / packed.stem
    if target.exists():
        return "was here already"
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch(target.parent) as made:
        _, home = _unpacked(packed, made / "copy", Path(FOLDER) / packed.name)
        home.rename(target)
    return str(target)


def _packed(home: Path, target: Path) -> Path:
    with tarfile.open(target, "w") as tar:
        for path in sorted(home.rglob("*")):
            if "__pycache__" not in path.parts:
                tar.add(path, str(path.relative_to(home)), recursive=False)
    return target


def _unpacked(packed: Path, copy: Path, known_as: Path) -> tuple[str, Path]:
    """Unpack and start a Python; return its name, as uv names its own, and the folder within the copy it lies in."""
    with reading(known_as, _KIND, _HINT), tarfile.open(packed) as tar:
        tar.extractall(copy, filter="data")
    found = next((copy / sub for sub in _WITHIN if (copy / sub / _PROGRAM).exists()), None)
    said = f"nothing at {_PROGRAM}" if found is None else answer_of(found / _PROGRAM)
    if found is None or not said.startswith(f"{VERSION}."):
        message = f"{known_as}: expected {_KIND}, got {said}"
        raise BadInput(message, _HINT)
    return f"cpython-{said}", found
