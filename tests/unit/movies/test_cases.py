"""Small inputs that once showed a fault, each through `calm run identity` as its INDEX states; skipped where absent."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tifffile

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
TAKEN = {  # files that run together, what is typed with them, and the frames of `frames.npy` that are right
    "30 Hz": (("imagej_counts_fewer.tif", "imagej_micro_sign.tif", "scanimage_counts_fewer.tif"), (), slice(None)),
    "20 Hz": (("ome_counts_fewer.ome.tif", "pair_a_TYX.tif", "pair_b_QYX.tif"), (), slice(None)),
    "a plane": (("scanimage_three_planes.tif",), ("--plane", "2"), slice(1, None, 3)),
    "pages": (("imagej_counts_more.tif",), ("--axes", "TYX"), slice(None)),
}
REFUSED = {
    "scanimage_three_planes.tif": ("got 3 planes", "Choose with --plane 1, 2 or 3."),
    "imagej_two_colours.tif": ("got 2 channels", "Choose with --channel 1 or 2."),
    "imagej_counts_more.tif": ("expected 20 frames, as its ImageJ description counts, got 12 pages", "--axes TYX"),
}


@pytest.fixture
def cases(real_movie, tmp_path):
    """Return a copy of the small inputs in a folder whose name is not ASCII, and their right frames."""
    folder = tmp_path / "µ größe"
    shutil.copytree(real_movie("cases"), folder)
    return folder, np.load(folder / "frames.npy")


@pytest.fixture
def identity(calm):
    """Return a function that runs identity in the locale C, and gives what it said, its record and its predictions."""

    def run(*arguments):
        done = calm("run", "identity", "--engine", "venv", *arguments, **C_LOCALE)
        assert done.returncode == 0, done.stderr
        (record,) = calm.outputs.glob("identity-*/*/run.json")
        predictions = sorted((record.parent / "predictions").rglob("*.tif"))
        return done.stdout + done.stderr, json.loads(record.read_text(encoding="utf-8")), predictions

    return run


@pytest.mark.parametrize("kind", TAKEN)
def test_every_frame_comes_back_bit_for_bit(cases, identity, kind):
    folder, frames = cases
    names, typed, which = TAKEN[kind]
    said, record, predictions = identity(*(word for name in names for word in ("--input", folder / name)), *typed)
    assert [path.name for path in predictions] == sorted(names)
    for path in predictions:
        assert np.array_equal(tifffile.imread(path, key=slice(None)), frames[which]), path.name
    for name in (one for one in names if "counts_fewer" in one):
        line = next(one for one in said.splitlines() if one.startswith(name))
        assert "8" in line
        assert "12" in line
    if kind.endswith("Hz"):
        assert f"{record['frame_rate_hz']:g} Hz" == kind
    if "imagej_micro_sign.tif" in names:
        with tifffile.TiffFile(predictions[1]) as tiff:
            assert tiff.imagej_metadata["unit"] == "\\u00B5m"


def test_a_set_is_one_movie_and_another_run_when_a_pixel_of_any_file_changes(cases, calm, identity):
    folder, frames = cases
    _, record, (path,) = identity("--input", folder / "ome_set" / "set_2.ome.tif")
    assert np.array_equal(tifffile.imread(path), frames)
    assert [name.rpartition("/")[2] for name in sorted(record["inputs"])] == [f"set_{n}.ome.tif" for n in range(4)]
    again = ("run", "identity", "--engine", "venv", "--input", folder / "ome_set")
    assert "Found: " in calm(*again).stdout
    changed = tifffile.memmap(folder / "ome_set" / "set_2.ome.tif", page=1, mode="r+")
    changed[3, 3] += 1
    changed.flush()
    plan = calm(*again)
    assert plan.returncode == 0, plan.stderr
    assert "Found: " not in plan.stdout
    assert len(list(calm.outputs.glob("identity-*/*/run.json"))) == 2


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_clear_is_refused_with_what_to_type(cases, calm, name):
    done = calm("run", "identity", "--engine", "venv", "--input", cases[0] / name, **C_LOCALE)
    assert done.returncode == 2
    for words in REFUSED[name]:
        assert words in done.stderr
    assert not calm.outputs.exists()
