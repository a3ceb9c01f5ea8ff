"""Which images are known: the identifiers of those that calm built or loaded here, whatever bears their name now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filelock import FileLock

from orchestrator.documents import Sealed, read_sealed, write_sealed
from orchestrator.engines.failures import image_changed

if TYPE_CHECKING:
    from pathlib import Path

_HINT = "Delete it; the same command builds the image again."


class _Known(Sealed, frozen=True, kw_only=True):
    """Every identifier that an image has had: a second daemon, or a build after a deletion, adds one."""

    identifiers: tuple[str, ...]


def remember(path: Path, identifier: str) -> str:
    """Add an identifier to those that are known, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        write_sealed(path, _Known(identifiers=tuple(sorted({*_identifiers(path), identifier}))))
    return identifier


def checked(path: Path, identifier: str, engine: str, tag: str) -> str | None:
    """Return the identifier of the image that bears a name, None where calm built or loaded none here.

    Raises
    ------
    EngineFailed
        When the name was given to an image that calm has neither built nor loaded.
    """
    known = _identifiers(path)
    if known and identifier not in known:
        raise image_changed(engine, tag, known[-1], identifier)
    return identifier if known else None


def _identifiers(path: Path) -> tuple[str, ...]:
    return read_sealed(path, _Known, hint=_HINT).identifiers if path.exists() else ()
