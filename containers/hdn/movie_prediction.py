"""Predict movies frame by frame: the mean of samples, how they spread, and single ones, in bounded memory."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contract.blocks import Block, axis_blocks, pad_by_reflection
from contract.files import write_json
from contract.pipeline import ahead, behind
from contract.predictions import open_prediction
from posterior import Posterior, Window
from sample_mean import PartialMeans, SampleMean, Settling

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from contract.predictions import Prediction
    from contract.stacks import Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What to predict of every frame.

    Parameters
    ----------
    mmse_count : int
        Samples that are averaged.
    save_sd : bool
        Whether to write the standard deviation of the samples, too.
    save_samples : int
        Single samples to write, at most `mmse_count`.
    tile_size, tile_halo : int
        Largest part of a frame that is predicted at once, and the context around it, pixels.
    multiple : int
        What height and width of an input must be a multiple of.
    """

    mmse_count: int
    save_sd: bool
    save_samples: int
    tile_size: int
    tile_halo: int
    multiple: int


class _Averaging(NamedTuple):
    """What averaging samples does: how the mean of all pixels settles, and means of fewer samples of a few frames."""

    settling: Settling
    means: PartialMeans


class _Frame:
    """What is collected of one frame: mean and standard deviation of the samples, and the first few of them."""

    def __init__(self, shape: tuple[int, ...], samples: int) -> None:
        self.mean = np.empty(shape, np.float32)
        self.sd = np.empty(shape, np.float32)
        self.samples = np.empty((samples, *shape), np.float32)


def predict_movie(  # noqa: PLR0913, PLR0917 - one argument per role
    posterior: Posterior, request: Request, stack: Stack, prediction: Prediction, extra: Path, depth: int = 0
) -> None:
    """Predict every frame of a movie.

    Parameters
    ----------
    posterior : Posterior
        Trained network.
    request : Request
        What to predict.
    stack : Stack
        Noisy movie.
    prediction : Prediction
        Gets the mean of the samples.
    extra : Path
        Folder for what is not the prediction: `sd/` and `sample_01/` .. hold TIFFs named as the movie,
        `settling/<name>.json` says how the mean settles as samples are added, `settling/<name>.npy` holds the means
        of fewer samples of a few `frames`. All are complete before the prediction is.
    depth : int
        Frames that are read ahead and tiles that are finished behind on threads, see `contract.pipeline`.
    """
    name = stack.path.name
    averaging = _Averaging(
        settling=Settling(request.mmse_count),
        means=PartialMeans(extra / "settling" / f"{name}.npy", stack.shape, request.mmse_count),
    )
    names = [f"sample_{number + 1:02d}" for number in range(request.save_samples)]
    with ExitStack() as opened:
        sd = opened.enter_context(_output(extra / "sd", stack)) if request.save_sd else None
        samples = [opened.enter_context(_output(extra / name, stack)) for name in names]
        collecting = _Collecting(request, stack.shape, averaging, _Outputs(prediction, sd, samples))
        reading = (stack.frames(number, number + 1)[0] for number in range(stack.shape[0]))
        with behind(collecting.add, depth) as hand_over:
            for number, pixels in enumerate(ahead(reading, depth)):
                for blocks in product(*tiles_of(request, pixels.shape)):
                    hand_over(_Made(number, blocks, predict_tile(posterior, request, pixels, number, blocks)))
    document = averaging.settling.document() | {"frames": averaging.means.finish()}
    write_json(extra / "settling" / f"{name}.json", document)


def _output(folder: Path, like: Stack) -> AbstractContextManager[Prediction]:
    folder.mkdir(parents=True, exist_ok=True)
    return open_prediction(folder / like.path.name, like)


def tiles_of(request: Request, shape: tuple[int, ...]) -> tuple[tuple[Block, ...], ...]:
    """Cut rows and columns."""
    return tuple(axis_blocks(length, request.tile_size, request.tile_halo, request.multiple) for length in shape)


class _Outputs(NamedTuple):
    """Where movies go."""

    mean: Prediction
    sd: Prediction | None
    samples: list[Prediction]


class _Made(NamedTuple):
    """A tile of a frame, whose samples may be still on the device."""

    number: int
    blocks: tuple[Block, Block]
    arrived: Callable[[], SampleMean]


class _Collecting:
    """Puts tiles together, and writes frames that are complete."""

    def __init__(self, request: Request, shape: tuple[int, ...], averaging: _Averaging, outputs: _Outputs) -> None:
        self._shape, self._averaging, self._outputs = shape[1:], averaging, outputs
        self._keep, self._tiles = request.save_samples, math.prod(map(len, tiles_of(request, shape[1:])))
        self._frame, self._found = _Frame((0, 0), 0), 0

    def add(self, made: _Made) -> None:
        """Wait for a tile and put it into its place."""
        if not self._found:
            self._frame = _Frame(self._shape, self._keep)
        tile, (row, column) = made.arrived(), made.blocks
        place = (slice(row.start, row.stop), slice(column.start, column.stop))
        self._frame.mean[place], self._frame.sd[place] = tile.mean, np.sqrt(tile.variance)
        for whole, sample in zip(self._frame.samples, tile.kept, strict=True):
            whole[place] = sample
        self._averaging.settling.add(tile)
        self._averaging.means.add(made.number, place, tile)
        self._found += 1
        if self._found == self._tiles:
            self._write()

    def _write(self) -> None:
        self._found = 0
        self._outputs.mean.write(self._frame.mean)
        if self._outputs.sd is not None:
            self._outputs.sd.write(self._frame.sd)
        for output, sample in zip(self._outputs.samples, self._frame.samples, strict=True):
            output.write(sample)


def predict_tile(
    posterior: Posterior, request: Request, pixels: np.ndarray, number: int, blocks: tuple[Block, Block]
) -> Callable[[], SampleMean]:
    """Draw the samples of a tile of a frame; return a function that waits for what is collected of them."""
    row, column = blocks
    noisy = pixels[row.read_start : row.read_stop, column.read_start : column.read_stop].astype(np.float32)
    height, width = (-(-length // request.multiple) * request.multiple for length in pixels.shape)
    rows, columns = (slice(block.read_start, block.read_stop + block.pad) for block in blocks)
    window = Window(height, width, rows, columns)
    tile = SampleMean(request.mmse_count, request.save_samples)
    for sample in posterior.samples(
        pad_by_reflection(noisy, (row.pad, column.pad)), window, number, request.mmse_count
    ):
        tile.add(sample[row.core, column.core].double())
    return tile.leaving()
