"""The manifest of the datasets, and beside it the lock with the checksums that were learnt at the first fetch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, field
from msgspec.structs import asdict, replace

from orchestrator.data.datasets import Access, AddBackground, Below, Dataset, File, Replacement, Split
from orchestrator.data.simulator.movie import Simulation
from orchestrator.data.simulator.noise import Scmos, TwoPhoton
from orchestrator.data.simulator.scene import Place, Scene
from orchestrator.documents import Count, Document, Hertz, Length, Name, Positive, read_json, read_yaml
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_HINT = "The fields are those of data/manifest.yaml as it is; docs/data.md describes them."
_NEEDED: dict[Access, tuple[str, ...]] = {
    "simulated": ("simulation", "frame_rate_hz", "um_per_pixel"),
    "public": ("doi", "record_url"),
    "restricted": ("instructions",),
}


class _Exposure(Document, frozen=True, kw_only=True):
    seed: Count
    frames: Length


class _Simulation(Document, frozen=True, kw_only=True):
    noise: TwoPhoton | Scmos
    scene: Place
    splits: Annotated[dict[Split, _Exposure], Meta(min_length=1)]


class _Entry(Document, frozen=True, kw_only=True):
    """One dataset as it stands in the manifest."""

    title: Name
    summary: Name
    access: Access
    licence: Name
    folder: Below
    axes: Annotated[str, Meta(pattern="^[TZ]?YX$")]
    files: Annotated[tuple[File, ...], Meta(min_length=1)]
    aliases: tuple[Name, ...] = ()
    instructions: Name | None = None
    doi: Name | None = None
    record_url: Annotated[str, Meta(pattern="^https?://")] | None = None
    frame_rate_hz: Hertz | None = None
    um_per_pixel: Positive | None = None
    targets: tuple[Replacement, ...] = ()
    preparation: tuple[AddBackground, ...] = ()
    simulation: _Simulation | None = None


class _Manifest(Document, frozen=True, kw_only=True):
    version: Literal[1]
    datasets: dict[Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")], _Entry]


class LockedFile(Document, frozen=True, kw_only=True):
    """What was learnt of a file at the first fetch."""

    checksum: str
    bytes: Count


class LockedDataset(Document, frozen=True, kw_only=True):
    """What was learnt of a dataset: its files by path, and of which record."""

    files: dict[str, LockedFile] = field(default_factory=dict)
    record_url: str | None = None
    licence: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """All datasets."""

    path: Path
    datasets: Mapping[str, Dataset]

    @property
    def lock(self) -> Path:
        """File beside the manifest that keeps the checksums learnt from a record at the first fetch."""
        return lock_path(self.path)

    def named(self, name: str) -> Dataset:
        """Return a dataset by its name or an alias."""
        for dataset in self.datasets.values():
            if name in (dataset.name, *dataset.aliases):
                return dataset
        message = f"{self.path.name}: expected a dataset of {', '.join(self.datasets)}, got {name}"
        raise BadInput(message, "`calm data list` describes them; your own movie goes in with --input FILE.")


def lock_path(manifest: Path) -> Path:
    """Return where the checksums learnt at the first fetch are kept: beside the manifest, named ``.lock.json``."""
    return manifest.with_name(f"{manifest.stem}.lock.json")


def load_manifest(path: Path) -> Manifest:
    """Read the manifest, with the checksums of the lock beside it filled in.

    Parameters
    ----------
    path : Path
        manifest.yaml.

    Returns
    -------
    Manifest
        All datasets.

    Raises
    ------
    BadInput
        When the manifest or the lock does not fit; the message names the place.
    """
    document = read_yaml(path, _Manifest, hint=_HINT)
    locked = read_lock(lock_path(path))
    for name, entry in document.datasets.items():
        missing = [one for one in _NEEDED[entry.access] if getattr(entry, one) is None]
        if missing:
            message = f"{path}: at datasets.{name}: expected {missing[0]} of a {entry.access} dataset, got none"
            raise BadInput(message, _HINT)
    datasets = (
        _dataset(name, entry, locked.get(name, LockedDataset())) for name, entry in sorted(document.datasets.items())
    )
    return Manifest(path=path, datasets={dataset.name: dataset for dataset in datasets})


def read_lock(path: Path) -> dict[str, LockedDataset]:
    """Return the lock by name of dataset; empty where there is none yet."""
    if not path.exists():
        return {}
    return read_json(path, dict[str, LockedDataset], hint="Restore it from version control.")


def _dataset(name: str, entry: _Entry, locked: LockedDataset) -> Dataset:
    return Dataset(
        name=name,
        title=entry.title,
        summary=entry.summary,
        aliases=entry.aliases,
        access=entry.access,
        instructions=entry.instructions,
        licence=entry.licence,
        doi=entry.doi,
        record_url=entry.record_url,
        folder=entry.folder,
        axes=entry.axes,
        frame_rate_hz=entry.frame_rate_hz,
        um_per_pixel=entry.um_per_pixel,
        files=tuple(_file(one, locked.files.get(one.path)) for one in entry.files),
        targets=entry.targets,
        preparation=entry.preparation,
        simulation=None if entry.simulation is None else _simulation(entry.simulation),
    )


def _file(file: File, locked: LockedFile | None) -> File:
    if locked is None:
        return file
    return replace(file, checksum=file.checksum or locked.checksum, bytes=file.bytes or locked.bytes)


def _simulation(entry: _Simulation) -> Simulation:
    place = asdict(entry.scene)
    scenes: dict[str, Scene] = {
        split: Scene(**place, seed=own.seed, frames=own.frames) for split, own in entry.splits.items()
    }
    return Simulation(noise=entry.noise, scenes=scenes)
