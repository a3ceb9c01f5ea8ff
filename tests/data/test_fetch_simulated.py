"""Simulated datasets are computed on fetch, to the bytes that the manifest names, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from orchestrator.data.datasets import File, locate
from orchestrator.data.fetch import fetch
from orchestrator.data.manifest import load_manifest
from orchestrator.data.verify import verify
from orchestrator.errors import BadInput

MANIFEST = load_manifest(Path(__file__).parents[2] / "data" / "manifest.yaml")


def _ignore(*_):
    pass


@pytest.fixture
def tiny():
    """Return the demo with 4 frames in its val split only, and no checksums."""
    demo = MANIFEST.named("demo")
    scene = structs.replace(demo.simulation.scenes["val"], frames=4)
    files = tuple(
        File(path=file.path, split="val", role=file.role, dtype=file.dtype)
        for file in demo.files
        if file.split == "val"
    )
    return replace(demo, files=files, simulation=replace(demo.simulation, scenes={"val": scene}))


@pytest.mark.slow
def test_the_demo_is_fetched_verified_and_paired(tmp_path):
    demo = MANIFEST.named("demo")
    told = []
    paths = fetch(demo, tmp_path, lock=tmp_path / "lock.json", progress=lambda *event: told.append(event))
    assert len(paths) == 6
    assert verify(demo, tmp_path, _ignore) == []
    assert not (tmp_path / "lock.json").exists()  # all checksums are in the manifest
    movies = locate(demo, tmp_path)
    assert [(movie.split, movie.noisy.parent.name, movie.target.parent.name) for movie in movies] == [
        ("train", "train", "train_target"),
        ("val", "val", "val_target"),
    ]
    name, done, total = told[-1]
    assert name == "demo_val.tif"
    assert done == total == 64 * 128 * 128 * (2 + 4)
    assert not list((tmp_path / "demo").glob(".*"))


@pytest.mark.slow
def test_unknown_checksums_are_locked_at_the_first_fetch_and_hold_at_the_next(tiny, tmp_path):
    lock = tmp_path / "lock.json"
    fetch(tiny, tmp_path, lock=lock, progress=_ignore)
    known = json.loads(lock.read_text())["demo"]["files"]
    assert set(known) == {file.path for file in tiny.files}
    locked = replace(tiny, files=tuple(structs.replace(file, **known[file.path]) for file in tiny.files))
    movie = tmp_path / "demo/val/demo_val.tif"
    stamp = movie.stat().st_mtime_ns
    fetch(locked, tmp_path, lock=lock, progress=_ignore)
    assert movie.stat().st_mtime_ns == stamp
    movie.write_bytes(b"damaged")
    fetch(locked, tmp_path, lock=lock, progress=_ignore)
    assert verify(locked, tmp_path, _ignore) == []


def test_simulated_bytes_other_than_the_locked_ones_are_an_error_and_leave_nothing(tiny, tmp_path):
    wrong = replace(tiny, files=tuple(structs.replace(file, checksum="sha256:" + "0" * 64) for file in tiny.files))
    with pytest.raises(BadInput, match=r"expected simulated bytes of sha256:0+, got sha256:\w+ with NumPy"):
        fetch(wrong, tmp_path, lock=tmp_path / "lock.json", progress=_ignore)
    assert [path for path in (tmp_path / "demo").rglob("*") if path.is_file()] == []


def test_a_disk_too_small_is_an_error_before_anything_is_simulated(tiny, tmp_path):
    huge = replace(tiny, files=tuple(structs.replace(file, bytes=10**18) for file in tiny.files))
    with pytest.raises(BadInput, match="free bytes"):
        fetch(huge, tmp_path, lock=tmp_path / "lock.json", progress=_ignore)
    assert not (tmp_path / "demo").exists()


def test_a_data_root_that_cannot_be_written_is_an_error_with_a_hint(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="expected a folder that can be written") as caught:
        fetch(tiny, tmp_path / "file" / "root", lock=tmp_path / "lock.json", progress=_ignore)
    assert "CALM_DATA" in caught.value.hint


def test_a_restricted_dataset_that_is_not_there_says_what_to_do(tmp_path):
    refined = MANIFEST.named("refined")
    with pytest.raises(BadInput, match="20ms_20%_Yoda1_005") as caught:
        fetch(refined, tmp_path, lock=tmp_path / "lock.json", progress=_ignore)
    assert "ask them" in caught.value.hint
    assert str(tmp_path / "refined") in caught.value.hint


def test_movies_of_a_dataset_that_was_not_fetched_say_how_to_fetch_it(tmp_path):
    with pytest.raises(BadInput, match="demo_train") as caught:
        locate(MANIFEST.named("demo"), tmp_path)
    assert "calm data fetch demo" in caught.value.hint
