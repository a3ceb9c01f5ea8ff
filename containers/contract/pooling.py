"""Pooling that keeps the layout of what it pools.

On a GPU the pooling of torch computes in channels-first layout and copies a channels-last image for it, there and back.
Only algorithms on torch may import this.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch

_AXES = (2, 3, 4)  # of (N, C, T, Y, X)


class LargestOfEight(torch.nn.Module):  # type: ignore[misc]
    """The same as `torch.nn.MaxPool3d(2)`, values and gradients to the bit, in the layout of its input."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the largest of each 2 x 2 x 2 pixels of (N, C, T, Y, X); odd ends are left out."""
        if torch.is_grad_enabled():
            learned: torch.Tensor = _Largest.apply(image)
            return learned
        first, second, *others = _views(image)
        largest = torch.maximum(first, second)
        for view in others:
            torch.maximum(largest, view, out=largest)
        return largest


class _Largest(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, image: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch gives it no type
        largest, which = _largest(image)
        ctx.save_for_backward(which)
        ctx.like = image.new_empty(0), image.shape, _layout(image)
        return largest

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - as above
        """Give the gradient to the first of equals, as torch does."""
        (which,) = ctx.saved_tensors
        kind, shape, layout = ctx.like
        passed = torch.empty(shape, dtype=kind.dtype, device=kind.device, memory_format=layout).zero_()
        for number, view in enumerate(_views(passed)):
            view.copy_(torch.where(which == number, gradient, 0))
        return passed


def _largest(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest pixels and which of the eight each was."""
    first, *others = _views(image)
    largest, which = first.clone(), torch.zeros_like(first, dtype=torch.uint8)
    for number, view in enumerate(others, 1):
        larger = (view > largest) | view.isnan()
        which.masked_fill_(larger, number)
        largest = torch.where(larger, view, largest)
    return largest, which


def _views(image: torch.Tensor) -> list[torch.Tensor]:
    whole = image[(..., *(slice(image.shape[axis] // 2 * 2) for axis in _AXES))]
    return [whole[(..., *(slice(first, None, 2) for first in firsts))] for firsts in product((0, 1), repeat=3)]


def _layout(image: torch.Tensor) -> torch.memory_format:
    last = torch.channels_last_3d
    return last if image.is_contiguous(memory_format=last) else torch.contiguous_format
