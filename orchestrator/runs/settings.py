"""What a user chooses for a run, beside algorithm and movies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.domain import Device, OutputDtype, Precision
    from orchestrator.records.record import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a user chooses for a run, beside algorithm and movies.

    Parameters
    ----------
    preset : str
        smoke, quick, movie, default or published, as the algorithm has them.
    overrides : mapping
        Parameters by name.
    seed, threads : int
        Seed of every random number, and threads; both change the bits of a result.
    device : {"cpu", "cuda"}
        Where to compute.
    precision : {"float32", "bfloat16"}
        Arithmetic of the network.
    output_dtype : {"float32", "input"}
        dtype of predictions.
    """

    preset: str
    overrides: Mapping[str, Any]
    seed: int
    threads: int
    device: Device = "cpu"
    precision: Precision = "float32"
    output_dtype: OutputDtype = "float32"


def settings_of(record: Record) -> Settings:
    """Return the settings that a run was made with, every parameter among them."""
    return Settings(
        preset=record.preset,
        overrides=record.params,
        seed=record.seed,
        threads=record.threads,
        precision=record.precision,
        output_dtype=record.output_dtype,
        device=record.device.asked,
    )
