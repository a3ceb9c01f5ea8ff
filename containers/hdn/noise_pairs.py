"""Pairs of noisy pixel and signal, from which a noise model is fitted.

Which is which follows from where a stack stands in the job: `inputs.train` is noisy, `inputs.prior` is signal. Stacks
belong together by file name, never by order, so neither exchanged roles nor an unsorted listing can happen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contract.errors import JobRefused
from contract.seeding import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.stacks import Stack

_FRAMES = 16  # frames in memory at a time
_MAX_PAIRS = 2**22  # 32 MiB; what one more pair adds to a fit of some ten numbers is nothing
_MIN_PAIRS = 1000
_MIN_CALIBRATION_FRAMES = 20  # the mean of fewer frames is itself too noisy to stand for the signal
_PAIRS = 0x9A125  # keeps these random numbers apart from those of other purposes


class Pairs(NamedTuple):
    """Noisy pixels and their signal.

    Parameters
    ----------
    noisy, signal : ndarray of shape (n,), float64
        Intensity units.
    """

    noisy: np.ndarray
    signal: np.ndarray


def pairs_with_prediction(
    noisy: Sequence[Stack], predicted: Sequence[Stack], *, share: float, clip_percent: float, seed: int
) -> Pairs:
    """Pair noisy stacks with their predictions by another algorithm.

    Parameters
    ----------
    noisy, predicted : sequence of Stack
        Noisy stacks, and one prediction of the same name and shape for each, in any order.
    share : float
        Share of the pixels to use, 0 to 1; at most 4 million in all.
    clip_percent : float
        The darkest and the brightest this many percent of the signals are left out.
    seed : int
        Seed of the choice of pixels.

    Raises
    ------
    JobRefused
        When names or shapes do not match, or a "prediction" is rougher than the stack it was made from, or no nearer
        to it than a constant.
    """
    by_name = {stack.path.name: stack for stack in predicted}
    names = [stack.path.name for stack in noisy]
    if sorted(by_name) != sorted(names) or len(by_name) != len(predicted):
        given = ", ".join(sorted(stack.path.name for stack in predicted)) or "none"
        wanted = f"one prediction named as each training stack ({', '.join(sorted(names))})"
        message = f"earlier result: expected {wanted}, got {given}"
        raise JobRefused(message)
    keep = min(share, _MAX_PAIRS / sum(int(np.prod(stack.shape)) for stack in noisy))
    parts = [
        _sampled(stack, _checked(stack, by_name[stack.path.name]), keep, seed, index)
        for index, stack in enumerate(noisy)
    ]
    return _clipped(Pairs(*map(np.concatenate, zip(*parts, strict=True))), clip_percent)


def pairs_with_calibration(stacks: Sequence[Stack], *, share: float, clip_percent: float, seed: int) -> Pairs:
    """Pair the frames of a motionless, evenly lit scene with their mean over time.

    The mean holds 1/T of each frame's own noise, so residuals are scaled by sqrt(T / (T - 1)).

    Parameters
    ----------
    stacks : sequence of Stack
        Calibration stacks of the same detector and setting, at least 20 frames each.
    share, clip_percent, seed
        As in `pairs_with_prediction`.

    Raises
    ------
    JobRefused
        When a stack has too few frames.
    """
    keep = min(share, _MAX_PAIRS / sum(int(np.prod(stack.shape)) for stack in stacks))
    parts = []
    for index, stack in enumerate(stacks):
        count = stack.shape[0]
        if count < _MIN_CALIBRATION_FRAMES:
            message = f"{stack.path}: expected at least {_MIN_CALIBRATION_FRAMES} calibration frames, got {count}"
            raise JobRefused(message)
        mean = sum(block.sum(axis=0, dtype=np.float64) for block in stack.blocks(_FRAMES)) / count
        chosen = _sampled(stack, mean, keep, seed, index)
        spread = (chosen.noisy - chosen.signal) * np.sqrt(count / (count - 1))
        parts.append(Pairs(chosen.signal + spread, chosen.signal))
    return _clipped(Pairs(*map(np.concatenate, zip(*parts, strict=True))), clip_percent)


def _checked(noisy: Stack, predicted: Stack) -> Stack:
    if noisy.shape != predicted.shape:
        message = f"{predicted.path}: expected shape {noisy.shape} of the training stack, got {predicted.shape}"
        raise JobRefused(message)
    middle = noisy.shape[0] // 2
    first, last = max(0, middle - _FRAMES // 2), min(noisy.shape[0], middle + _FRAMES // 2)
    frames, prediction = (stack.frames(first, last).astype(np.float64) for stack in (noisy, predicted))
    rough_noisy, rough_predicted = _roughness(frames), _roughness(prediction)
    if rough_predicted >= rough_noisy:
        message = (
            f"{predicted.path}: expected a denoised stack, smoother than {noisy.path}, got one with "
            f"{rough_predicted:.4g} against {rough_noisy:.4g} mean squared difference of diagonal pixels"
        )
        raise JobRefused(message)
    apart, spread = float(np.mean((frames - prediction) ** 2)), float(frames.var())
    if apart >= spread:
        message = (
            f"{predicted.path}: expected a prediction of {noisy.path} in its intensity units, got one whose mean "
            f"squared distance is {apart:.4g}, while that of a constant is {spread:.4g}"
        )
        raise JobRefused(message)
    return predicted


def _roughness(frames: np.ndarray) -> float:
    corners = frames[:, :-1, :-1] - frames[:, :-1, 1:] - frames[:, 1:, :-1] + frames[:, 1:, 1:]
    return float((corners * corners).mean() / 4)


def _sampled(noisy: Stack, signal: Stack | np.ndarray, keep: float, seed: int, index: int) -> Pairs:
    """Draw pixels of all frames, the same places in both; `signal` is a stack or one frame for all."""
    rng = generator(seed, _PAIRS, index)
    parts = []
    for start in range(0, noisy.shape[0], _FRAMES):
        stop = min(start + _FRAMES, noisy.shape[0])
        frames = noisy.frames(start, stop)
        chosen = rng.random(frames.shape, np.float32) < keep
        clean = np.broadcast_to(signal, frames.shape) if isinstance(signal, np.ndarray) else signal.frames(start, stop)
        parts.append(Pairs(frames[chosen].astype(np.float64), clean[chosen].astype(np.float64)))
    return Pairs(*map(np.concatenate, zip(*parts, strict=True)))


def _clipped(pairs: Pairs, clip_percent: float) -> Pairs:
    low, high = np.percentile(pairs.signal, [clip_percent, 100 - clip_percent])
    inside = (pairs.signal >= low) & (pairs.signal <= high)
    if np.count_nonzero(inside) < _MIN_PAIRS or low >= high:
        message = (
            f"noise pairs: expected at least {_MIN_PAIRS} pixels over a range of signal, got "
            f"{np.count_nonzero(inside)} between {low:.6g} and {high:.6g}"
        )
        raise JobRefused(message)
    return Pairs(pairs.noisy[inside], pairs.signal[inside])
