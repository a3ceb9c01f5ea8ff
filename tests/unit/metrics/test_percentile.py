"""The streamed percentile equals numpy.percentile over all values at once."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.metrics.percentile import percentile


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("percent", [0, 3, 50, 99.9, 100])
def test_percentile_equals_numpy_for_every_dtype(dtype, percent):
    values = np.random.default_rng(5).normal(20, 30, (7, 9, 11)).astype(dtype)
    expected = float(np.percentile(values.astype(np.float64), percent))
    assert percentile(lambda: iter(values), percent) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_ranks_in_different_leading_digits_are_both_found():
    # The median of two values lies half way between them.
    values = [np.array([-1e300]), np.array([1e-300])]
    assert percentile(lambda: values, 50) == pytest.approx(-5e299)


def test_no_value_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        percentile(lambda: iter(()), 3)
