"""The manifest of the datasets, and beside it the lock with the checksums that were learnt at the first fetch."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.algorithms import read_yaml
from orchestrator.data.datasets import AddBackground, Dataset, File, Replacement
from orchestrator.data.simulator.movie import simulation_from
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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
        manifest.yaml; manifest.schema.json lies beside it.

    Returns
    -------
    Manifest
        All datasets.

    Raises
    ------
    BadInput
        When the manifest does not fit its schema, or the lock cannot be read.
    """
    document = read_yaml(path, path.with_name("manifest.schema.json"))
    locked = read_lock(lock_path(path))
    datasets = (_dataset(name, entry, locked.get(name, {})) for name, entry in sorted(document["datasets"].items()))
    return Manifest(path=path, datasets={dataset.name: dataset for dataset in datasets})


def read_lock(path: Path) -> dict[str, Any]:
    """Return the lock: for each dataset `files` with `checksum` and `bytes` by path; empty where there is none yet."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        message = f"{path}: expected the checksums learnt at the first fetch as JSON, got {error}"
        raise BadInput(message, "Restore it from version control.") from error
    return document


def _dataset(name: str, entry: dict[str, Any], locked: dict[str, Any]) -> Dataset:
    required: dict[str, Any] = {
        field: entry[field] for field in ("title", "summary", "access", "licence", "folder", "axes")
    }
    optional: dict[str, Any] = {
        field: entry.get(field) for field in ("instructions", "doi", "record_url", "frame_rate_hz", "um_per_pixel")
    }
    return Dataset(
        name=name,
        aliases=tuple(entry.get("aliases", ())),
        files=tuple(_file(one, locked.get("files", {}).get(one["path"], {})) for one in entry["files"]),
        targets=tuple(Replacement(**rule) for rule in entry.get("targets", ())),
        preparation=tuple(
            AddBackground(background=step["add_background"], splits=tuple(step["splits"]))
            for step in entry.get("preparation", ())
        ),
        simulation=simulation_from(entry["simulation"]) if "simulation" in entry else None,
        **required,
        **optional,
    )


def _file(entry: dict[str, Any], locked: dict[str, Any]) -> File:
    shape = entry.get("shape")
    file = File(**{**entry, "shape": None if shape is None else tuple(shape)})
    return replace(file, checksum=file.checksum or locked.get("checksum"), bytes=file.bytes or locked.get("bytes"))
