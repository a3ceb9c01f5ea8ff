"""Streaming of movies, compared with numpy on the whole arrays."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import tifffile
from report_examples import TEST, movie_content

from evaluation.report import movie as module
from evaluation.report.content import NOISY, TARGET, MovieContent
from evaluation.report.movie import open_movie
from evaluation.report.regions import region_rows
from orchestrator.errors import BadInput


def test_traces_equal_means_of_the_whole_array(movie, files, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 3 * 64 * 64 * 2)  # several blocks, the last one shorter
    whole = tifffile.imread(files.noisy).astype(float)
    with open_movie(movie) as opened:
        regions = opened.regions(opened.projection(TARGET))
        traces = opened.traces(NOISY, regions)
    np.testing.assert_allclose(traces.frame, whole.mean(axis=(1, 2)), rtol=1e-12)
    flat = whole.reshape(len(whole), -1)
    expected = [flat[:, pixels].mean(axis=1) for pixels in region_rows(regions, (64, 64))]
    np.testing.assert_allclose(traces.regions, expected, rtol=1e-12)


def test_projections_equal_mean_and_sd_over_the_sampled_frames(movie, files, monkeypatch):
    monkeypatch.setattr(module, "SAMPLED_FRAMES", 7)
    whole = tifffile.imread(files.prediction).astype(float)
    with open_movie(movie) as opened:
        used = opened.sampled_frames()
        projection = opened.projection("n2v")
    assert len(used) == 7
    assert (used[0], used[-1]) == (0, 39)
    np.testing.assert_allclose(projection.mean, whole[used].mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(projection.sd, whole[used].std(axis=0), rtol=1e-8)


def test_the_target_decides_on_regions_else_a_control(files):
    names = []
    for changes in ({}, {"target": None}, {"target": None, "predictions": {}}):
        with open_movie(movie_content(files, **changes)) as opened:
            names.append(opened.reference)
    assert names == [TARGET, "mean", NOISY]


def test_a_target_of_another_scale_is_brought_back(tmp_path):
    target = np.random.default_rng(4).random((6, 20, 20)).astype(np.float32) * 500
    paths = {name: tmp_path / f"{name}.tif" for name in ("noisy", "target")}
    tifffile.imwrite(paths["noisy"], (0.1 * target + 30).astype(np.float32), photometric="minisblack")
    tifffile.imwrite(paths["target"], target, photometric="minisblack")
    content = MovieContent(name="m", part=TEST, noisy=paths["noisy"], predictions={}, target=paths["target"])
    with open_movie(content) as opened:
        assert (opened.scale.gain, opened.scale.offset) == (1.0, 0.0)
    fitted = MovieContent(
        name="m", part=TEST, noisy=paths["noisy"], predictions={}, target=paths["target"], fit_target=True
    )
    with open_movie(fitted) as opened:
        assert opened.scale.gain == pytest.approx(0.1, rel=1e-4)
        assert opened.scale.offset == pytest.approx(30, rel=1e-4)
        np.testing.assert_allclose(opened.frame(TARGET, 2), opened.frame(NOISY, 2), rtol=1e-4)


def test_a_prediction_of_another_shape_is_refused_with_both_shapes(files, tmp_path):
    short = tmp_path / "short.tif"
    tifffile.imwrite(short, np.zeros((39, 64, 64), np.float32), photometric="minisblack")
    with (
        pytest.raises(BadInput, match=r"short\.tif \(n2v\): expected shape \(40, 64, 64\).* got \(39, 64, 64\)"),
        open_movie(movie_content(files, predictions={"n2v": short})),
    ):
        pass


def test_a_missing_file_is_refused_with_its_path(files, tmp_path):
    missing = tmp_path / "missing.tif"
    with (
        pytest.raises(BadInput, match=r"missing\.tif"),
        open_movie(movie_content(files, target=missing)),
    ):
        pass


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 2**18)
    peaks = []
    for frames in (100, 1000):
        path = tmp_path / f"{frames}.tif"
        tifffile.imwrite(path, np.zeros((frames, 64, 64), np.uint16), photometric="minisblack")
        with open_movie(MovieContent(name="m", part=TEST, noisy=path, predictions={})) as opened:
            tracemalloc.start()
            opened.traces(NOISY, ())
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_a_frame_with_a_broken_band_is_used_for_no_projection(files, tmp_path):
    noisy = tifffile.imread(files.noisy)
    noisy[12, 20:30] = np.random.default_rng(3).choice([0, 60000], (10, 64))
    path = tmp_path / "broken.tif"
    tifffile.imwrite(path, noisy, photometric="minisblack", metadata={"axes": "TYX"})
    with open_movie(movie_content(files, noisy=path)) as opened:
        assert 12 not in opened.sampled_frames()
        assert len(opened.sampled_frames()) == 39
