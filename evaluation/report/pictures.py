"""Arrays to pictures inside the page: thinned to a bounded size, shown in a stated window, as data: addresses."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

LOW_PERCENT, HIGH_PERCENT = 0.5, 99.7  # window of intensities
DIFFERENCE_PERCENT = 99.5  # half width of the window of differences
GAP = 3  # white columns between the panels of an animation
QUALITIES = (70, 50, 35, 20)  # lossy WebP, best first
SAMPLED = 8  # one frame in this many is enough to foresee the size of an animation
# Blue - white - red of ColorBrewer's RdBu (apache-2.0, Cynthia Brewer), readable with any colour vision.
DIVERGING = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31))


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Intensities shown as black (low) and white (high); what lies outside is shown at the nearer end."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Animation:
    """A data: address, and how many of the given frames there are to one that was kept."""

    src: str
    step: int


def intensity_window(images: Sequence[np.ndarray]) -> Window:
    """Choose one window for several pictures."""
    finite = _finite(images)
    if not finite.size:
        return Window(low=0.0, high=1.0)
    low, high = (float(limit) for limit in np.percentile(finite, (LOW_PERCENT, HIGH_PERCENT)))
    return Window(low=low, high=high if high > low else low + 1.0)


def difference_window(images: Sequence[np.ndarray]) -> Window:
    """Choose one window around zero for several difference pictures: the 99.5th percentile of the magnitudes."""
    finite = np.abs(_finite(images))
    half = float(np.percentile(finite, DIFFERENCE_PERCENT)) if finite.size else 0.0
    return Window(low=-(half or 1.0), high=half or 1.0)


def thinning(shape: tuple[int, ...], edge: int) -> int:
    """Step in pixels that brings the longer edge of (Y, X) to at most `edge` pixels."""
    return max(1, math.ceil(max(shape) / edge))


def levels(image: np.ndarray, window: Window) -> np.ndarray:
    """Map intensities linearly to 0..255, without gamma."""
    part = (np.asarray(image, np.float64) - window.low) / (window.high - window.low)
    return np.rint(np.clip(np.nan_to_num(part, nan=0.0), 0, 1) * 255).astype(np.uint8)


def grey_picture(image: np.ndarray, window: Window) -> str:
    """Encode a picture in grey levels as a data: address, lossless WebP."""
    return _lossless(Image.fromarray(levels(image, window)))


def difference_picture(image: np.ndarray, window: Window) -> str:
    """Encode a difference as a data: address: blue below zero, white at zero, red above."""
    return _lossless(Image.fromarray(_diverging_table()[levels(image, window)]))


def animation(frames: Sequence[np.ndarray], *, frame_ms: int, limit_bytes: float) -> Animation:
    """Encode an endless animation."""
    step = 1
    while True:
        kept = frames[::step]
        encoded = _smallest(kept, frame_ms * step, limit_bytes)
        if len(encoded) <= limit_bytes or len(kept) == 1:
            return Animation(src=_address(encoded), step=step)
        step *= 2


def beside(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Join pictures of equal shape (Y, X) side by side, with a white gap."""
    gap = np.full((panels[0].shape[0], GAP), 255, np.uint8)
    joined = [part for panel in panels for part in (gap, panel)][1:]
    return np.concatenate(joined, axis=1)


def _finite(images: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([image[np.isfinite(image)] for image in images] or [np.zeros(0)])


def _smallest(frames: Sequence[np.ndarray], frame_ms: int, limit_bytes: float) -> bytes:
    """Encode with the best quality that fits, judged by a sample first; with the lowest if none does."""
    sample = frames[::SAMPLED]
    for quality in QUALITIES[:-1]:
        expected = len(_animated(sample, frame_ms, quality)) * len(frames) / len(sample)
        if expected <= limit_bytes:
            encoded = _animated(frames, frame_ms, quality)
            if len(encoded) <= limit_bytes:
                return encoded
    return _animated(frames, frame_ms, QUALITIES[-1])


def _animated(frames: Sequence[np.ndarray], frame_ms: int, quality: int) -> bytes:
    images = [Image.fromarray(frame) for frame in frames]
    stream = io.BytesIO()
    images[0].save(
        stream, "WEBP", save_all=True, append_images=images[1:], duration=frame_ms, loop=0, quality=quality, method=2
    )
    return stream.getvalue()


def _lossless(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "WEBP", lossless=True, quality=60, method=3)
    return _address(stream.getvalue())


def _address(encoded: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(encoded).decode("ascii")


def _diverging_table() -> np.ndarray:
    stops = np.linspace(0, 255, len(DIVERGING))
    channels = [np.interp(np.arange(256), stops, [colour[index] for colour in DIVERGING]) for index in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
