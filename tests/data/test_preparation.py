"""The background is added to copies, frame by frame, once, and never to the files themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import mini
import numpy as np
import pytest
import tifffile
from msgspec import structs

from contract.files import sha256
from orchestrator.data.manifest import load_manifest
from orchestrator.data.prepare import add_background, prepared_movies
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path


def _ignore(*_):
    pass


@pytest.fixture
def refined(tmp_path):
    """Return the dataset, its data root and a cache folder."""
    mini.write_refined(tmp_path)
    dataset = load_manifest(mini.write_manifest(tmp_path / "manifest")).named("refined")
    return dataset, tmp_path, tmp_path / "cache"


def _prepare(refined, progress=_ignore):
    dataset, root, cache = refined
    return prepared_movies(dataset, root, cache=cache, sha256=sha256, progress=progress)


def _state(folder: Path):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_copies_have_the_background_and_the_files_stay_as_they_were(refined):
    _, root, _ = refined
    before = _state(root / "refined")
    movies = _prepare(refined)
    assert _state(root / "refined") == before
    background = tifffile.imread(root / "average_image.tif")
    assert [(movie.split, movie.noisy.name) for movie in movies] == [
        ("train", "20ms_20%_Yoda1_005.tif"),
        ("train", "20ms_20%_Yoda1_006.tif"),
        ("val", "20ms_20%_Yoda1_008.tif"),
        ("test", "20ms_20%_Yoda1_009.tif"),
    ]
    for movie in movies:
        raw = tifffile.imread(root / "refined" / movie.split / movie.noisy.name)
        prepared = tifffile.imread(movie.noisy)
        assert prepared.dtype == np.uint16
        np.testing.assert_array_equal(prepared, raw + background)


def test_preparing_twice_writes_nothing_the_second_time(refined):
    first = _prepare(refined)
    before = _state(refined[2])
    told = []
    assert _prepare(refined, progress=lambda *event: told.append(event)) == first
    assert told == []
    assert _state(refined[2]) == before


def test_another_background_makes_another_copy(refined):
    _, root, _ = refined
    first = _prepare(refined)
    tifffile.imwrite(root / "average_image.tif", np.full((48, 48), 700, np.uint16))
    second = _prepare(refined)
    assert not {movie.noisy for movie in first} & {movie.noisy for movie in second}
    assert all(movie.noisy.exists() for movie in first)


def test_splits_that_the_step_does_not_name_are_left_alone(refined):
    dataset, root, cache = refined
    step = structs.replace(dataset.preparation[0], splits=("train",))
    movies = _prepare((replace(dataset, preparation=(step,)), root, cache))
    assert [movie.noisy.is_relative_to(cache) for movie in movies] == [True, True, False, False]


def test_a_dataset_without_steps_is_not_copied(tmp_path):
    mini.write_niddl(tmp_path)
    dataset = load_manifest(mini.write_manifest(tmp_path / "manifest")).named("NIDDL")
    movies = prepared_movies(dataset, tmp_path, cache=tmp_path / "cache", sha256=sha256, progress=_ignore)
    assert len(movies) == 8
    assert not (tmp_path / "cache").exists()


def test_a_missing_background_is_an_error_that_says_where_it_belongs(refined):
    (refined[1] / "average_image.tif").unlink()
    with pytest.raises(BadInput, match=r"average_image\.tif") as caught:
        _prepare(refined)
    assert "average_image.tif beside the folder" in caught.value.hint


def test_a_background_of_another_shape_is_an_error(refined):
    tifffile.imwrite(refined[1] / "average_image.tif", np.zeros((48, 47), np.uint16))
    with pytest.raises(BadInput, match=r"expected one image of \(48, 48\)"):
        _prepare(refined)


def test_a_float_background_gives_float_copies(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", np.full((3, 4, 5), 7, np.uint16), photometric="minisblack")
    tifffile.imwrite(tmp_path / "background.tif", np.full((4, 5), 0.25, np.float32))
    add_background(tmp_path / "movie.tif", tmp_path / "background.tif", tmp_path / "copy.tif", _ignore)
    copy = tifffile.imread(tmp_path / "copy.tif")
    assert copy.dtype == np.float32
    np.testing.assert_array_equal(copy, np.full((3, 4, 5), 7.25))


def test_a_sum_that_does_not_fit_is_an_error_and_never_wraps(tmp_path):
    # 65000 + 700 > 65535: uint16 would wrap to 164
    movie = np.full((3, 4, 5), 100, np.uint16)
    movie[2] = 65000
    tifffile.imwrite(tmp_path / "movie.tif", movie, photometric="minisblack")
    tifffile.imwrite(tmp_path / "background.tif", np.full((4, 5), 700, np.uint16))
    with pytest.raises(BadInput, match=r"fit uint16, got 65700"):
        add_background(tmp_path / "movie.tif", tmp_path / "background.tif", tmp_path / "copy.tif", _ignore)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["background.tif", "movie.tif"]
