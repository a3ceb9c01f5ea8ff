"""The environment with the reference libraries: built once per requirements file, then reused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_REQUIREMENTS = Path(__file__).with_name("reference-requirements.txt")
_REPOSITORY = Path(__file__).resolve().parents[3]


def reference_python() -> Path:
    """Return the Python of the reference environment, building it where it is missing.

    Returns
    -------
    Path
        Below ``$CALM_HOME`` (default ``<repository>/.calm``).

    Raises
    ------
    subprocess.CalledProcessError
        If a package cannot be installed; ``stderr`` says why.
    """
    home = Path(os.environ.get("CALM_HOME") or _REPOSITORY / ".calm").resolve()
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    environment = home / "test-envs" / digest
    if not environment.exists():
        environment.parent.mkdir(parents=True, exist_ok=True)
        _build(environment)
    return environment / "bin" / "python"


def _build(environment: Path) -> None:
    """Build beside the final name and rename, so that an environment that exists is complete."""
    partial = Path(tempfile.mkdtemp(prefix=f"{environment.name}.", dir=environment.parent))
    try:
        _run(sys.executable, "-m", "venv", str(partial))
        pip = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps")
        _run(str(partial / "bin" / "python"), *pip, "--requirement", str(_REQUIREMENTS))
        try:
            partial.rename(environment)
        except OSError:  # another process was faster
            if not environment.exists():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
