"""The Apptainer engine, through its command line: SIFs with verified content, run without a daemon."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Protocol

from orchestrator.domain import Exit
from orchestrator.engines import process
from orchestrator.engines.failures import image_missing
from orchestrator.engines.kernel import allows_user_namespaces, kernel_kills
from orchestrator.engines.progress import SILENT
from orchestrator.engines.sif import clean_environment, find_sif, make_sif
from orchestrator.errors import BadInput, EngineMissing
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.domain import EngineName, Image, Launch
    from orchestrator.engines.progress import Progress
    from orchestrator.engines.sif import Sif
    from orchestrator.paths import Layout

_log = logging.getLogger(__name__)
_ENTRY = "/usr/local/bin/algorithm"  # `apptainer exec` knows no ENTRYPOINT
_HOME = "/home/calm"
_FUSE = Path("/dev/fuse")


class Source(Protocol):
    """An engine that builds images and saves them as archives."""

    @property
    def name(self) -> EngineName:
        """Name of the engine."""

    def check(self) -> str:
        """Return its version; EngineMissing where it does not answer."""

    def find(self, image: Image) -> str | None:
        """Return the identifier of a built image."""

    def build(self, image: Image, progress: Progress) -> str:
        """Build an image."""

    def save(self, image: Image, archive: IO[bytes]) -> None:
        """Write an image as an archive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """What of a machine decides how Apptainer is called."""

    namespaces: bool
    fuse: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ApptainerEngine:
    """Runs images as SIF files."""

    layout: Layout
    sources: tuple[Source, ...]

    name: Literal["apptainer"] = "apptainer"
    unusable: str = ""

    def check(self) -> str:
        """Return the version of the program."""
        try:
            return process.run(["apptainer", "--version"]).strip().removeprefix("apptainer version ")
        except BadInput as error:
            message = "apptainer: expected the program apptainer, got none"
            raise EngineMissing(message, "Load its module or install it, or use another --engine.") from error

    def ready(self, image: Image) -> str:
        """Return the version where the image's SIF is there, because alone Apptainer cannot make one."""
        version = self.check()
        if self.find(image) is None:
            message = f"apptainer: there is no SIF of {image.algorithm}"
            raise EngineMissing(message, f"Make it: calm sif {image.algorithm}; from an archive where no daemon runs.")
        return version

    def promises(self) -> Mapping[str, bool]:
        """Promise what the command line makes the kernel enforce on this machine."""
        isolated = _host().namespaces
        return {
            "capabilities_dropped": True,
            "clean_environment": True,
            "memory_limit": False,  # --memory needs systemd or cgroup v2 and the right to use them
            "no_network": isolated,
            "no_new_privileges": True,
            "pids_limit": False,
            "private_home_and_tmp": True,
            "private_shared_memory": True,
            "read_only_inputs": True,
            "read_only_root": True,
        }

    def find(self, image: Image) -> str | None:
        """Return the SHA-256 of the image's SIF; EngineFailed where the file was changed since it was compared."""
        found = find_sif(self.layout, image)
        return None if found is None else f"sha256:{found.sha256}"

    def build(self, image: Image, progress: Progress = SILENT) -> str:
        """Convert the image of the first source that answers, which builds it where it has to."""
        return f"sha256:{self.convert(image, progress=progress).sha256}"

    def convert(
        self,
        image: Image,
        archive: Path | None = None,
        say: Callable[[str], None] = _log.info,
        progress: Progress = SILENT,
    ) -> Sif:
        """Make the SIF of an image from an archive, or find it made; without one, an engine builds and saves the image.

        Parameters
        ----------
        image : Image
            Of the checkout.
        archive : Path, optional
            What `docker save` wrote; it is read, compared and converted in any case.
        say : callable, optional
            Is told what is being done, one line each.
        progress : Progress, optional
            Is told how far a build is.
        """
        self.check()
        if archive is not None:
            return make_sif(self.layout, image, lambda _: archive, say, anew=True)

        def saved(folder: Path) -> Path:
            source = self._source()
            if source.find(image) is None:
                say(f"{image.algorithm}: {source.name} builds the image")
                source.build(image, progress)
            say(f"{image.algorithm}: {source.name} saves the image")
            with (folder / "image.tar").open("wb") as stream:
                source.save(image, stream)
            return folder / "image.tar"

        return make_sif(self.layout, image, saved, say)

    def run(self, launch: Launch, watch: Callable[[], None]) -> Exit:
        """Run the image's command: no network, read-only root, no capabilities, a home and /tmp of its own."""
        sif = find_sif(self.layout, launch.image)
        if sif is None:
            raise image_missing(self.name, launch.image.algorithm)
        process.end_leftovers(launch.arguments)  # a command that was killed leaves its job at work
        kills = kernel_kills()
        with scratch() as made:
            (made / "home").mkdir()
            (made / "work").mkdir()
            command = exec_command(launch, sif.path, made, _host())
            environment = exec_environment(launch, os.environ)
            code, output = process.run_watched(command, environment=environment, cwd=made, watch=watch)
        return Exit(code=code, host_out_of_memory=kernel_kills() > kills, output=output)

    def _source(self) -> Source:
        missing = []
        for source in self.sources:
            try:
                source.check()
            except EngineMissing as error:
                missing.append(error.message)
                continue
            return source
        message = (
            f"apptainer: expected docker or podman to build the image to convert, got neither: {'; '.join(missing)}"
        )
        hint = "Save the image where one of them runs, and convert it here: calm sif ALGORITHM --archive FILE."
        raise EngineMissing(message, hint)


def exec_command(launch: Launch, sif: Path, scratch: Path, host: Host) -> list[str]:
    """Return the command that runs a launch."""
    command = ["apptainer", "--silent", "exec", "--containall", "--cleanenv", "--no-eval", "--no-privs"]
    command += ["--home", f"{scratch / 'home'}:{_HOME}", "--workdir", str(scratch / "work"), "--pwd", "/"]
    if host.namespaces:
        command += ["--userns", "--net", "--network", "none", "--hostname", "calm"]
    if not host.fuse:
        command += ["--unsquash"]
    if launch.device == "cuda":
        command += ["--nv"]
    for path in launch.read_only:
        command += ["--bind", f"{path}:{path}:ro"]
    if launch.writable is not None:
        command += ["--bind", f"{launch.writable}:{launch.writable}"]
    return [*command, str(sif), _ENTRY, *launch.arguments]


def exec_environment(launch: Launch, caller: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that Apptainer runs in; APPTAINERENV_X becomes X inside, whatever its value holds."""
    inside = dict(launch.environment) | {"TMPDIR": "/tmp"}  # noqa: S108 - private, below the scratch folder
    return clean_environment(caller) | {f"APPTAINERENV_{name}": value for name, value in inside.items()}


def _host() -> Host:
    return Host(
        namespaces=allows_user_namespaces(),
        fuse=os.access(_FUSE, os.R_OK | os.W_OK),
    )
