"""One lock for every engine: requirements.in becomes a list of packages by version and hash, the lock a wheelhouse."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from msgspec import Struct

from contract.files import atomic, sha256
from orchestrator.documents import parse_json
from orchestrator.engines import process
from orchestrator.engines.failures import diagnose_words
from orchestrator.engines.python import python
from orchestrator.errors import AlgorithmFailed, BadInput, CalmError
from orchestrator.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.domain import Algorithm, Device
    from orchestrator.engines.failures import Failure

NO_DEPS = "# no-deps"
_SOURCE_DATE_EPOCH = "315532800"  # 1980-01-01, the earliest time a zip file can hold: wheels built alike are alike
_LINE = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})$")


class _Hashes(Struct, frozen=True):
    sha256: str | None = None


class _Archive(Struct, frozen=True):
    hashes: _Hashes = _Hashes()


class _Download(Struct, frozen=True):
    url: str
    archive_info: _Archive = _Archive()


class _Metadata(Struct, frozen=True):
    name: str
    version: str


class _Installed(Struct, frozen=True):
    download_info: _Download
    metadata: _Metadata


class _Report(Struct, frozen=True):
    """What is used of the report of pip, version 1 (pip.pypa.io/en/stable/reference/installation-report)."""

    install: tuple[_Installed, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One package of a lock."""

    name: str
    version: str
    sha256: str

    @property
    def line(self) -> str:
        """The pin as a line of a lock."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def read_lock(path: Path) -> tuple[Pin, ...]:
    """Read a lock.

    Raises
    ------
    BadInput
        When it is missing, or a line is not `name==version --hash=sha256:...`.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    except OSError as error:
        message = f"{path}: expected a lock, got nothing"
        raise BadInput(message, f"`calm lock {path.parent.name}` writes it.") from error
    pins = []
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            message = f"{path}: expected `name==version --hash=sha256:...`, got {line!r}"
            raise BadInput(message, f"`calm lock {path.parent.name}` writes it anew.")
        pins.append(Pin(**match.groupdict()))
    return tuple(pins)


def make_lock(algorithm: Algorithm, variant: Device) -> Path:
    """Resolve what an algorithm asks for and write its lock.

    Parameters
    ----------
    algorithm : Algorithm
        Which algorithm, in which environment. Its folder has requirements.in, requirements-<environment>.in for
        another environment, or the name of its lock with .in where a variant needs other packages. Lines below
        `# no-deps` are resolved without their dependencies.
    variant : {"cpu", "cuda"}
        Which lock.

    Returns
    -------
    Path
        The lock, sorted by name.
    """
    lock = algorithm.lock(variant)
    source = lock.with_suffix(".in")
    return write_lock(
        source if source.exists() else source.with_name(source.name.replace(f"-{variant}", "")), lock, variant
    )


def write_lock(source: Path, lock: Path, variant: Device) -> Path:
    """Resolve a list of requirements and write its lock."""
    whole, _, alone = source.read_text(encoding="utf-8").partition(NO_DEPS)
    pins = {pin.name: pin for pin in _resolve(whole, variant, "--ignore-installed")}
    pins |= {pin.name: pin for pin in _resolve(alone, variant, "--ignore-installed", "--no-deps")}
    with atomic(lock) as part:
        lines = [pins[name].line for name in sorted(pins)]
        part.write_text("\n".join([f"# Made by `calm lock` from {source.name}.", *lines]) + "\n", encoding="utf-8")
    return lock


def _resolve(requirements: str, variant: Device, *options: str) -> list[Pin]:
    if not any(line and not line.startswith("#") for line in requirements.splitlines()):
        return []
    with scratch() as folder:
        source = folder / "requirements.in"
        source.write_text(requirements, encoding="utf-8")
        constraints = folder / "constraints.txt"
        # A +cpu build outranks the plain one, which is the CUDA build.
        constraints.write_text("" if variant == "cpu" else "torch!=2.13.0+cpu\n", encoding="utf-8")
        files = ["-r", str(source), "-c", str(constraints)]
        report = pip("install", "--dry-run", "--quiet", "--report", "-", *options, *files)
    return [_pin(item) for item in parse_json(report, _Report, "pip install --report").install]


def _pin(item: _Installed) -> Pin:
    url, digest = urlparse(item.download_info.url), item.download_info.archive_info.hashes.sha256
    if digest is None and url.scheme != "file":
        message = f"{item.download_info.url}: expected an index that tells the SHA-256 of its files, got none"
        raise BadInput(message, "Use an index that does, or a folder of wheels.")
    digest = digest or sha256(Path(unquote(url.path)))
    name = re.sub(r"[-_.]+", "-", item.metadata.name).lower()
    return Pin(name=name, version=item.metadata.version, sha256=digest)


def pip(*arguments: str, of: Path | None = None, watch: Callable[[Path], None] | None = None) -> str:
    """Run pip for a Python, by default that of environments; its failures say what to look at.

    While it runs, `watch` is called a few times a second with the temporary folder that pip downloads to.
    """
    own = {"SOURCE_DATE_EPOCH": _SOURCE_DATE_EPOCH, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        with scratch() as temporary:
            environment = os.environ | own | {"TMPDIR": str(temporary)}
            command = [sys.executable, "-m", "pip", "--python", str(of or python()), *arguments]
            watched = None if watch is None else partial(watch, temporary)
            return process.run(command, environment=environment, watch=watched)
    except AlgorithmFailed as error:
        full = no_space(error)
        if full is not None:
            message = f"pip {arguments[0]}: {full.sentence}"
            hint = "Free some below CALM_HOME or the temporary folder; `calm doctor` shows the disk."
            raise AlgorithmFailed(message, hint) from error
        hint = (
            "Packages come from wherever pip is configured to look (pip config list): "
            "check the connection, the index, the proxy and the CA bundle."
        )
        raise AlgorithmFailed(error.message, hint) from error


def no_space(error: CalmError) -> Failure | None:
    """Return what the last line of pip that tells of a full disk means; None where none does."""
    found = (diagnose_words(line) for line in reversed(error.message.splitlines()))
    return next((failure for failure in found if failure is not None and failure.kind == "no space"), None)
