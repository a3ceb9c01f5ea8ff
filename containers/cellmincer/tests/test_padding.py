"""Sizes of the valid U-Net and reflection."""

from __future__ import annotations

import numpy as np
import pytest

from padding import Valid, reflect

DEFAULT = Valid(depth=3, n_conv_layers=3, kernel_size=3)


@pytest.mark.parametrize(("output", "padded"), [(62, 122), (64, 126), (128, 190), (256, 318), (490, 550), (1024, 1086)])
def test_padded_sizes_are_those_of_upstream(output, padded):
    """Expected sizes were read off upstream's default network."""
    border = DEFAULT.margins(output)
    assert output + border.before + border.after == padded


@pytest.mark.parametrize("output", range(1, 200))
def test_the_network_returns_what_is_asked_for_in_its_middle(output):
    """Independent count: follow the sizes through every convolution and pooling, which must come out whole."""
    border = DEFAULT.margins(output)
    size = output + border.before + border.after
    sizes = [size - 6]
    for _ in range(2):
        assert sizes[-1] % 2 == 0
        sizes.append(sizes[-1] // 2 - 6)
    made = sizes[-1]
    for bridge in reversed(sizes[:-1]):
        made *= 2
        assert (bridge - made) % 2 == 0
        made -= 6
    assert made == DEFAULT.output_size(size)
    assert border.crop == border.before - (size - made) // 2
    assert 0 <= border.crop <= made - output


def test_borders_are_31_for_multiples_of_4_and_30_between_them():
    """From upstream's padding table; the workspace is padded by the larger of the two."""
    assert {DEFAULT.margins(size).before for size in range(4, 600, 4)} == {31}
    assert {DEFAULT.margins(size).before for size in range(6, 600, 4)} == {30}
    assert DEFAULT.workspace(490) == 31


@pytest.mark.parametrize(("start", "stop", "length"), [(-5, 12, 7), (-40, 55, 7), (0, 3, 3), (-9, 9, 2)])
def test_reflection_is_that_of_numpy(start, stop, length):
    """numpy.pad with mode "reflect" on the axis itself."""
    expected = np.pad(np.arange(length), (-start, stop - length), mode="reflect")
    assert np.array_equal(reflect(start, stop, length), expected)


def test_an_axis_of_one_pixel_repeats_it():
    assert reflect(-2, 3, 1).tolist() == [0, 0, 0, 0, 0]
