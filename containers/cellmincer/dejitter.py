"""Dejitter: take the flicker of the lamp out of a movie, one factor for each frame.

With c the camera offset and L = log(max(y - c + 1e-8, 1)), the mean log brightness of a frame is l(t) = mean_xy L and
its slow part is m(t). The frame becomes exp(L - (l - m)) + c, which is a factor exp(m - l) above the offset.
Wang et al., npj Imaging 2024, doi 10.1038/s44303-024-00055-x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from padding import reflect

if TYPE_CHECKING:
    from recording import Recording
    from settings import Preprocess


def dejitter(recording: Recording, preprocess: Preprocess, rate_hz: float) -> None:
    """Measure the flicker of a recording (two passes over it) and set its `gain` and `offset`.

    Parameters
    ----------
    recording : Recording
        Movie without a gain.
    preprocess : Preprocess
        The `dejitter_*` fields.
    rate_hz : float
        Frames per second, for the cut-off of the low-pass.
    """
    offset = preprocess.dejitter_ccd_dc_offset
    if offset is None:
        ignored = preprocess.dejitter_ignore_first_n_frames
        lows = (block[max(0, ignored - start) :] for start, block in recording.blocks())
        offset = min((float(block.min()) for block in lows if len(block)), default=0.0)
    means = [np.log(np.maximum(block - offset + 1e-8, 1)).mean(axis=(1, 2)) for _, block in recording.blocks()]
    brightness = np.concatenate(means).astype(np.float64)
    recording.gain = np.exp(slow_part(brightness, preprocess, rate_hz) - brightness).astype(np.float32)
    recording.offset = offset


def slow_part(brightness: np.ndarray, preprocess: Preprocess, rate_hz: float) -> np.ndarray:
    """Return the slow part of a trace.

    Parameters
    ----------
    brightness : ndarray of shape (T,), float64
        Mean log brightness of each frame.
    preprocess : Preprocess
        Mean or median over ``2 * detrending_order + 1`` frames (ends reflected), or a low-pass of the short-time
        Fourier transform, 1 / (1 + exp(slope * (f - cutoff))) with f in Hz.
    rate_hz : float
        Frames per second.

    Returns
    -------
    ndarray of shape (T,), float64
    """
    if preprocess.dejitter_detrending_method == "stft":
        return _low_pass(brightness, preprocess, rate_hz)
    half = preprocess.dejitter_detrending_order
    extended = brightness[reflect(-half, len(brightness) + half, len(brightness))]
    windows = np.lib.stride_tricks.sliding_window_view(extended, 2 * half + 1)
    average = np.mean if preprocess.dejitter_detrending_method == "mean" else np.median
    return average(windows, axis=1)


def _low_pass(trace: np.ndarray, preprocess: Preprocess, rate_hz: float) -> np.ndarray:
    """Filter in overlapping periodic Hann windows, ends extended by their value, and add the windows up again."""
    length = min(preprocess.dejitter_stft_nperseg, len(trace))
    hop = max(1, length - min(preprocess.dejitter_stft_noverlap, length - 1))
    extended = np.pad(trace, length // 2, mode="edge")
    extended = np.pad(extended, (0, -(len(extended) - length) % hop))
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    frequency = np.fft.rfftfreq(length, 1 / rate_hz)
    exponent = preprocess.dejitter_stft_lp_slope * (frequency - preprocess.dejitter_stft_lp_cutoff)
    response = 1 / (1 + np.exp(np.clip(exponent, -500, 500)))
    total, weight = np.zeros_like(extended), np.zeros_like(extended)
    for start in range(0, len(extended) - length + 1, hop):
        part = slice(start, start + length)
        total[part] += taper * np.fft.irfft(response * np.fft.rfft(taper * extended[part]), length)
        weight[part] += taper**2
    return (total / np.maximum(weight, 1e-10))[length // 2 : length // 2 + len(trace)]
