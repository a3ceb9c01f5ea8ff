"""The one Python that environments are made with: the machine's where it has that version, else one that uv brings."""

from __future__ import annotations

import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from uv import find_uv_bin

from orchestrator.engines import process
from orchestrator.errors import AlgorithmFailed, BadInput, CalmError
from orchestrator.paths import layout

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "3.11"  # of every environment, so that one lock serves all engines
VARIABLE = "CALM_PYTHON"


def python() -> Path:
    """Return a Python of the pinned version, brought by uv into the cache where the machine has none.

    Raises
    ------
    BadInput
        When there is none and none can be brought, or the one that CALM_PYTHON names is another.
    """
    return found_python() or _brought()


def found_python() -> Path | None:
    """Return a Python of the pinned version that is there already: named by CALM_PYTHON, of the machine, or brought."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        path = shutil.which(named)
        if path is None or version_of(Path(path)) is None:
            got = "no such program" if path is None else answer_of(Path(path))
            message = f"{VARIABLE}: expected the path of a Python {VERSION}, got {named!r}: {got}"
            raise BadInput(message, "Environments are made with this version, so that they hold the same everywhere.")
        return Path(path)
    machine = shutil.which(f"python{VERSION}")
    candidates = [Path(sys.executable), *([Path(machine)] if machine else []), *_managed()]
    return next((one for one in candidates if version_of(one) is not None), None)


@cache
def version_of(path: Path) -> str | None:
    """Return the whole version of a Python, None where it is not of the pinned one or does not start."""
    answer = answer_of(path)
    return answer if answer.startswith(f"{VERSION}.") else None


def answer_of(path: Path) -> str:
    """Return what a Python says its version is, or what kept it from answering."""
    try:
        return process.run([str(path), "-I", "-c", "import platform; print(platform.python_version())"]).strip()
    except OSError as error:  # not a program that runs
        return error.strerror or str(error)
    except CalmError as error:  # one that fails
        return error.message


def uv(*arguments: str, cache: Path, watch: Callable[[], None] | None = None) -> str:
    """Run uv without network and without what it is configured to; files of a cache on the same disk are linked."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    options = ["--quiet", "--offline", "--no-config", "--cache-dir", str(cache)]
    return process.run([find_uv_bin(), *arguments, *options], environment=environment, watch=watch)


def _managed() -> list[Path]:
    return sorted(layout().pythons.glob(f"cpython-{VERSION}.*/bin/python{VERSION}"), reverse=True)


def _brought() -> Path:
    """Download a Python as uv is configured to, which may be from a mirror."""
    try:
        environment = os.environ | {"UV_PYTHON_INSTALL_DIR": str(layout().pythons)}
        process.run([find_uv_bin(), "python", "install", "--quiet", "--no-bin", VERSION], environment=environment)
    except AlgorithmFailed as error:
        message = f"expected a Python {VERSION} for the environments, found none, and uv could not download one"
        hint = f"Install python{VERSION}, or name one: {VARIABLE}=/path/to/python{VERSION}. {error.message}"
        raise BadInput(message, hint) from error
    return _managed()[0]
