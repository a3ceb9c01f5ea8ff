"""The venv engine: a virtual environment made from the same wheels as the images; needs Python and nothing else."""

from __future__ import annotations

import os
import shlex
import shutil
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Literal

from filelock import FileLock

from orchestrator.domain import Exit
from orchestrator.engines import process
from orchestrator.engines.failures import image_missing
from orchestrator.engines.image import check_caches
from orchestrator.engines.kernel import kernel_kills
from orchestrator.engines.progress import SILENT, counted
from orchestrator.engines.python import VERSION, found_python, python, uv, version_of
from orchestrator.engines.stamps import changes, files_below, read_stamp, states_of, write_stamp
from orchestrator.engines.system import search_path
from orchestrator.engines.wheelhouse import LOCK
from orchestrator.errors import BadInput, EngineFailed, EngineMissing
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orchestrator.domain import Image, Launch
    from orchestrator.engines.progress import Progress
    from orchestrator.engines.stamps import State
    from orchestrator.paths import Layout

_PER_COMPILED = 20  # files unpacked or linked in the time in which one is compiled; about that on two busy cores


class VenvEngine:
    """Runs images as virtual environments, one for each lock, shared by all images of that lock."""

    name: Literal["venv"] = "venv"
    unusable = ""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def check(self) -> str:
        """Return the version of Python that environments are made with."""
        try:
            found = found_python()
        except BadInput as error:
            raise EngineMissing(error.message, error.hint) from error
        return f"Python {version_of(found) if found else VERSION}"

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
        """Return the environment's folder, None where it is not complete; EngineFailed where it was changed."""
        if not image.context.exists():
            return None
        check_caches(image, self._layout)
        if image.python:
            return str(image.python)
        folder = self._folder(image)
        stamp = _stamp(folder)
        known = read_stamp(stamp) if folder.exists() else None
        if known is None:
            return None
        found = states_of(files_below(folder), known)
        changed = next(changes(_contents(known), _contents(found)), None)
        if changed is not None:
            message = f"{folder}: expected the environment as it was installed, got another: {changed}"
            hint = f"Delete it: rm -r {shlex.quote(str(folder))}; the same command makes it again."
            raise EngineFailed(message, hint)
        if found != known:  # copied, or touched
            write_stamp(stamp, found)
        return str(folder)

    def build(self, image: Image, progress: Progress = SILENT) -> str:
        """Install the wheelhouse into a new environment, with the network off."""
        if image.python:
            return str(image.python)
        folder = self._folder(image)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if read_stamp(_stamp(folder)) is None or not folder.exists():
                _stamp(folder).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                check_caches(image, self._layout)
                with scratch(folder.parent) as cache:
                    uv("venv", "--python", str(python()), str(folder), cache=cache)
                    _install(image.wheelhouse, folder, cache, progress)
                write_stamp(_stamp(folder), states_of(files_below(folder), {}))  # the last, so what has one is whole
        return str(folder)

    def run(self, launch: Launch, watch: Callable[[], None]) -> Exit:
        """Run the image's command with this environment's Python and nothing of the caller's environment."""
        if self.find(launch.image) is None:
            raise image_missing(self.name, launch.image.algorithm)
        start = launch.image.context / "contract" / "start.py"
        own = launch.image.python
        python = [str(own), "-s", "-B"] if own else [str(self._folder(launch.image) / "bin" / "python"), "-I", "-B"]
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


def _stamp(folder: Path) -> Path:
    """Return the list of what was installed, beside the environment."""
    return folder.with_suffix(".json")


def _contents(states: Mapping[str, State]) -> dict[str, str]:
    return {name: state.sha256 for name, state in states.items()}


def _install(wheelhouse: Path, folder: Path, cache: Path, progress: Progress) -> None:
    """Install a wheelhouse; uv unpacks all files, then links them, then compiles those of Python, which is counted."""
    wheels = [*wheelhouse.glob("*.whl")]
    names = [name for wheel in wheels for name in zipfile.ZipFile(wheel).namelist()]
    steps = 2 * len(names) // _PER_COMPILED + sum(name.endswith(".py") for name in names)

    def done() -> int:
        there = [name for place in (cache, folder) for *_, found in os.walk(place) for name in found]
        compiled = sum(name.endswith(".pyc") for name in there)
        return (len(there) - compiled) // _PER_COMPILED + compiled

    with counted(progress, f"installing {len(wheels)} packages", steps) as look:
        options = _from_wheelhouse(wheelhouse)
        uv("pip", "install", "--python", str(folder), *options, cache=cache, watch=partial(look, done))


def _from_wheelhouse(wheelhouse: Path) -> list[str]:
    """Return the options that install what a wheelhouse holds, and nothing from anywhere else."""
    source = ["--no-index", "--find-links", str(wheelhouse), "--no-deps", "--require-hashes", "--compile-bytecode"]
    return [*source, "-r", str(wheelhouse / LOCK)]
