"""The parameters of a job as one value; upstream's own names wherever upstream has one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from contract.errors import JobRefused

if TYPE_CHECKING:
    from contract.job import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Parameters of training and prediction; `algorithm.yaml` holds units, ranges and presets.

    Parameters
    ----------
    mode : {"exact", "fast"}
        Upstream's arithmetic and tiling to the bit, or the faster one of README.md.
    patch_t, patch_y, patch_x : int
        Patch in frames and pixels. Training takes windows of ``2 * patch_t`` frames.
    overlap_factor : float
        Overlap of training patches, as a fraction of the patch.
    test_overlap_factor : float
        Overlap of prediction patches in exact mode; upstream calls both overlap_factor, in two dictionaries.
    train_datasets_size : int
        Wished patches per epoch; the grid decides how many there are.
    select_img_num : int
        Frames of each movie used for training, from its start.
    n_epochs, batch_size, fmap : int
        Epochs, patches per optimiser step, feature maps of the first level.
    lr, b1, b2 : float
        Adam.
    memory_gib : float
        Memory for the network's activations in fast prediction, GiB.
    """

    mode: Literal["exact", "fast"]
    patch_t: int
    patch_y: int
    patch_x: int
    overlap_factor: float
    test_overlap_factor: float
    train_datasets_size: int
    select_img_num: int
    n_epochs: int
    batch_size: int
    fmap: int
    lr: float
    b1: float
    b2: float
    memory_gib: float


def settings_of(job: Job) -> Settings:
    """Read the parameters of a job.

    Raises
    ------
    JobRefused
        For parameters that contradict each other.
    """
    # The contract has checked the names; those that are its own, of faults of the detector, are no setting here.
    settings = Settings(**{one.name: job.params[one.name] for one in fields(Settings)})
    if settings.mode == "exact" and job.precision != "float32":
        message = f"mode exact: expected precision float32, got {job.precision}; mode fast can use it"
        raise JobRefused(message)
    if settings.batch_size > 1 and settings.patch_y != settings.patch_x:
        message = (
            f"patch_y and patch_x: expected equal sizes with batch_size {settings.batch_size}, as patches are turned "
            f"by 90 degrees; got {settings.patch_y} and {settings.patch_x}"
        )
        raise JobRefused(message)
    return settings


def gap(patch: int, overlap_factor: float) -> int:
    """Return the distance between neighbouring patches as upstream rounds it, in pixels or frames."""
    return int(patch * (1 - overlap_factor))
