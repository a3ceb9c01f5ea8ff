"""The Python that a machine has, with its own torch: for machines whose GPU no pinned environment can reach."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from orchestrator.engines import process
from orchestrator.errors import BadInput

_VARIABLE = "CALM_SYSTEM_PYTHON"
_PACKAGES = """
import platform
from importlib import metadata
print("python", platform.python_version())
for line in sorted({f"{one.metadata['Name'].lower()} {one.version}" for one in metadata.distributions()}):
    print(line)
"""
_PATH = "import os, sys; print(os.pathsep.join(one for one in sys.path if one))"


def system_python() -> Path:
    """Return the Python that the variable CALM_SYSTEM_PYTHON names, or python3.

    Raises
    ------
    BadInput
        When there is none.
    """
    named = os.environ.get(_VARIABLE, "python3")
    found = shutil.which(named)
    if found is None:
        message = f"environment system: expected a Python, got nothing at {named}"
        raise BadInput(message, f"Set {_VARIABLE} to the path of a Python with torch.")
    return Path(found)


@cache
def packages(python: Path) -> str:
    """Return its version and those of all its packages, a line for each: what a run's key covers in place of a lock."""
    return process.run([str(python), "-c", _PACKAGES])


@cache
def search_path(python: Path) -> str:
    """Return where it finds modules, those of its user and of PYTHONPATH included."""
    return process.run([str(python), "-c", _PATH]).strip()
