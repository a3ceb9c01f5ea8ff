"""Check the files of a dataset against the manifest: names, sizes, checksums, shapes, dtypes and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from contract.errors import JobRefused
from contract.stacks import open_stack
from orchestrator.data.datasets import matches
from orchestrator.data.fetch import checksum_of
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orchestrator.data.datasets import Dataset, File
    from orchestrator.data.fetch import Progress

Problem = Literal[
    "missing", "extra", "unreadable", "bytes", "checksum", "shape", "dtype", "target missing", "target shape"
]


Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is not as the manifest says."""

    problem: Problem
    path: Path
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.path}: expected {self.expected}, got {self.got}"


def verify(dataset: Dataset, root: Path, progress: Progress) -> list[Finding]:
    """Compare the files of a dataset with the manifest.

    Parameters
    ----------
    dataset : Dataset
        Which.
    root : Path
        Data root, absolute.
    progress : Progress
        Told about every file that has been read.

    Returns
    -------
    list of Finding
        Sorted by path; empty when everything is as it should be.
    """
    folder = root / dataset.folder
    shapes: dict[Path, Shape] = {}
    findings: list[Finding] = []
    expected_paths: set[Path] = set()
    for file in dataset.files:
        found = matches(dataset, file, root)
        expected_paths.update(found)
        findings += _count(file, folder, found)
        for path in found:
            findings += _content(dataset, file, path, shapes)
            progress(path.name, path.stat().st_size, path.stat().st_size)
    findings += _extra(dataset, root, expected_paths)
    findings += _targets(dataset, root, shapes)
    findings += _backgrounds(dataset, root)
    return sorted(findings, key=lambda finding: (str(finding.path), finding.problem))


def check_unchanged(dataset: Dataset, root: Path, checksum: Callable[[Path, str], str]) -> None:
    """Refuse files of a dataset that are here with other bytes than the manifest, or its lock, says."""
    for file in dataset.files:
        algorithm, _, expected = (file.checksum or "").partition(":")
        for path in matches(dataset, file, root) if expected else ():
            got = checksum(path, algorithm)
            if got != expected:
                message = f"{path}: expected {file.checksum}, as the manifest says, got {algorithm}:{got}"
                hint = f"`calm data verify {dataset.name}` lists all that differs; `calm data fetch {dataset.name}`"
                raise BadInput(message, f"{hint} gets the right bytes, where they can be had.")


def _count(file: File, folder: Path, found: list[Path]) -> Iterator[Finding]:
    expected = file.count or 1
    if len(found) < expected:
        yield Finding(problem="missing", path=folder / file.path, expected=_files(expected), got=_files(len(found)))
    if len(found) > expected:
        yield Finding(problem="extra", path=folder / file.path, expected=_files(expected), got=_files(len(found)))


def _content(dataset: Dataset, file: File, path: Path, shapes: dict[Path, Shape]) -> Iterator[Finding]:
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        yield Finding(problem="bytes", path=path, expected=str(file.bytes), got=str(size))
    elif file.checksum is not None:
        got = checksum_of(path, file.checksum.partition(":")[0])
        if got != file.checksum:
            yield Finding(problem="checksum", path=path, expected=file.checksum, got=got)
    if file.role != "truth":
        yield from _stack(dataset, file, path, shapes)


def _stack(dataset: Dataset, file: File, path: Path, shapes: dict[Path, Shape]) -> Iterator[Finding]:
    try:
        with open_stack(path) as stack:
            shape: Shape = stack.shape
            dtype = stack.dtype.name
    except JobRefused as error:
        yield Finding(problem="unreadable", path=path, expected="a TIFF stack", got=str(error))
        return
    shapes[path] = shape
    if dataset.axes == "YX" and shape[0] != 1:
        yield Finding(problem="shape", path=path, expected="one frame", got=f"{shape[0]} frames")
    elif file.shape is not None and shape[-len(file.shape) :] != file.shape:
        yield Finding(problem="shape", path=path, expected=str(file.shape), got=str(shape[-len(file.shape) :]))
    if file.dtype not in (None, dtype):
        yield Finding(problem="dtype", path=path, expected=str(file.dtype), got=dtype)


def _extra(dataset: Dataset, root: Path, expected: set[Path]) -> Iterator[Finding]:
    """Report files that the manifest does not name; hidden ones are unfinished downloads and of the system."""
    folder = root / dataset.folder
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path not in expected:
            yield Finding(problem="extra", path=path, expected="no such file", got="a file")


def _targets(dataset: Dataset, root: Path, shapes: dict[Path, Shape]) -> Iterator[Finding]:
    folder = root / dataset.folder
    for file in dataset.files:
        for noisy in matches(dataset, file, root) if file.role == "noisy" else ():
            relative = dataset.target_path(noisy.relative_to(folder).as_posix())
            if relative is None:
                continue
            target = folder / relative
            if not target.is_file():
                yield Finding(problem="target missing", path=noisy, expected=f"its target {target}", got="no file")
            elif noisy in shapes and target in shapes and shapes[noisy] != shapes[target]:
                expected, got = f"the shape {shapes[noisy]} of {noisy.name}", str(shapes[target])
                yield Finding(problem="target shape", path=target, expected=expected, got=got)


def _backgrounds(dataset: Dataset, root: Path) -> Iterator[Finding]:
    for step in dataset.preparation:
        if not (root / step.background).is_file():
            yield Finding(problem="missing", path=root / step.background, expected="an average image", got="no file")


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
