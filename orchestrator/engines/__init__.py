"""Engines: ways to run an image. One interface; adding one is one module here and one line below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import EngineMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.domain import EngineName, Exit, Image, Launch
    from orchestrator.engines.apptainer import ApptainerEngine
    from orchestrator.engines.containers import ContainerEngine
    from orchestrator.engines.progress import Progress
    from orchestrator.paths import Layout


class Engine(Protocol):
    """What calm asks of an engine."""

    @property
    def name(self) -> EngineName:
        """Name on the command line."""

    @property
    def unusable(self) -> str:
        """Characters that break its mounts, beside those that every path must do without."""

    def check(self) -> str:
        """Return the version of the engine.

        Raises
        ------
        EngineMissing
            When it is not installed or does not answer.
        """

    def ready(self, image: Image) -> str:
        """Return the version of an engine that has an image or can make it; what `auto` asks.

        Raises
        ------
        EngineMissing
            As `check`, and where the engine could not run the image here.
        """

    def promises(self) -> Mapping[str, bool]:
        """Say which isolation this engine keeps; goes into run.json."""

    def find(self, image: Image) -> str | None:
        """Return the engine's own identifier of a built image, None where it is not built."""

    def build(self, image: Image, progress: Progress = ...) -> str:
        """Build an image from its wheelhouse and context, without network, and return its identifier."""

    def run(self, launch: Launch, watch: Callable[[], None]) -> Exit:
        """Run an image to its end, calling `watch` a few times a second; leave nothing behind, also on Ctrl-C."""


def chosen_engine(name: str, layout: Layout, image: Image, say: Callable[[str], None]) -> Engine:
    """Return an engine by name; `auto` is the first of docker, podman, apptainer and venv that can run an image.

    Parameters
    ----------
    name : str
        Name of an engine, or "auto".
    layout : Layout
        Where caches are.
    image : Image
        What is to run.
    say : callable
        Is told in one line which engine `auto` is, and why.

    Raises
    ------
    EngineMissing
        For an unknown name, or an engine that does not answer.
    """
    return _first_usable(_engines(layout), image, say) if name == "auto" else engine_named(name, layout)


def engine_named(name: str, layout: Layout) -> Engine:
    """Return an engine by its own name.

    Raises
    ------
    EngineMissing
        For an unknown name, or an engine that does not answer.
    """
    made = _engines(layout)
    if name not in made:
        message = f"expected an engine of auto, {', '.join(made)}, got {name}"
        raise EngineMissing(message, "Choose one with --engine.")
    made[name].check()
    return made[name]


def apptainer_engine(layout: Layout) -> ApptainerEngine:
    """Return the Apptainer engine, which converts images that Docker or Podman builds."""
    from orchestrator.engines.apptainer import ApptainerEngine  # noqa: PLC0415 - only what a command uses is loaded

    return ApptainerEngine(layout=layout, sources=container_engines(layout))


def container_engines(layout: Layout) -> tuple[ContainerEngine, ...]:
    """Return the engines that speak the Docker API, in the order of preference."""
    from orchestrator.engines.containers import ContainerEngine  # noqa: PLC0415
    from orchestrator.engines.docker import DockerServer  # noqa: PLC0415
    from orchestrator.engines.podman import PodmanServer  # noqa: PLC0415

    return tuple(ContainerEngine(server=server, layout=layout) for server in (DockerServer(), PodmanServer()))


def answering_server(layout: Layout) -> ContainerEngine | None:
    """Return Docker or Podman, whichever answers first; None where neither does."""
    for engine in container_engines(layout):
        try:
            engine.check()
        except EngineMissing:
            continue
        return engine
    return None


def _engines(layout: Layout) -> dict[str, Engine]:
    """Return every engine by name, in the order in which `auto` tries them."""
    from orchestrator.engines.venv import VenvEngine  # noqa: PLC0415

    engines: tuple[Engine, ...] = (*container_engines(layout), apptainer_engine(layout), VenvEngine(layout))
    return {engine.name: engine for engine in engines}


def _first_usable(engines: Mapping[str, Engine], image: Image, say: Callable[[str], None]) -> Engine:
    missing: list[str] = []
    for engine in engines.values():
        try:
            version = engine.ready(image)
        except EngineMissing:
            missing.append(engine.name)
            continue
        passed = f" ({', '.join(missing)} cannot be used here; `calm doctor` says why)" if missing else ""
        say(f"Engine: {engine.name} {version}{passed}.")
        return engine
    message = f"expected one of {', '.join(engines)} to work, got none"
    raise EngineMissing(message, "`calm doctor` says what each of them lacks.")
