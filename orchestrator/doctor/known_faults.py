"""Releases of packages that are known to give wrong or slow results, and the locks that hold one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from orchestrator.algorithms.folders import in_environment, load_algorithms
from orchestrator.documents import Document, read_yaml
from orchestrator.domain import CURRENT
from orchestrator.engines.locks import read_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orchestrator.engines.locks import Pin


class KnownFault(Document, frozen=True, kw_only=True):
    """A fault of some releases of a package."""

    packages: tuple[str, ...]
    versions: str
    fault: str
    source: str

    def is_in(self, pin: Pin) -> bool:
        """Say whether a pin is one of the releases; a build such as +cpu is one of them as well."""
        return pin.name in self.packages and pin.version.partition("+")[0] in SpecifierSet(self.versions)


def known_faults(containers: Path) -> tuple[KnownFault, ...]:
    """Read the table of the repository."""
    return read_yaml(containers / "known_faults.yaml", tuple[KnownFault, ...])


def faults_of(pins: Iterable[Pin], known: tuple[KnownFault, ...]) -> Iterator[str]:
    """Yield a sentence for every pin with a known fault."""
    for pin in pins:
        for one in known:
            if one.is_in(pin):
                yield f"{pin.name} {pin.version}: {one.fault} ({one.source})"


def faulty_locks(containers: Path) -> dict[str, list[str]]:
    """Return the sentences, each with the locks that it is true of."""
    known = known_faults(containers)
    found: dict[str, list[str]] = {}
    for plain in load_algorithms(containers).values():
        for one in (in_environment(plain, name) for name in (CURRENT, *plain.environments)):
            for lock in (one.lock(device) for device in one.devices):
                for sentence in faults_of(read_lock(lock) if lock.exists() else (), known):
                    found.setdefault(sentence, []).append(f"{one.folder.name}/{lock.name}")
    return found
