"""Which pixels are hidden and what they are replaced by; no training."""

import numpy as np
import pytest

from blind_spots import hide_pixels

PLACES = np.arange(64 * 64, dtype=np.float32).reshape(1, 64, 64)  # every pixel is its place


def _hide(patches, percentage=0.2, roi_size=11, seed=0):
    return hide_pixels(patches, np.random.default_rng(seed), percentage=percentage, roi_size=roi_size)


@pytest.mark.parametrize(("percentage", "expected"), [(0.2, 8.2), (1.0, 41), (10.0, 410)])
def test_the_share_of_hidden_pixels_is_that_asked_for(percentage, expected):
    """Of 64 x 64 pixels, on average over many patches."""
    hidden = _hide(np.repeat(PLACES, 400, axis=0), percentage)[1]
    assert hidden.sum(axis=(1, 2)).mean() == pytest.approx(expected, rel=0.05)


def test_every_pixel_is_hidden_equally_often():
    hidden = _hide(np.repeat(PLACES, 4000, axis=0), 1.0)[1].sum(axis=0)
    assert abs(hidden[:8].mean() / hidden.mean() - 1) < 0.1  # borders like
    assert abs(hidden[24:40, 24:40].mean() / hidden.mean() - 1) < 0.1  # the middle


def test_a_hidden_pixel_is_replaced_by_another_from_its_neighbourhood_and_the_rest_stays():
    seen, hidden = _hide(np.repeat(PLACES, 200, axis=0), 2.0, roi_size=5)
    changed = hidden > 0
    np.testing.assert_array_equal(seen[~changed], np.repeat(PLACES, 200, axis=0)[~changed])
    rows, columns = np.nonzero(changed)[1:]
    from_row, from_column = np.divmod(seen[changed].astype(int), 64)
    distance = np.maximum(np.abs(rows - from_row), np.abs(columns - from_column))
    assert set(distance) == {1, 2}  # never the pixel itself


def test_hidden_pixels_do_not_cluster():
    """Boxes of 10 x 10 hold one each, so that of evenly drawn pixels many more would have a close neighbour."""
    places = [np.argwhere(one) for one in _hide(np.repeat(PLACES, 100, axis=0), 1.0)[1]]
    close = [((np.abs(one[:, None] - one).max(-1) <= 2).sum(1) > 1).mean() for one in places]
    assert np.mean(close) < 0.24 / 2  # 41 pixels among 4096, 25 places around each


def test_volumes_are_hidden_in_too_and_no_patch_is_left_whole():
    seen, hidden = _hide(np.random.default_rng(1).normal(size=(300, 8, 8, 8)).astype(np.float32), 0.05)
    assert (hidden.sum(axis=(1, 2, 3)) >= 1).all()
    assert seen.shape == hidden.shape
