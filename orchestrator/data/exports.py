"""Predictions in other forms: for ImageJ, as OME-Zarr 0.5, and as the binary movie of suite2p."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from contract.headers import CLASSIC_LIMIT_BYTES, Header, Scales
from contract.predictions import write_stack
from contract.stacks import open_stack
from orchestrator.data.readers.extras import imported
from orchestrator.data.readers.tiff import open_movie
from orchestrator.errors import BadInput
from orchestrator.paths import folder_for
from orchestrator.records.record import Choice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from contract.stacks import Stack
    from orchestrator.domain import ExportForm

_ENDS = {"imagej": ".tif", "ome-zarr": ".ome.zarr", "suite2p": ""}
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
    target = folder / (prediction.name.removesuffix(prediction.suffix).removesuffix(".ome") + _ENDS[form])
    if target.exists():
        message = f"{target}: expected nothing of that name, got something"
        raise BadInput(message, "Choose another folder with --to; calm overwrites nothing.")
    scales = _scales(prediction)
    with open_stack(prediction) as stack, folder_for(target):
        match form:
            case "imagej":
                _imagej(stack, scales, target)
            case "ome-zarr":
                _ome_zarr(stack, scales, target)
            case "suite2p":
                _suite2p(stack, scales, target)
            case _:
                assert_never(form)
    return target


def _scales(prediction: Path) -> Scales:
    planes = open_movie(prediction, Choice())
    planes.close()
    interval, pixel = planes.stored.interval_s, planes.stored.pixel_um
    return Scales(
        interval_s=None if interval is None else interval.value, pixel_um=None if pixel is None else pixel.value
    )


@contextmanager
def _folder(target: Path) -> Iterator[Path]:
    """Give a temporary sibling of a folder to write to; it gets its name only when complete."""
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _imagej(stack: Stack, scales: Scales, target: Path) -> None:
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


def _ome_zarr(stack: Stack, scales: Scales, target: Path) -> None:
    zarr = imported("zarr", "zarr", stack.path)
    frames, height, width = stack.shape
    chunks = (min(_BLOCK_FRAMES, frames), height, width)
    names = ["t", "y", "x"]
    with _folder(target) as part:
        group = zarr.open_group(str(part), mode="w", zarr_format=3)
        array = group.create_array("0", shape=stack.shape, chunks=chunks, dtype=stack.dtype, dimension_names=names)
        for start in range(0, frames, _BLOCK_FRAMES):
            stop = min(start + _BLOCK_FRAMES, frames)
            array[start:stop] = stack.frames(start, stop)
        image = {"name": target.stem} | _zarr_scales(scales)
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}


def _zarr_scales(scales: Scales) -> dict[str, Any]:
    """Return axes and datasets of an OME-Zarr image."""
    axes: list[dict[str, str]] = [{"name": "t", "type": "time"}, *({"name": one, "type": "space"} for one in "yx")]
    scale = [1.0, 1.0, 1.0]
    if scales.interval_s is not None:
        axes[0]["unit"], scale[0] = "second", scales.interval_s
    if scales.pixel_um is not None:
        scale[1:] = scales.pixel_um
        axes[1]["unit"] = axes[2]["unit"] = "micrometer"
    return {
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
    }


def _suite2p(stack: Stack, scales: Scales, target: Path) -> None:
    frames, height, width = stack.shape
    settings: dict[str, float] = {"Ly": height, "Lx": width, "nframes": frames, "nchannels": 1, "nplanes": 1}
    if scales.interval_s is not None:
        settings["fs"] = 1 / scales.interval_s
    with _folder(target) as part:
        with (part / "data.bin").open("wb") as stream:
            for block in stack.blocks(_BLOCK_FRAMES):
                stream.write(_as_int16(stack.path, block))
        np.save(part / "ops.npy", np.array(settings, dtype=object))


def _as_int16(path: Path, block: NDArray[np.generic]) -> bytes:
    """Return frames rounded to the numbers that suite2p stores."""
    limits, rounded = np.iinfo(np.int16), np.rint(block)
    if rounded.min() < limits.min or rounded.max() > limits.max:
        message = f"{path}: expected values of {limits.min} to {limits.max}, which suite2p stores, got "
        message += f"{rounded.min():g} to {rounded.max():g}"
        raise BadInput(message, "Export it with --form ome-zarr, or give suite2p the TIFF, which it halves.")
    data: bytes = rounded.astype("<i2").tobytes()
    return data
