"""Global features against a direct computation on whole arrays."""

from __future__ import annotations

import numpy as np
import pytest

from features import OFFSETS, feature_count, global_features


def direct(movie: np.ndarray, depth: int) -> dict[str, np.ndarray]:
    """Compute the maps as the paper defines them, everything in memory, for a movie of shape (T, X, Y)."""
    count, *shape = movie.shape
    powers = [1 << (side - 1).bit_length() for side in shape]
    before = [(power - side) // 2 for power, side in zip(powers, shape, strict=True)]
    sides = [(b, p - s - b) for b, p, s in zip(before, powers, shape, strict=True)]
    volume = np.pad(np.pad(movie.astype(np.float64), ((0, 0), *sides), mode="reflect"),
                    ((20, 20), (2**depth,) * 2, (2**depth,) * 2), mode="reflect")  # fmt: skip
    mean = np.stack([volume[t - 10 : t + 11].mean(axis=0) for t in range(10, len(volume) - 10)])
    found = {}
    for d in range(depth + 1):
        pooled = [
            v.reshape(len(v), v.shape[1] // 2**d, 2**d, v.shape[2] // 2**d, 2**d).mean(axis=(2, 4))
            for v in (volume[10:-10], mean)
        ]
        edge = 2 ** (depth - d)
        signals = {"detrended": pooled[0] - pooled[1], "trend": pooled[1]}

        def covariance(z, dt, dx, dy, edge=edge):
            width, height = (side - 2 * edge for side in z.shape[1:])
            here = z[10 : 10 + count, edge : edge + width, edge : edge + height]
            there = z[10 + dt : 10 + dt + count, edge + dx : edge + dx + width, edge + dy : edge + dy + height]
            return ((here - here.mean(axis=0)) * (there - there.mean(axis=0))).mean(axis=0)

        maps = {
            f"detrended_std_{d}": np.sqrt(covariance(signals["detrended"], 0, 0, 0)) / movie.std(),
            f"trend_std_{d}": np.sqrt(covariance(signals["trend"], 0, 0, 0)) / movie.std(),
            f"trend_mean_{d}": signals["trend"][:, edge:-edge, edge:-edge].mean(axis=0) / movie.std(),
        }
        for offset in OFFSETS:
            for name, z in signals.items():
                label = f"{name}_corr_{d}_" + "_".join(map(str, offset))
                maps[label] = covariance(z, *offset) / (1e-8 + covariance(z, 0, 0, 0))
        for name, values in maps.items():
            large = _enlarged(_enlarged(values, 2**d).T, 2**d).T
            found[name] = large[before[0] : before[0] + shape[0], before[1] : before[1] + shape[1]]
    return found


def _enlarged(values: np.ndarray, factor: int) -> np.ndarray:
    """Interpolate along the first axis between cell centres, ends repeated."""
    place = (np.arange(len(values) * factor) + 0.5) / factor - 0.5
    return np.stack([np.interp(place, np.arange(len(values)), column) for column in values.T], axis=1)


def movie_of(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(3)
    slow = np.cumsum(rng.normal(0, 0.3, shape), axis=0)
    return (slow + rng.normal(0, 1, shape)).astype(np.float32)


@pytest.mark.parametrize("shape", [(90, 16, 32), (47, 22, 30), (21, 33, 19), (14, 20, 16)])
def test_features_equal_the_direct_computation(shape):
    """Sizes: powers of two, even, odd with a remainder, and fewer frames than the moving mean."""
    movie = movie_of(shape)
    found = global_features(lambda frames: movie[frames], np.arange(len(movie)), 1, upstream=True)
    expected = direct(movie, 1)
    assert list(found.names) == list(expected)
    assert found.scale == pytest.approx(movie.std(), rel=1e-5)
    for name, values in expected.items():
        assert np.allclose(found.named(name), values, rtol=1e-3, atol=2e-4), name


def test_depth_2_pools_twice_and_upstream_repeats_depth_1():
    """Direct computation for ours; upstream's depth 2 equals its depth 1."""
    movie = movie_of((40, 24, 32))
    ours = global_features(lambda frames: movie[frames], np.arange(40), 2, upstream=False)
    expected = direct(movie, 2)
    for name in ("trend_std_2", "detrended_std_2", "trend_mean_2"):
        assert np.allclose(ours.named(name), expected[name], atol=2e-4)
    theirs = global_features(lambda frames: movie[frames], np.arange(40), 2, upstream=True)
    assert np.array_equal(theirs.named("trend_std_2"), theirs.named("trend_std_1"))


def test_only_active_frames_count():
    """Features of chosen frames are those of a movie cut down to them."""
    movie = movie_of((80, 16, 16))
    chosen = np.r_[5:30, 41:77]
    found = global_features(lambda frames: movie[frames], chosen, 1, upstream=False)
    cut = movie[chosen]
    expected = global_features(lambda frames: cut[frames], np.arange(len(cut)), 1, upstream=False)
    assert np.allclose(found.maps, expected.maps, atol=1e-6)


def test_there_are_74_maps_and_outliers_of_dead_neighbours_are_limited():
    """37 for each depth; a nearly constant pixel beside a lively one would give thousands."""
    movie = movie_of((60, 16, 16))
    movie[:, 4, 4] *= 1e-3
    found = global_features(lambda frames: movie[frames], np.arange(60), 1, upstream=False)
    assert len(found.maps) == feature_count(1) == 74
    assert np.abs(found.maps).max() <= 10
    raw = global_features(lambda frames: movie[frames], np.arange(60), 1, upstream=True)
    assert np.abs(raw.maps).max() > 100
