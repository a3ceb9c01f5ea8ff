"""Windows of a prepared movie with the surroundings that the valid convolutions eat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from padding import reflect

if TYPE_CHECKING:
    from padding import Margins, Valid
    from preprocess import Prepared


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A window of a frame and its borders.

    Parameters
    ----------
    x, y : int
        First pixel along both axes.
    width, height : int
        Size, pixels.
    borders : tuple of Margins
        Along x and y.
    shift : tuple of int
        How far the surroundings are moved towards the origin: 0, but for ``compat: upstream`` (see `upstream_shift`).
    """

    x: int
    y: int
    width: int
    height: int
    borders: tuple[Margins, Margins]
    shift: tuple[int, int] = (0, 0)

    def indices(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixel numbers of window and surroundings along both axes, reflected at the edges of the frame."""
        starts, sizes = (self.x, self.y), (self.width, self.height)
        made = [
            reflect(start - border.before - shift, start + size + border.after - shift, length)
            for start, size, border, shift, length in zip(starts, sizes, self.borders, self.shift, shape, strict=True)
        ]
        return made[0], made[1]

    def outside(self, shape: tuple[int, int]) -> np.ndarray:
        """Return where the surroundings lie outside the frame: ndarray of shape (X', Y'), bool."""
        starts, sizes = (self.x, self.y), (self.width, self.height)
        masks = []
        for start, size, border, shift, length in zip(starts, sizes, self.borders, self.shift, shape, strict=True):
            place = np.arange(start - border.before - shift, start + size + border.after - shift)
            masks.append((place < 0) | (place >= length))
        return masks[0][:, None] | masks[1][None, :]

    def cropped(self, values: np.ndarray) -> np.ndarray:
        """Cut what the network returns down to the window (last two axes)."""
        left, top = self.borders[0].crop, self.borders[1].crop
        return values[..., left : left + self.width, top : top + self.height]


def window_at(corner: tuple[int, int], size: tuple[int, int], valid: Valid, shift: tuple[int, int] = (0, 0)) -> Window:
    """Return the window of a first pixel (x, y) and a size (width, height) with the borders that a network needs."""
    borders = (valid.margins(size[0]), valid.margins(size[1]))
    return Window(x=corner[0], y=corner[1], width=size[0], height=size[1], borders=borders, shift=shift)


def upstream_shift(width: int, height: int, shape: tuple[int, int], valid: Valid) -> tuple[int, int]:
    """Return by how much upstream reads a window too early.

    It pads a movie by the largest border of any size and then reads as if it had padded by the border of this size.
    The two differ by one pixel for sizes that leave a remainder of 2 when divided by 4.
    """
    most = valid.workspace(max(shape))
    return most - valid.margins(width).before, most - valid.margins(height).before


def frame_window(prepared: Prepared, frames: np.ndarray, window: Window) -> np.ndarray:
    """Return frames of a window with surroundings, reflected at the edges.

    Parameters
    ----------
    prepared : Prepared
        The movie.
    frames : ndarray of shape (n,), int
        Frame numbers.
    window : Window
        The window.

    Returns
    -------
    ndarray of shape (n, X', Y'), float32
        Without trend, in units of the features' scale.
    """
    rows, columns = window.indices(prepared.recording.shape[1:])
    xs, ys = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    values = prepared.detrended(frames, xs, ys)
    return values[:, rows - rows.min()][:, :, columns - columns.min()]


def feature_window(prepared: Prepared, window: Window, padding_mode: str) -> np.ndarray:
    """Return the feature maps of a window with surroundings: ndarray of shape (F, X', Y'), float32.

    Outside the frame they are reflected, or 0 for the padding mode "constant".
    """
    rows, columns = window.indices(prepared.recording.shape[1:])
    maps = prepared.features.maps[:, rows][:, :, columns]
    if padding_mode == "constant":
        maps[:, window.outside(prepared.recording.shape[1:])] = 0
    return maps


def noise_window(prepared: Prepared, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the noise that replaces hidden pixels: two ndarrays (X', Y'), float32."""
    rows, columns = window.indices(prepared.recording.shape[1:])
    mean = prepared.features.named("trend_mean_0")[rows][:, columns]
    deviation = prepared.features.named("detrended_std_0")[rows][:, columns] + 1e-8
    return mean, deviation
