"""What is hidden: correlation of the noise, masks, windows and samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cellmincer.tests.synthetic import clean_movie, params
from contract.errors import AlgorithmFailed, JobRefused
from correlation import Occlusion, noise_statistics
from masking import Span, centre_share, draw_mask, hide
from padding import Valid
from preprocess import prepare
from recording import Mapped, Recording
from sampling import Sampler, window_side
from settings import settings_of
from timing import frames_around
from window import feature_window, frame_window, upstream_shift, window_at


def prepared(movie: np.ndarray, **changes: object):
    """Preprocess a movie of shape (T, Y, X)."""
    settings = settings_of(params(**changes))
    said: list[str] = []
    return prepare(Recording(Mapped(movie), "movie"), settings, seed=0, rate_hz=30.0, say=said.append), settings, said


def noise_of(shape: tuple[int, ...], sigma: tuple[float, float, float]) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=shape), sigma)
    return 6 * noise / noise.std()


@pytest.mark.parametrize(
    ("sigma", "expected"),
    [((0, 0, 0), (0, 0, 0)), ((0, 1, 1), (2, 2, 0)), ((1, 0, 0), (0, 0, 2)), ((0, 0, 0.6), (1, 0, 0))],
)
def test_the_hidden_box_fits_the_correlation_of_the_noise_beside_cells(sigma, expected):
    """Noise blurred by a Gaussian s has the correlation exp(-d^2 / 4 s^2): 0.78, 0.37, 0.11 for s = 1, 0.50 for 0.6."""
    movie = clean_movie(300, 48, 56) + noise_of((300, 48, 56), sigma)
    found = prepared(movie.astype(np.float32))[0].statistics.correlation
    assert found.occlusion() == Occlusion(x=expected[0], y=expected[1], t=expected[2])
    if sigma == (0, 1, 1):
        assert found.x[:4] == pytest.approx(np.exp(-(np.arange(4) ** 2) / 4), abs=0.04)


def test_the_noise_variance_is_measured_beside_slow_signal_and_correlation_in_time():
    """Known variance 36 of blurred noise; frames one apart would give 36 * (1 - 0.78)."""
    movie = clean_movie(300, 48, 56) + noise_of((300, 48, 56), (1, 0, 0))
    found = prepared(movie.astype(np.float32))[0]
    assert found.statistics.variance.mean() == pytest.approx(36, rel=0.1)
    assert found.quiet.mean() > 0.2


def test_short_movies_tell_nothing_and_hide_nothing():
    movie = np.random.default_rng(2).normal(size=(3, 16, 16)).astype(np.float32)
    found = noise_statistics(lambda frames: movie[frames], np.arange(3))
    assert found.correlation.occlusion() == Occlusion()
    assert found.variance.shape == (16, 16)


def test_a_mask_hides_the_box_around_each_centre_and_nothing_else():
    """Direct: every hidden place has a centre in its box, every place of a box is hidden."""
    window = window_at((0, 0), (12, 14), Valid(depth=2, n_conv_layers=2, kernel_size=3))
    box = Occlusion(x=1, y=2, t=1)
    mask = draw_mask(np.random.default_rng(3), window, Span(13, 1), 0.02, box)
    assert mask.centres.any()
    expected = np.zeros_like(mask.hidden)
    left, top = window.borders[0].before, window.borders[1].before
    for _, x, y in zip(*np.nonzero(mask.centres), strict=True):
        expected[5:8, left + x - 1 : left + x + 2, top + y - 2 : top + y + 3] = True
    assert np.array_equal(mask.hidden, expected)


@pytest.mark.parametrize(("box", "share"), [(Occlusion(), 0.2), (Occlusion(x=2, y=2), 0.04), (Occlusion(t=2), 0.2)])
def test_large_boxes_are_drawn_more_rarely(box, share):
    """Upstream's 0.2, or one centre for each box of 25 pixels."""
    assert centre_share(0.2, box) == pytest.approx(share)


def test_hidden_pixels_become_noise_of_the_named_mean_and_deviation_and_others_stay():
    rng = np.random.default_rng(4)
    frames = rng.normal(size=(20, 60, 60)).astype(np.float32)
    hidden = rng.random(frames.shape) < 0.5
    found = hide(rng, frames, hidden, (np.full((60, 60), 3.0, np.float32), np.full((60, 60), 0.5, np.float32)))
    assert np.array_equal(found[~hidden], frames[~hidden])
    assert found[hidden].mean() == pytest.approx(3, abs=0.02)
    assert found[hidden].std() == pytest.approx(0.5, abs=0.01)


def test_a_window_is_the_movie_with_reflected_surroundings():
    """numpy.pad of the whole movie, cut by hand."""
    movie = np.random.default_rng(5).normal(100, 5, (30, 22, 26)).astype(np.float32)
    found, settings, _ = prepared(movie)
    valid = settings.architecture.valid
    window = window_at((20, 3), (6, 10), valid)
    border = [(one.before, one.after) for one in window.borders]
    whole = found.detrended(np.array([4, 9]))
    padded = np.pad(whole, ((0, 0), border[0], border[1]), mode="reflect")
    assert np.array_equal(
        frame_window(found, np.array([4, 9]), window),
        padded[:, 20 : 26 + sum(border[0]), 3 : 13 + sum(border[1])],
    )
    maps = feature_window(found, window, "constant")
    assert (maps[:, window.outside((26, 22))] == 0).all()


def test_upstreams_windows_start_a_pixel_early_for_sizes_between_multiples_of_4():
    """Its defect for 62, 66 and 490 pixels; 64 is not shifted."""
    valid = settings_of(params("default")).architecture.valid
    assert [upstream_shift(side, side, (side, side), valid)[0] for side in (62, 64, 66, 490)] == [1, 0, 1, 1]


def test_the_training_window_is_upstreams():
    """62 pixels for the limits 32 to 64 and the default network; for a movie of 41 pixels 40 / 102 beats 38 / 98."""
    settings = settings_of(params("default"))
    assert window_side([(490, 490)], settings) == 62
    assert window_side([(490, 490), (41, 200)], settings) == 40
    with pytest.raises(JobRefused, match="at least 8 x 8 pixels, got a side of 6"):
        window_side([(6, 90)], settings)


def test_samples_are_windows_whose_target_is_the_noisy_movie_itself():
    """Every target is found in the movie; held-out frames are never a target."""
    movie = np.random.default_rng(6).normal(100, 5, (40, 40, 44)).astype(np.float32)
    found, settings, _ = prepared(movie, n_batch=6)
    sampler = Sampler([found], settings, Occlusion(), np.random.default_rng(0))
    whole = found.detrended(np.arange(40))
    for step in range(5):
        batch = sampler.draw(np.random.default_rng(step), step)
        assert batch.frames.shape[1] == 13
        for target in batch.target[:, 0]:
            windows = np.lib.stride_tricks.sliding_window_view(whole, target.shape, axis=(1, 2))
            frames = np.flatnonzero((windows == target).all(axis=(-1, -2)).any(axis=(1, 2)))
            assert len(frames) == 1
            assert frames[0] not in sampler.held[0]
            assert 6 <= frames[0] < 34


@pytest.mark.parametrize(("compat", "expected"), [("none", [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]), ("upstream", [0, 1] * 5)])
def test_movies_take_turns_however_many_there_are(compat, expected):
    """Five movies, five batches of two: upstream never sees the last three."""
    movies = [prepared(np.full((20, 16, 16), 100.0) + noise_of((20, 16, 16), (0, 0, 0)))[0] for _ in range(5)]
    settings = settings_of(params(n_batch=2, compat=compat))
    seen: list[int] = []
    sampler = Sampler(movies, settings, Occlusion(), np.random.default_rng(0))
    sampler._sample = lambda rng, number, item: seen.append(number) or (np.zeros(1),) * 5  # noqa: ARG005, SLF001
    for step in range(5):
        sampler.draw(np.random.default_rng(0), step)
    assert (sorted(seen) if compat == "none" else seen) == expected


def test_importance_sampling_fills_half_the_batch_with_bright_windows():
    """A movie with one bright frame in ten; weights bring their share back to a tenth."""
    movie = np.full((200, 40, 40), 100.0) + noise_of((200, 40, 40), (0, 0, 0))
    movie[::10] += 30
    found, settings, _ = prepared(movie.astype(np.float32), importance_pivot=0.1, n_batch=8, poly_order=0)
    sampler = Sampler([found], settings, Occlusion(), np.random.default_rng(0))
    batch = sampler.draw(np.random.default_rng(1), 0)
    bright = batch.target.mean(axis=(1, 2, 3)) > 1
    assert bright.tolist() == [True] * 4 + [False] * 4
    assert batch.weights == pytest.approx([0.2] * 4 + [1.8] * 4)


def test_a_movie_too_short_to_train_on_is_refused_with_the_number_of_frames():
    """13 frames for one window, one more to hold out."""
    found, settings, _ = prepared(np.random.default_rng(7).normal(100, 5, (13, 16, 16)).astype(np.float32))
    with pytest.raises(JobRefused, match="training needs at least 14 frames, got 13"):
        Sampler([found], settings, Occlusion(), np.random.default_rng(0))
    found, settings, _ = prepared(np.random.default_rng(7).normal(100, 5, (14, 16, 16)).astype(np.float32))
    assert Sampler([found], settings, Occlusion(), np.random.default_rng(0)).held[0].size == 1


def test_frames_at_the_ends_are_mirrored_at_the_frame_itself():
    """By hand. The frame to denoise appears once, in the middle: a second copy would show its noise."""
    assert frames_around(50, 100, 5).tolist() == [48, 49, 50, 51, 52]
    assert frames_around(1, 100, 7).tolist() == [4, 3, 0, 1, 2, 3, 4]
    assert frames_around(99, 100, 5).tolist() == [97, 98, 99, 98, 97]
    for length in (2, 3, 7, 12, 13, 30):
        for frame in range(length):
            around = frames_around(frame, length, 13)
            assert around.min() >= 0
            assert around.max() < length
            assert np.flatnonzero(around == frame).tolist() == [6]


def test_frames_that_cannot_be_told_apart_all_count_as_active_and_the_user_is_told():
    """One sparse transient makes one peak in the histogram; `compat: upstream` ends as upstream does."""
    time = np.arange(200)
    movie = 100 + np.where(time < 60, 0, 50 * np.exp(-(time - 60) / 5))[:, None, None] + np.zeros((1, 16, 16))
    movie = (movie + np.random.default_rng(8).normal(0, 1, movie.shape)).astype(np.float32)
    _, _, said = prepared(movie, infer_active_t_range=True, poly_order=0)
    assert "fewer than two peaks, so all frames count as active" in said[-1]
    with pytest.raises(AlgorithmFailed, match="upstream ends here with an IndexError"):
        prepared(movie, infer_active_t_range=True, poly_order=0, compat="upstream")


def test_a_stimulus_that_names_no_frame_of_the_movie_is_said():
    """Frame 500 of a movie of 30, and frames that are all trimmed; all others count, as without a stimulus."""
    movie = np.random.default_rng(9).normal(100, 5, (30, 16, 16)).astype(np.float32)
    for changes in ({"stim_frame_start": 500}, {"stim_frame_start": 0, "stim_frame_end": 4}):
        found, _, said = prepared(movie, trim_left=4, **changes)
        assert "no frame is active, by what the manifest says, so all frames count as active" in said[-1]
        assert np.array_equal(found.features.maps, prepared(movie, trim_left=4)[0].features.maps)
