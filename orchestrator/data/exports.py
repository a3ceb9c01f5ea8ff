"""Predictions in other forms: for ImageJ, as OME-Zarr 0.5, and as the binary movie of suite2p."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, assert_never

import numpy as np

from contract.headers import CLASSIC_LIMIT_BYTES, Header, Scales
from contract.predictions import write_stack
from contract.stacks import open_stack
from orchestrator.data.readers.extras import imported
from orchestrator.data.readers.tiff import open_movie
from orchestrator.errors import BadInput
from orchestrator.records import Choice

if TYPE_CHECKING:
    from pathlib import Path

    from contract.stacks import Stack
    from orchestrator.domain import ExportForm

_BLOCK_FRAMES = 16
_RESOLUTION_STEPS = 1_000_000  # TIFF stores pixels per unit as a fraction


def export(prediction: Path, form: ExportForm, folder: Path) -> Path:
    """Write a prediction in another form.

    Parameters
    ----------
    prediction : Path
        TIFF that a run has written.
    form : {"imagej", "ome-zarr", "suite2p"}
        ImageJ TIFF and OME-Zarr 0.5 keep the dtype; suite2p holds int16, to which values are rounded.
    folder : Path
        Where to write; it is made.

    Returns
    -------
    Path
        What was written: a file, or a folder. Frame rate and pixel size are those of the prediction.

    Raises
    ------
    BadInput
        When something of that name is there, the movie is too large for the form, or a value does not fit it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = prediction.name.removesuffix(prediction.suffix).removesuffix(".ome")
    scales = _scales(prediction)
    with open_stack(prediction) as stack:
        match form:
            case "imagej":
                return _imagej(stack, scales, _fresh(folder / f"{stem}.tif"))
            case "ome-zarr":
                return _ome_zarr(stack, scales, _fresh(folder / f"{stem}.ome.zarr"))
            case "suite2p":
                return _suite2p(stack, scales, _fresh(folder / stem))
            case _:
                assert_never(form)


def _scales(prediction: Path) -> Scales:
    planes = open_movie(prediction, Choice())
    planes.close()
    interval, pixel = planes.stored.interval_s, planes.stored.pixel_um
    return Scales(
        interval_s=None if interval is None else interval.value, pixel_um=None if pixel is None else pixel.value
    )


def _fresh(target: Path) -> Path:
    if target.exists():
        message = f"{target}: expected nothing of that name, got something"
        raise BadInput(message, "Choose another folder with --to; calm overwrites nothing.")
    return target


def _imagej(stack: Stack, scales: Scales, target: Path) -> Path:
    if stack.shape[0] * stack.frame_bytes > CLASSIC_LIMIT_BYTES:
        message = f"{stack.path}: expected a movie below 4 GB, which an ImageJ TIFF holds, got {stack.shape}"
        raise BadInput(message, "Fiji opens the prediction itself, or export it with --form ome-zarr.")
    properties: dict[str, object] = {}
    resolution = None
    if scales.interval_s is not None:
        properties["finterval"] = scales.interval_s
    if scales.pixel_um is not None:
        properties["unit"] = "µm"
        y, x = ((_RESOLUTION_STEPS, round(size * _RESOLUTION_STEPS)) for size in scales.pixel_um)
        resolution = (x, y)
    header = Header(
        flavour="imagej", axes="TYX", shape=stack.shape, properties=properties, resolution=resolution, resolution_unit=1
    )
    with write_stack(target, header, stack.dtype) as written:
        for block in stack.blocks(_BLOCK_FRAMES):
            written.write(block)
    return target


def _ome_zarr(stack: Stack, scales: Scales, target: Path) -> Path:
    zarr = imported("zarr", "zarr", stack.path)
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    group = zarr.open_group(str(part), mode="w", zarr_format=3)
    frames, height, width = stack.shape
    chunks = (min(_BLOCK_FRAMES, frames), height, width)
    names = ["t", "y", "x"]
    array = group.create_array("0", shape=stack.shape, chunks=chunks, dtype=stack.dtype, dimension_names=names)
    for start in range(0, frames, _BLOCK_FRAMES):
        stop = min(start + _BLOCK_FRAMES, frames)
        array[start:stop] = stack.frames(start, stop)
    axes: list[dict[str, str]] = [{"name": "t", "type": "time"}, *({"name": one, "type": "space"} for one in "yx")]
    scale = [1.0, 1.0, 1.0]
    if scales.interval_s is not None:
        axes[0]["unit"], scale[0] = "second", scales.interval_s
    if scales.pixel_um is not None:
        scale[1:] = scales.pixel_um
        axes[1]["unit"] = axes[2]["unit"] = "micrometer"
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"name": target.stem, "axes": axes, "datasets": [level]}]}
    part.rename(target)
    return target


def _suite2p(stack: Stack, scales: Scales, target: Path) -> Path:
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    frames, height, width = stack.shape
    limits = np.iinfo(np.int16)
    with (part / "data.bin").open("wb") as stream:
        for block in stack.blocks(_BLOCK_FRAMES):
            rounded = np.rint(block)
            if rounded.min() < limits.min or rounded.max() > limits.max:
                shutil.rmtree(part)
                message = f"{stack.path}: expected values of {limits.min} to {limits.max}, which suite2p stores, got "
                message += f"{rounded.min():g} to {rounded.max():g}"
                raise BadInput(message, "Export it with --form ome-zarr, or give suite2p the TIFF, which it halves.")
            stream.write(rounded.astype("<i2").tobytes())
    settings: dict[str, float] = {"Ly": height, "Lx": width, "nframes": frames, "nchannels": 1, "nplanes": 1}
    if scales.interval_s is not None:
        settings["fs"] = 1 / scales.interval_s
    np.save(part / "ops.npy", np.array(settings, dtype=object))
    part.rename(target)
    return target
