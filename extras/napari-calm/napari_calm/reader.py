"""A run folder of calm as layers: noisy and denoised movie, what was removed, and regions where the run has some."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

if TYPE_CHECKING:
    from collections.abc import Callable

LayerData = tuple[Any, dict[str, Any], str]  # data, options of the layer, kind of layer

_SHOWN_PERCENT = (0.5, 99.8)  # of the pixels of a few frames, between black and white
_LOOKED_AT = 5  # frames from which black and white are told


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return the reader of a run folder; None for any other path, as napari asks of its plugins."""
    if isinstance(path, list) or not (Path(path) / "run.json").is_file():
        return None
    return partial(read_run, Path(path))


def read_run(folder: Path, _: str | list[str] = "") -> list[LayerData]:
    """Read the layers of every movie of a run; a movie that is no longer where it was has only its prediction.

    Parameters
    ----------
    folder : Path
        `outputs/<experiment>/<key>`.

    Returns
    -------
    list of tuple
        Layers of movies of shape (T, Y, X), and labels of shape (Y, X), as napari takes them.
    """
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return [layer for name, movie in sorted(record["movies"].items()) for layer in _movie(folder, name, movie, record)]


@dataclass(frozen=True)
class Removed:
    """Noisy minus denoised movie, computed for the frames that are looked at: an array to napari."""

    noisy: np.ndarray
    denoised: np.ndarray

    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, Y, X)."""
        return self.noisy.shape

    @property
    def ndim(self) -> int:
        """Three."""
        return self.noisy.ndim

    def __len__(self) -> int:
        return len(self.noisy)

    def __getitem__(self, key: Any) -> np.ndarray:  # noqa: ANN401 - whatever indexes an array
        return np.asarray(self.noisy[key], np.float32) - np.asarray(self.denoised[key], np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401, FBT001 - as NumPy asks
        return np.asarray(self[:], dtype)


def _movie(folder: Path, name: str, movie: dict[str, Any], record: dict[str, Any]) -> list[LayerData]:
    denoised = _opened(folder / "predictions" / name)
    title = Path(name).stem
    recording = movie.get("recording") or {}
    pixel = (recording.get("pixel_um") or {}).get("value", (1.0, 1.0))
    scale = (1 / (record["frame_rate_hz"] or 1.0), *pixel)
    where = {"scale": scale, "metadata": {"calm": str(folder)}}
    limits = _limits(denoised)
    found: list[LayerData] = []
    if Path(movie["noisy"]).is_file():
        noisy = _opened(Path(movie["noisy"]))
        removed = Removed(noisy, denoised)
        found += [
            (noisy, {"name": f"{title}: noisy", "contrast_limits": limits, **where}, "image"),
            (
                removed,
                {"name": f"{title}: removed", "contrast_limits": _limits(removed), "visible": False, **where},
                "image",
            ),
        ]
    found.append(
        (denoised, {"name": f"{title}: denoised ({record['algorithm']})", "contrast_limits": limits, **where}, "image")
    )
    return found + _regions(folder, denoised.shape[1:], f"{title}: regions", scale[1:])


def _regions(folder: Path, frame: tuple[int, ...], title: str, scale: tuple[float, ...]) -> list[LayerData]:
    path = folder / "regions.json"
    if not path.is_file():
        return []
    regions = json.loads(path.read_text(encoding="utf-8"))["regions"]
    labels = np.zeros(frame, np.int32)
    for number, region in enumerate(regions, start=1):
        rows, columns = np.transpose(region["pixels"])
        labels[rows, columns] = number
    names = {number: region["name"] for number, region in enumerate(regions, start=1)}
    return [(labels, {"name": title, "scale": scale, "opacity": 0.4, "metadata": {"names": names}}, "labels")]


def _opened(path: Path) -> np.ndarray:
    """Map a stack of shape (T, Y, X) into memory; one that is compressed is read."""
    stack: np.ndarray
    try:
        stack = tifffile.memmap(path, mode="r")
    except ValueError:
        stack = tifffile.imread(path)
    return stack[np.newaxis] if stack.ndim == 2 else stack  # noqa: PLR2004 - a single image has no time


def _limits(stack: Any) -> tuple[float, float]:  # noqa: ANN401 - an array, or what looks like one
    """Return black and white, from a few frames."""
    frames = np.stack([stack[int(index)] for index in np.linspace(0, len(stack) - 1, min(_LOOKED_AT, len(stack)))])
    low, high = np.nanpercentile(frames, _SHOWN_PERCENT)
    return float(low), float(max(high, np.nextafter(low, np.inf)))
