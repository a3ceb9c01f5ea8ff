"""Pictures: what is encoded is read back with Pillow; expected levels are worked out by hand."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from evaluation.report.pictures import (
    Window,
    animation,
    beside,
    difference_picture,
    difference_window,
    grey_picture,
    intensity_window,
    levels,
    thinning,
)


def decoded(address):
    kind, data = address.split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_levels_are_linear_in_the_window_and_end_at_its_ends():
    image = np.array([[-50.0, 100.0, 150.0, 200.0, 900.0]])
    assert levels(image, Window(low=100, high=200)).tolist() == [[0, 0, 128, 255, 255]]


def test_values_that_are_not_finite_become_black_or_an_end():
    assert levels(np.array([[np.nan, np.inf, -np.inf]]), Window(low=0, high=1)).tolist() == [[0, 255, 0]]


def test_the_window_holds_half_a_percent_to_99_7_percent_of_all_pixels():
    images = [np.arange(500.0).reshape(20, 25), np.arange(500.0, 1001).reshape(3, 167)]
    window = intensity_window(images)
    assert (window.low, window.high) == pytest.approx((5.0, 997.0))


@pytest.mark.parametrize("image", [np.full((4, 4), 7.0), np.full((4, 4), np.nan)])
def test_a_picture_without_contrast_still_has_a_window(image):
    window = intensity_window([image])
    assert window.high > window.low
    assert levels(image, window).max() == 0


def test_the_window_of_differences_is_symmetric():
    window = difference_window([np.linspace(-3, 1, 401)[None]])
    assert window.low == -window.high
    assert window.high == pytest.approx(2.98, abs=0.02)
    assert difference_window([np.zeros((3, 3))]).high > 0


def test_a_grey_picture_comes_back_to_the_bit():
    image = np.random.default_rng(1).integers(0, 256, (40, 30))
    shown = np.asarray(decoded(grey_picture(image, Window(low=0, high=255))).convert("L"))
    np.testing.assert_array_equal(shown, image)


def test_differences_are_blue_below_zero_white_at_zero_and_red_above():
    image = np.array([[-1.0, 0.0, 1.0]])
    below, zero, above = np.asarray(decoded(difference_picture(image, Window(low=-1, high=1)))).astype(int)[0]
    assert below[2] > below[0]
    assert min(zero) > 240
    assert above[0] > above[2]


def test_thinning_brings_the_longer_edge_below_the_limit():
    assert [thinning(shape, 512) for shape in ((490, 490), (512, 100), (513, 2), (2, 2049))] == [1, 1, 2, 5]


def test_an_animation_has_all_frames_when_they_fit():
    frames = [np.full((16, 16), level, np.uint8) for level in (0, 100, 200)]
    made = animation(frames, frame_ms=100, limit_bytes=10_000)
    assert made.step == 1
    assert decoded(made.src).n_frames == 3


def test_an_animation_of_noise_is_lowered_in_quality_and_thinned_until_it_fits():
    noise = np.random.default_rng(2).integers(0, 256, (32, 64, 64)).astype(np.uint8)
    made = animation(list(noise), frame_ms=100, limit_bytes=20_000)
    assert len(base64.b64decode(made.src.split(",")[1])) <= 20_000
    assert decoded(made.src).n_frames == -(-32 // made.step) < 32


def test_panels_stand_side_by_side_in_order():
    joined = beside([np.full((2, 4), 10, np.uint8), np.full((2, 4), 20, np.uint8)])
    assert joined.shape == (2, 11)
    assert joined[0, 0] == 10
    assert joined[0, -1] == 20
