"""Halo blocks: cores cover everything once, and a local operator gives the same as in one piece."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy.ndimage import uniform_filter

from contract.blocks import axis_blocks, pad_by_reflection, stream
from contract.predictions import open_prediction
from contract.stacks import open_stack


@pytest.mark.parametrize("length", [1, 3, 4, 7, 64, 65, 490])
@pytest.mark.parametrize(("core", "halo", "multiple"), [(64, 28, 4), (30, 5, 8), (500, 10, 1), (1, 0, 1)])
def test_cores_cover_an_axis_once_and_reads_stay_inside(length, core, halo, multiple):
    blocks = axis_blocks(length, core, halo, multiple)
    assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(length))
    for block in blocks:
        assert 0 <= block.read_start <= block.start
        assert block.stop <= block.read_stop <= length
        assert block.read_start % multiple == 0
        assert (block.read_stop - block.read_start + block.pad) % multiple == 0
        assert block.read_start == 0 or block.start - block.read_start >= halo
        assert block.read_stop == length or block.read_stop - block.stop >= halo


def test_a_local_operator_in_blocks_equals_the_operator_in_one_piece(tmp_path):
    movie = np.random.default_rng(1).integers(0, 1000, (37, 41, 50)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "movie.tif", movie)

    def smooth(block):
        return uniform_filter(block.astype(np.float64), 5, mode="constant").astype(np.float32)

    with open_stack(tmp_path / "movie.tif") as stack, open_prediction(tmp_path / "p.tif", stack) as prediction:
        stream(stack, prediction, smooth, core=(8, 16, 24), halo=(2, 2, 2), multiple=(4, 4, 4))
    whole = smooth(pad_by_reflection(movie.astype(np.float32), (3, 3, 2)))[:37, :41, :50]
    assert np.abs(tifffile.imread(tmp_path / "p.tif") - whole).max() < 1e-3  # grey levels; sums differ in order only


def test_an_axis_too_short_to_reflect_repeats_its_edge():
    assert pad_by_reflection(np.array([[1.0, 2.0]]), (3, 1)).tolist() == [[1, 2, 1]] * 4
