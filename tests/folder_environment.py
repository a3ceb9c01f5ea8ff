"""The environment of an algorithm folder with what only its tests need beside it, never in it.

Runs a benchmark there; `make bench` calls this:
    python tests/folder_environment.py FOLDER SCRIPT [ARGUMENT...]
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from orchestrator.algorithms.folders import load_algorithm
from orchestrator.paths import layout

CONTAINERS = Path(__file__).parents[1] / "containers"
# Nothing is written into the environment, which would count as changed; threads that share a core wait at rest.
FOR_TESTS = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def python_of(built):
    """Return the Python of a folder's environment from what `calm build FOLDER --engine venv` printed."""
    return Path(built.split()[-1]) / "bin" / "python"


def search_path(name, python):
    """Return PYTHONPATH: the folder's modules and its test packages, which are installed once for each list of them."""
    listed = CONTAINERS / name / "requirements-test.in"
    wanted = listed.read_bytes() if listed.exists() else b""
    extras = layout().home / "test-packages" / hashlib.sha256(wanted + str(python).encode()).hexdigest()[:12]
    if wanted and not (extras / "complete").exists():
        shutil.rmtree(extras, ignore_errors=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--target", extras, "-r", listed],
            check=True,
        )
        (extras / "complete").touch()
    shared = [path.parent for path in load_algorithm(CONTAINERS / name).shares]
    return ":".join(map(str, dict.fromkeys([CONTAINERS, CONTAINERS / name, *shared, extras])))


def main(name, *command):
    """Build the environment of a folder where it is missing, and become `python COMMAND...` in it."""
    build = [sys.executable, "-c", "from orchestrator.cli import main; main()", "build", name, "--engine", "venv"]
    built = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True)
    python = python_of(built.stdout)
    own = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": search_path(name, python)}
    os.execve(python, [python, *command], os.environ | own)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
