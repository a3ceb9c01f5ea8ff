"""Compare two runs: are the bits the same, and if not, where and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from contract.errors import JobRefused
from contract.files import sha256
from contract.stacks import open_stack
from orchestrator.documents import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orchestrator.paths import RunFolder
    from orchestrator.records.record import Record
    from orchestrator.records.run import Run

_BLOCK_FRAMES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The first place where two predictions differ."""

    file: str
    frame: int | None = None
    largest: float | None = None
    pixels: int = 0
    reason: str = ""

    def sentence(self) -> str:
        """Return the difference as one sentence."""
        if self.frame is None:
            return f"{self.file}: {self.reason}"
        return (
            f"{self.file}: frame {self.frame} differs in {self.pixels} pixels, by up to {self.largest:.6g} grey levels"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One layer in which two runs differ."""

    layer: str
    details: tuple[str, ...]


# From what changes every bit to what should change none: the order in which to look for a cause.
_LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("inputs", ("inputs",)),
    ("params", ("params", "axes", "frame_rate_hz", "output_dtype")),
    ("seed", ("seed",)),
    ("network", ("network_parameters",)),
    ("packages", ("environment", "upstream", "versions", "python")),
    ("image content", ("image.digest", "image.variant", "algorithm")),
    ("device", ("device", "precision")),
    ("threads", ("threads",)),
    ("hardware", ("hardware",)),
    # The digest above is of code and lock; the engine's own identifier tells of another base image or build as well.
    ("image build", ("image.engine_identifier",)),
    ("engine", ("engine.name", "engine.version")),
)


def explain(one: Record, other: Record) -> tuple[Cause, ...]:
    """Compare two run records layer by layer.

    Parameters
    ----------
    one, other : Record
        Of two runs.

    Returns
    -------
    tuple of Cause
        Layers that differ, the likeliest cause of different bits first; empty when none differs.
    """
    causes = []
    first, second = plain(one), plain(other)
    for layer, fields in _LAYERS:
        details = [line for field in fields for line in _changes(field, _field(first, field), _field(second, field))]
        if details:
            causes.append(Cause(layer=layer, details=tuple(details)))
    return tuple(causes)


def first_difference(one: RunFolder, other: RunFolder) -> Difference | None:
    """Find the first prediction, frame and pixel in which two runs differ.

    Returns
    -------
    Difference or None
        None when both hold the same predictions, byte for byte.
    """
    names = sorted({*_predictions(one), *_predictions(other)})
    for name in names:
        paths = [run.path / "predictions" / name for run in (one, other)]
        missing = [path for path in paths if not path.exists()]
        if missing:
            return Difference(file=name, reason=f"missing in {missing[0].parents[2]}")
        if sha256(paths[0]) != sha256(paths[1]):
            return _difference(name, *paths)
    return None


def prediction_sums(run: RunFolder) -> dict[str, str]:
    """Return the SHA-256 of every prediction of a run by its name below `predictions/`, in the order of names."""
    return {name: sha256(run.path / "predictions" / name) for name in sorted(_predictions(run))}


def is_untouched(run: Run) -> Difference | None:
    """Compare the predictions of a run with the checksums in its record."""
    for path, file in run.files():
        if not path.exists():
            return Difference(file=file.path, reason="missing")
        if sha256(path) != file.sha256:
            return Difference(file=file.path, reason=f"expected sha256 {file.sha256}, got other bytes")
    return None


def _predictions(run: RunFolder) -> Iterator[str]:
    folder = run.path / "predictions"
    return (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _difference(name: str, one: Path, other: Path) -> Difference:
    try:
        return _first_frame(name, one, other)
    except JobRefused:  # no movie: what lies beside predictions may be JSON or an array
        return Difference(file=name, reason="other bytes")


def _first_frame(name: str, one: Path, other: Path) -> Difference:
    with open_stack(one) as first, open_stack(other) as second:
        if first.shape != second.shape or first.dtype != second.dtype:
            kinds = f"{first.shape} {first.dtype} and {second.shape} {second.dtype}"
            return Difference(file=name, reason=f"different kinds of stack: {kinds}")
        start = 0
        for block, counterpart in zip(first.blocks(_BLOCK_FRAMES), second.blocks(_BLOCK_FRAMES), strict=True):
            differs = (block != counterpart).any(axis=(1, 2))
            if differs.any():
                index = int(np.argmax(differs))
                gap = np.abs(block[index].astype(np.float64) - counterpart[index].astype(np.float64))
                return Difference(
                    file=name,
                    frame=start + index,
                    largest=float(gap.max()),
                    pixels=int(np.count_nonzero(gap)),
                )
            start += len(block)
    return Difference(file=name, reason="the same pixels, other metadata")


def _field(record: Any, name: str) -> Any:  # noqa: ANN401 - a field of a JSON document
    value = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _changes(name: str, one: Any, other: Any) -> Iterator[str]:  # noqa: ANN401 - fields of a JSON document
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from _changes(f"{name}.{key}", one.get(key), other.get(key))
    elif one != other:
        yield f"{name}: {one} | {other}"
