"""The systems that locks are made for, and locks for those that this machine is not."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uv import find_uv_bin

from contract.files import atomic, sha256
from orchestrator.engines import process
from orchestrator.engines.locks import NO_DEPS, Pin, pip, read_lock
from orchestrator.engines.python import VERSION
from orchestrator.errors import BadInput, CalmError
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.domain import Algorithm, Device

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)

# What is published for x86-64 alone, and what it is called elsewhere.
RENAMED = {"tensorflow-cpu": "tensorflow"}
_MACOS = "14.0"  # the oldest that torch 2.13 is published for


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """A system and processor for which wheels are published.

    Parameters
    ----------
    name : str
        As in the names of locks: linux-arm64.
    resolver : str
        As uv calls it.
    tags : tuple of str
        Tags of the wheels that install there, as pip takes them.
    """

    name: str
    resolver: str
    tags: tuple[str, ...]


LINUX = Platform(name="linux-x86-64", resolver="x86_64-unknown-linux-gnu", tags=())  # locked on such a machine itself
OTHERS = (
    Platform(
        name="linux-arm64",
        resolver="aarch64-manylinux_2_28",
        tags=(*(f"manylinux_2_{minor}_aarch64" for minor in range(28, 16, -1)), "manylinux2014_aarch64"),
    ),
    Platform(name="macos-arm64", resolver="aarch64-apple-darwin", tags=(f"macosx_{_MACOS.replace('.', '_')}_arm64",)),
)
_HOSTS = {
    ("linux", "x86_64"): LINUX,
    ("linux", "aarch64"): OTHERS[0],
    ("darwin", "arm64"): OTHERS[1],
}


def host() -> Platform:
    """Return the platform of this machine.

    Raises
    ------
    BadInput
        Where no lock fits it.
    """
    machine = (sys.platform, platform.machine())
    if machine not in _HOSTS:
        known = ", ".join(one.name for one in _HOSTS.values())
        message = f"expected a machine that locks are made for ({known}), got {' '.join(machine)}"
        raise BadInput(message, "On Windows, use WSL 2; docs/platforms.md says what works where.")
    return _HOSTS[machine]


def lock_for(algorithm: Algorithm, variant: Device, target: Platform) -> Path:
    """Return the path of the lock of an environment for a platform."""
    lock = algorithm.lock(variant)
    return lock if target is LINUX else lock.with_name(f"{lock.stem}-{target.name}.lock")


def _known_pins(containers: Path, target: Platform) -> dict[tuple[str, str], Pin]:
    """Return the pins of the locks for a platform; each file was downloaded for the lock it stands in."""
    locks = containers.glob(f"*/requirements*-{target.name}.lock")
    return {(pin.name, pin.version): pin for path in locks for pin in read_lock(path)}


def make_lock_elsewhere(algorithm: Algorithm, target: Platform) -> Path:
    """Resolve the CPU lock of an algorithm for another platform, with the versions of the lock for this one.

    Returns
    -------
    Path
        The lock; every file in it was downloaded, and its hash is that of the file.
    """
    native, lock = algorithm.lock("cpu"), lock_for(algorithm, "cpu", target)
    source = lock.with_suffix(".in")
    source = source if source.exists() else native.with_name(native.name.replace("-cpu.lock", ".in"))
    text = source.read_text(encoding="utf-8")
    for name, other in RENAMED.items():
        text = text.replace(f"{name}==", f"{other}==")
    whole, _, alone = text.partition(NO_DEPS)
    here = [f"{pin.name}=={pin.version.partition('+')[0]}" for pin in read_lock(native)]
    versions = _versions(whole, here, target) | _versions(alone, here, target, "--no-deps")
    known = _known_pins(algorithm.folder.parent, target)
    found = ((item, known.get(item)) for item in sorted(versions.items()))
    pins = [pin or _downloaded(*item, target) for item, pin in found]
    with atomic(lock) as part:
        head = f"# Made by `calm lock --elsewhere` from {source.name} and {native.name}; not run here."
        part.write_text("\n".join([head, *(pin.line for pin in pins)]) + "\n", encoding="utf-8")
    return lock


def _versions(requirements: str, here: Sequence[str], target: Platform, *options: str) -> dict[str, str]:
    """Return the version of every package that requirements need there, those of the lock for here where they fit."""
    named = {match[1].lower() for match in _PINNED.finditer(requirements)}
    with scratch() as made:
        wanted, known = made / "wanted.in", made / "known.in"
        wanted.write_text(requirements, encoding="utf-8")
        known.write_text("\n".join(one for one in here if one.partition("==")[0] not in named), encoding="utf-8")
        where = ["--python-platform", target.resolver, "--python-version", VERSION]
        files = [str(wanted), "--constraint", str(known)]
        quiet = ["--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": _MACOS}
        said = process.run([find_uv_bin(), "pip", "compile", *quiet, *where, *options, *files], environment=environment)
    return {match[1].lower(): match[2] for match in _PINNED.finditer(said)}


def _downloaded(name: str, version: str, target: Platform) -> Pin:
    tags = [part for tag in target.tags for part in ("--platform", tag)]
    wheels = [*tags, "--python-version", VERSION, "--implementation", "cp", "--only-binary", ":all:"]
    with scratch() as folder:
        arguments = ["download", "--quiet", "--no-deps", "--dest", str(folder), f"{name}=={version}"]
        try:
            pip(*arguments, *wheels)
        except CalmError:  # published as source only
            pip(*arguments, "--no-binary", name)
        (found,) = folder.iterdir()
        return Pin(name=name, version=version, sha256=sha256(found))
