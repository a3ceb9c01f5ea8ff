"""Old images: no algorithm folder of this checkout asks for them, because its lock or code has changed since."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.algorithms.folders import in_environment, load_algorithms
from orchestrator.domain import CURRENT
from orchestrator.engines import container_engines
from orchestrator.engines.containers import tag_of
from orchestrator.engines.image import image_of
from orchestrator.engines.sif import sif_path
from orchestrator.errors import CalmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.domain import Image
    from orchestrator.paths import Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftovers:
    """Old images of one engine."""

    engine: str
    names: tuple[str, ...]
    command: str


def leftovers(layout: Layout) -> tuple[Leftovers, ...]:
    """List the old images of every engine that answers and has some."""
    images = tuple(_current(layout))
    found = [*_in_servers(layout, {tag_of(image) for image in images})]
    wanted = {sif_path(layout.sifs, image) for image in images}
    sifs = tuple(str(path) for path in sorted(layout.sifs.glob("*.sif")) if path not in wanted)
    if sifs:
        found.append(Leftovers(engine="apptainer", names=sifs, command=f"rm {shlex.join(sifs)}"))
    return tuple(found)


def _current(layout: Layout) -> Iterator[Image]:
    for algorithm in load_algorithms(layout.containers).values():
        for name in (CURRENT, *algorithm.environments):
            environment = in_environment(algorithm, name)
            for device in environment.devices:
                yield image_of(environment, device, layout)


def _in_servers(layout: Layout, wanted: set[str]) -> Iterator[Leftovers]:
    for engine in container_engines(layout):
        try:
            names = tuple(tag for tag in engine.tags() if tag not in wanted)
        except CalmError:  # the doctor's check of that engine says why it does not answer
            continue
        if names:
            yield Leftovers(engine=engine.name, names=names, command=f"{engine.name} rmi {shlex.join(names)}")
