"""Datasets: what they hold, where their files belong, and which target belongs to which movie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from msgspec import Meta, field

from orchestrator.documents import Document, Length, Name
from orchestrator.domain import Movie
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.data.simulator.movie import Simulation

Split = Literal["train", "val", "test"]
Role = Literal["noisy", "target", "truth"]
Access = Literal["simulated", "public", "restricted"]
# Below a folder: neither absolute, nor with "." or ".." in it, nor with what engines or Windows take for a separator.
Below = Annotated[str, Meta(pattern=r"^(?!(.*/)?\.\.?(/|$))[^/\\,:]+(/[^/\\,:]+)*$", max_length=4096)]


class File(Document, frozen=True, kw_only=True):
    """One file of a dataset, or a number of files whose names follow a pattern."""

    path: Below
    split: Split
    role: Role
    count: Annotated[int, Meta(ge=1, le=10**6)] | None = None
    checksum: Annotated[str, Meta(pattern="^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")] | None = None
    bytes: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    shape: Annotated[tuple[Length, ...], Meta(min_length=2, max_length=3)] | None = None
    dtype: Literal["uint8", "uint16", "int16", "float32"] | None = None

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]


class Replacement(Document, frozen=True, kw_only=True):
    """One step from the path of a noisy file to that of its target: every `find` becomes `replace`."""

    find: Name
    replace: str


class AddBackground(Document, frozen=True, kw_only=True):
    """Preparation step: add an average image to every frame (the study stored movies without their background)."""

    background: Below = field(name="add_background")  # below the data root
    splits: Annotated[tuple[Split, ...], Meta(min_length=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """One entry of the manifest.

    Parameters
    ----------
    name, title, summary : str
        For people.
    aliases : tuple of str
        Other names it answers to.
    access : {"simulated", "public", "restricted"}
        Whether its files are computed, downloaded, or asked for.
    instructions : str or None
        What to do for restricted files.
    licence : str
        Licence of the files.
    doi, record_url : str or None
        DOI, and the address of the machine-readable record that lists files, checksums and sizes.
    folder : str
        Folder below the data root.
    axes : str
        Axes of the stacks, for instance "TYX".
    frame_rate_hz, um_per_pixel : float or None
        Sampling in time and space, None when unknown.
    files : tuple of File
        All files.
    targets : tuple of Replacement
        Pairing rule, applied in order to the path of a noisy file; empty where there are no targets.
    preparation : tuple of AddBackground
        What happens to copies of the movies before anything uses them.
    simulation : Simulation or None
        For simulated datasets.
    """

    name: str
    title: str
    summary: str
    aliases: tuple[str, ...]
    access: Access
    instructions: str | None
    licence: str
    doi: str | None
    record_url: str | None
    folder: str
    axes: str
    frame_rate_hz: float | None
    um_per_pixel: float | None
    files: tuple[File, ...]
    targets: tuple[Replacement, ...]
    preparation: tuple[AddBackground, ...]
    simulation: Simulation | None

    @property
    def splits(self) -> tuple[Split, ...]:
        """Splits that there are, in the order train, val, test."""
        there = {file.split for file in self.files}
        return tuple(split for split in get_args(Split) if split in there)

    def target_path(self, noisy: str) -> str | None:
        """Return the path of the target of a noisy file, both below the folder of the dataset; None without a rule."""
        if not self.targets:
            return None
        for rule in self.targets:
            noisy = noisy.replace(rule.find, rule.replace)
        return noisy


def matches(dataset: Dataset, file: File, root: Path) -> list[Path]:
    """Return the existing files that an entry of the manifest stands for, sorted."""
    folder = root / dataset.folder
    found = folder.glob(file.path) if file.count is not None else [folder / file.path]
    return sorted(path for path in found if path.is_file())


def is_here(dataset: Dataset, root: Path) -> bool:
    """Say whether as many files are there as the manifest lists; `verify` looks at what is in them."""
    return all(len(matches(dataset, file, root)) >= (file.count or 1) for file in dataset.files)


def locate(dataset: Dataset, root: Path) -> tuple[Movie, ...]:
    """Find the movies of a dataset and pair them with their targets.

    Parameters
    ----------
    dataset : Dataset
        Which.
    root : Path
        Data root, absolute.

    Returns
    -------
    tuple of Movie
        Sorted by split and name; paths are absolute. Checksums are not looked at, `verify` does that.

    Raises
    ------
    BadInput
        When a file is missing; the hint says how to get it.
    """
    movies = []
    for split in dataset.splits:
        for file in dataset.files:
            if file.split != split:
                continue
            found = matches(dataset, file, root)
            if len(found) < (file.count or 1):
                raise absent(dataset, root, f"{root / dataset.folder / file.path}", file.count or 1, len(found))
            if file.role == "noisy":
                truth = truth_of(dataset, root, split)
                truth = truth if truth is not None and truth.exists() else None
                movies += [
                    Movie(split=split, noisy=path, target=_target(dataset, path, root), truth=truth) for path in found
                ]
    return tuple(movies)


def truth_of(dataset: Dataset, root: Path, split: Split) -> Path | None:
    """Return the NPZ with what the simulator knows about a split; None where nothing is known."""
    paths = (root / dataset.folder / one.path for one in dataset.files if (one.split, one.role) == (split, "truth"))
    return next(paths, None)


def absent(dataset: Dataset, root: Path, what: str, expected: int, got: int) -> BadInput:
    """Make the error for missing files of a dataset."""
    message = f"{what}: expected {expected} {'file' if expected == 1 else 'files'}, got {got}"
    if dataset.access == "restricted":
        return BadInput(message, f"{dataset.instructions} The folder is {root / dataset.folder}.")
    return BadInput(message, f"Run `calm data fetch {dataset.name}`.")


def _target(dataset: Dataset, noisy: Path, root: Path) -> Path | None:
    folder = root / dataset.folder
    path = dataset.target_path(noisy.relative_to(folder).as_posix())
    if path is None:
        return None
    if not (folder / path).is_file():
        raise absent(dataset, root, f"{folder / path}, the target of {noisy.name}", 1, 0)
    return folder / path
