"""The study's cast to uint16, spelled out."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.metrics import as_study_uint16


def test_fractions_are_cut_and_negatives_wrap():
    # What .astype(np.uint16) gave on x86-64 with NumPy 1.26 and 2.4.
    values = np.array([0.9, 1.99, -0.9, -1.0, -1.7, 65535.9, 65536.0, 70000.0])
    assert as_study_uint16(values).tolist() == [0, 1, 0, 65535, 65535, 65535, 0, 4464]


def test_signed_integers_wrap_and_uint16_passes_through():
    assert as_study_uint16(np.array([-2, 5], dtype=np.int16)).tolist() == [65534, 5]
    movie = np.arange(4, dtype=np.uint16)
    assert as_study_uint16(movie) is movie


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e9])
def test_values_without_a_defined_result_are_refused(value):
    with pytest.raises(ValueError, match="expected finite values"):
        as_study_uint16(np.array([1.0, value]))
