"""Engines that speak the Docker API, through the Docker SDK: hermetic builds, hardened runs, nothing left behind."""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from orchestrator.documents import convert
from orchestrator.domain import Exit
from orchestrator.engines.base import base_image
from orchestrator.engines.build import follow, pack
from orchestrator.engines.code import check_archive
from orchestrator.engines.failures import diagnose_words, engine_gone, image_missing
from orchestrator.engines.image import check_caches
from orchestrator.engines.kernel import kernel_kills
from orchestrator.engines.known import checked, remember
from orchestrator.engines.progress import SILENT
from orchestrator.engines.settings import LABEL, container_settings, promises_of
from orchestrator.errors import AlgorithmFailed, BadInput, CalmError, EngineFailed, EngineMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from docker import DockerClient
    from docker.models.containers import Container

    from orchestrator.domain import EngineName, Image, Launch
    from orchestrator.engines.progress import Progress
    from orchestrator.engines.settings import Flavour
    from orchestrator.paths import Layout

_BASE_LABEL = "org.opencontainers.image.base.name"
_POLL_S = 0.2
_TAIL_LINES = 40
_GRACE_S = 10
_PINGS = 10  # signs of life asked of a server that may be going away
_PING_PAUSE_S = 0.3
_KILLED = 137  # exit code of a container that was killed
_STOPPED = (130, 137, 143)  # those of a container that somebody stopped, perhaps its own server


class _State(Struct, frozen=True):
    """How a container ended, as the daemon says."""

    exit_code: int = field(name="ExitCode")
    out_of_memory: bool = field(name="OOMKilled", default=False)


class Server(Protocol):
    """A server of the Docker API: how to reach it, and what is special about it."""

    @property
    def name(self) -> EngineName:
        """Name of the engine."""

    @property
    def unusable(self) -> str:
        """Characters that break its mounts."""

    def client(self) -> DockerClient:
        """Return a client whose server answers; EngineMissing where none does."""

    def flavour(self) -> Flavour:
        """Return what is special about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerEngine:
    """Runs images as containers of a server of the Docker API."""

    server: Server
    layout: Layout

    @property
    def name(self) -> EngineName:
        """Name on the command line."""
        return self.server.name

    @property
    def unusable(self) -> str:
        """Characters that break its mounts."""
        return self.server.unusable

    def check(self) -> str:
        """Return the version of the server."""
        try:
            with _answering(self.server):
                return str(self.server.client().version()["Version"])
        except (EngineFailed, AlgorithmFailed) as error:  # it came so far as to be asked, and could not answer
            raise EngineMissing(error.message, error.hint) from error

    def ready(self, image: Image) -> str:  # noqa: ARG002 - of the interface
        """Return the version; a server that answers can make whatever it is asked to run."""
        return self.check()

    def promises(self) -> Mapping[str, bool]:
        """Promise what the settings of a container make the kernel enforce."""
        return promises_of(self.server.flavour())

    def find(self, image: Image) -> str | None:
        """Return the identifier (sha256:...) of the image that was built or loaded here; one that was not is no one's.

        Raises
        ------
        EngineFailed
            When its name was given to another image.
        """
        import docker.errors  # noqa: PLC0415 - the docker package takes 0.2 s to import

        with _answering(self.server):
            try:
                found = str(self.server.client().images.get(tag_of(image)).id)
            except docker.errors.ImageNotFound:
                return None
        return checked(self._known(image), found, self.name, tag_of(image))

    def build(self, image: Image, progress: Progress = SILENT) -> str:
        """Build from wheelhouse and context, with the network off, on the base image of this machine."""
        with _answering(self.server), tempfile.TemporaryFile() as archive:
            client = self.server.client()
            base = base_image(client, self.layout)
            check_caches(image, self.layout)
            pack(image, archive)
            archive.seek(0)
            messages = client.api.build(
                fileobj=archive,
                custom_context=True,
                tag=tag_of(image),
                buildargs={"BASE": base},
                network_mode="none",
                labels={**image.labels, LABEL: image.digest, _BASE_LABEL: base},
                rm=True,
                forcerm=True,
                pull=False,
                decode=True,
            )
            follow(messages, tag_of(image), progress)
            client.images.prune(filters=stages_to_delete(image))
            return remember(self._known(image), str(client.images.get(tag_of(image)).id))

    def tags(self) -> tuple[str, ...]:
        """Return the names of all images that calm built here, of whatever version of calm, sorted."""
        with _answering(self.server):
            found = self.server.client().images.list(filters={"label": LABEL})
        names = (tag.removeprefix("localhost/") for image in found for tag in image.tags)  # Podman puts it there
        return tuple(sorted(name.removeprefix("docker.io/library/") for name in names))

    def save(self, image: Image, archive: IO[bytes]) -> None:
        """Write a built image as the archive that `docker save` writes."""
        if self.find(image) is None:
            raise image_missing(self.name, tag_of(image))
        with _answering(self.server):
            for block in self.server.client().images.get(tag_of(image)).save(named=True):
                archive.write(block)

    def load(self, archive: Path, image: Image) -> str:
        """Load an image from an archive that holds the code of this checkout, name it and return its identifier."""
        check_archive(archive, image)
        with _answering(self.server), archive.open("rb") as stream:
            (loaded,) = self.server.client().images.load(stream)
            loaded.tag(*tag_of(image).split(":"))
        return remember(self._known(image), str(loaded.id))

    def run(self, launch: Launch, watch: Callable[[], None]) -> Exit:
        """Run a container to its end: no network, read-only root, no capabilities, the caller's uid and gid."""
        _check_sources(launch)
        kills = kernel_kills()
        identifier = self.find(launch.image)
        if identifier is None:
            raise image_missing(self.name, tag_of(launch.image))
        with _answering(self.server), self._container(launch, identifier) as container:
            container.start()
            _wait(container, watch)
            state = convert(container.attrs["State"], _State, f"{self.name} inspect")
            output = container.logs(tail=_TAIL_LINES).decode(errors="replace")
            code, limit_hit = state.exit_code, state.out_of_memory
            if code in _STOPPED and not limit_hit:
                _check_alive(self.server)
        killed = kernel_kills() > kills
        if not self.server.flavour().reports_memory_kills:
            limit_hit = limit_hit or (killed and code == _KILLED)
        return Exit(code=code, out_of_memory=limit_hit, host_out_of_memory=killed, output=output)

    def _known(self, image: Image) -> Path:
        return self.layout.images / f"{self.name}-{tag_of(image).replace(':', '-')}.json"

    @contextmanager
    def _container(self, launch: Launch, identifier: str) -> Iterator[Container]:
        """Create a container of an image, by its identifier, and remove it whatever happens, Ctrl-C included.

        Its name is that of the run folder, which one process holds at a time: a container that a killed command left
        at work there is found by it and removed, and ours even when the answer to its creation never arrives.
        """
        import docker.errors  # noqa: PLC0415 - the docker package takes 0.2 s to import

        client = self.server.client()
        settings = container_settings(launch, self.server.flavour(), uid=os.getuid(), gid=os.getgid())
        name = f"calm-{hashlib.sha256(str(launch.writable).encode()).hexdigest()[:32]}"
        ended = False
        try:
            with suppress(docker.errors.NotFound):
                client.api.remove_container(name, force=True, v=True)
            yield client.containers.create(identifier, list(launch.arguments), name=name, **settings)
            ended = True
        except docker.errors.ImageNotFound as error:
            raise image_missing(self.name, tag_of(launch.image)) from error
        except docker.errors.APIError as error:
            raise _explained(error, self.name) from error
        finally:
            with _undisturbed():
                if not ended:
                    with suppress(docker.errors.APIError):  # it may never have started
                        client.api.stop(name, timeout=_GRACE_S)
                with suppress(docker.errors.NotFound):
                    client.api.remove_container(name, force=True, v=True)


def tag_of(image: Image) -> str:
    """Return the name of an image in every engine of the Docker API."""
    return f"calm-{image.algorithm}:{image.variant}-{image.digest[:12]}"


def stages_to_delete(image: Image) -> dict[str, Any]:
    """Return the filter of build stages to delete once an image is built, for `docker.models.images.prune`.

    A stage of a CPU lock is kept for an hour: until then, other images of the same lock are built from its environment
    in a few seconds. That of a CUDA lock has several gigabytes and goes at once.
    """
    stages = {"dangling": True, "label": "calm.stage=build"}
    return stages if image.variant == "cuda" else stages | {"until": "1h"}


def _wait(container: Container, watch: Callable[[], None]) -> None:
    """Call `watch` until a container has ended."""
    while container.status in {"created", "running"}:
        time.sleep(_POLL_S)
        watch()
        container.reload()


@contextmanager
def _answering(server: Server) -> Iterator[None]:
    """Turn a server that refuses, or goes away while it is used, into one sentence."""
    import docker.errors  # noqa: PLC0415 - the docker package takes 0.2 s to import
    import requests  # noqa: PLC0415 - beside the docker package, which needs it

    try:
        yield
    except docker.errors.APIError as error:  # an answer, though requests counts it among its own errors
        known = diagnose_words(f"{server.name}: {error}") is not None
        gone = engine_gone(server.name, str(error)) if error.is_server_error() and not known else None
        raise gone or _explained(error, server.name) from error
    except requests.exceptions.RequestException as error:
        raise engine_gone(server.name, str(error)) from error


def _check_alive(server: Server) -> None:
    """Ask the server for signs of life: one that is going away kills its containers first."""
    for _ in range(_PINGS):
        server.client().ping()
        time.sleep(_PING_PAUSE_S)


def _check_sources(launch: Launch) -> None:
    """Refuse an input that is gone: Podman would make an empty folder in its place."""
    for path in launch.read_only:
        if not path.exists():
            message = f"{path}: expected an input file, got nothing; it was there when the run was planned"
            raise BadInput(message, "Put it back; the same command goes on where this one stopped.")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM while a container is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _explained(error: Exception, engine: str) -> CalmError:
    failure = diagnose_words(f"{engine}: {error}")
    if failure is not None:
        return failure.raised()
    return AlgorithmFailed(f"{engine}: {error}", "`calm doctor` checks the engine; --engine venv does without it.")
