"""The venv engine: a virtual environment made from the same wheels as the images; needs Python and nothing else."""

from __future__ import annotations

import os
import platform
import shutil
from typing import TYPE_CHECKING, Literal

from filelock import FileLock

from orchestrator.domain import Exit
from orchestrator.engines import process
from orchestrator.engines.failures import image_missing
from orchestrator.engines.kernel import kernel_kills
from orchestrator.engines.locks import python as locked_python
from orchestrator.engines.system import search_path
from orchestrator.errors import BadInput, EngineMissing
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orchestrator.domain import Image, Launch
    from orchestrator.paths import Layout

_COMPLETE = "calm-complete"  # written last into an environment


class VenvEngine:
    """Runs images as virtual environments, one for each lock, shared by all images of that lock."""

    name: Literal["venv"] = "venv"

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def check(self) -> str:
        """Return the version of Python that environments are made with."""
        try:
            locked_python()
        except BadInput as error:
            raise EngineMissing(error.message, error.hint) from error
        return f"Python {platform.python_version()}"

    def ready(self, image: Image) -> str:  # noqa: ARG002 - of the interface
        """Return the version; Python and wheels are all it needs."""
        return self.check()

    def promises(self) -> Mapping[str, bool]:
        """Promise what a process can keep: HOME, temporary folder and environment variables are private."""
        return {
            "capabilities_dropped": False,
            "clean_environment": True,
            "memory_limit": False,
            "no_network": False,
            "no_new_privileges": False,
            "pids_limit": False,
            "private_home_and_tmp": True,
            "private_shared_memory": False,
            "read_only_inputs": False,
            "read_only_root": False,
        }

    def find(self, image: Image) -> str | None:
        """Return the environment's folder, None where it is not complete."""
        if image.python:
            return str(image.python) if image.context.exists() else None
        folder = self._folder(image)
        complete = (folder / _COMPLETE).exists() and image.context.exists()
        return str(folder) if complete else None

    def build(self, image: Image) -> str:
        """Install the wheelhouse into a new environment, with the network off."""
        if image.python:
            return str(image.python)
        folder = self._folder(image)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not (folder / _COMPLETE).exists():
                shutil.rmtree(folder, ignore_errors=True)
                with scratch() as temporary:
                    environment = os.environ | {"TMPDIR": str(temporary), "PIP_CONFIG_FILE": os.devnull}
                    process.run([str(locked_python()), "-m", "venv", str(folder)], environment=environment)
                    process.run(_install_command(folder, image), environment=environment)
                (folder / _COMPLETE).touch()
        return str(folder)

    def run(self, launch: Launch, watch: Callable[[], None]) -> Exit:
        """Run the image's command with this environment's Python and nothing of the caller's environment."""
        if self.find(launch.image) is None:
            raise image_missing(self.name, launch.image.algorithm)
        start = launch.image.context / "contract" / "start.py"
        own = launch.image.python
        python = [str(own), "-s"] if own else [str(self._folder(launch.image) / "bin" / "python"), "-I"]
        command = [*python, str(start), *launch.arguments]
        kills = kernel_kills()
        with scratch() as home:
            environment = {
                **launch.environment,
                **({"PYTHONPATH": search_path(own)} if own else {}),
                "HOME": str(home),
                "TMPDIR": str(home),
                "PATH": os.defpath,
            }
            code, output = process.run_watched(command, environment=environment, cwd=home, watch=watch)
        return Exit(code=code, host_out_of_memory=kernel_kills() > kills, output=output)

    def _folder(self, image: Image) -> Path:
        return self._layout.envs / image.wheelhouse.name


def _install_command(folder: Path, image: Image) -> list[str]:
    # pip looks into the folders of its own configuration too, where 2.13.0+cpu outranks the 2.13.0 of a cuda lock.
    pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "--isolated", "install", "--quiet"]
    pip.append("--disable-pip-version-check")
    source = ["--no-index", "--find-links", str(image.wheelhouse), "--no-deps", "--require-hashes"]
    return [*pip, *source, "-r", str(image.wheelhouse / "requirements.lock")]
