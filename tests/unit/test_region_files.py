"""Regions in the forms of four programs, and files that are none of them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import roifile
import tifffile

from orchestrator.errors import BadInput
from orchestrator.paths import RunFolder
from orchestrator.records.regions import keep_regions, kept_regions, read_regions

SHAPE = (10, 20, 30)
SQUARE = [[y, x] for y in (4, 5, 6) for x in (10, 11, 12)]
CORNER = [[0, 0], [0, 1]]


def _neurofinder(folder):
    path = folder / "regions.json"
    path.write_text(json.dumps([{"coordinates": SQUARE}, {"id": 7, "coordinates": CORNER}]))
    return path


def _suite2p(folder, *, cells=(1, 1)):
    stat = [{"ypix": np.array(one)[:, 0], "xpix": np.array(one)[:, 1], "npix": np.int64(3)} for one in (SQUARE, CORNER)]
    np.save(folder / "stat.npy", np.array(stat, object), allow_pickle=True)
    np.save(folder / "iscell.npy", np.array([[one, 0.5] for one in cells]))
    return folder / "stat.npy"


def _imagej(folder):
    square = roifile.ImagejRoi.frompoints([[10, 4], [13, 4], [13, 7], [10, 7]], name="square")
    corner = roifile.ImagejRoi.frompoints([[0, 0], [2, 0], [2, 1], [0, 1]], name="corner")
    roifile.roiwrite(folder / "RoiSet.zip", [square, corner])
    return folder / "RoiSet.zip"


def _labels(folder):
    labels = np.zeros(SHAPE[1:], np.uint16)
    for number, pixels in ((3, SQUARE), (9, CORNER)):
        labels[tuple(np.array(pixels).T)] = number
    tifffile.imwrite(folder / "labels.tif", labels)
    return folder / "labels.tif"


@pytest.mark.parametrize(
    ("write", "names"),
    [
        (_neurofinder, ("1", "7")),
        (_suite2p, ("0", "1")),
        (_imagej, ("square", "corner")),
        (_labels, ("3", "9")),
    ],
)
def test_every_form_gives_the_same_pixels_and_its_own_names(tmp_path, write, names):
    found = read_regions(write(tmp_path), SHAPE)
    assert found.names == names
    assert [one.tolist() for one in found.pixels] == [SQUARE, CORNER]
    assert found.middles.tolist() == [[5, 11], [0, 0]]


def test_what_suite2p_calls_no_cell_is_left_out(tmp_path):
    assert read_regions(_suite2p(tmp_path, cells=(0, 1)), SHAPE).names == ("1",)


class _Runs:
    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)


def test_code_in_a_stat_file_is_refused_and_never_run(tmp_path):
    np.save(tmp_path / "stat.npy", np.array([_Runs(tmp_path / "ran")], object), allow_pickle=True)
    with pytest.raises(BadInput, match=r"expected a stat\.npy of plain arrays, got one that asks for posix\.mkdir"):
        read_regions(tmp_path / "stat.npy", SHAPE)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("regions.csv", b"", "expected a name that ends in .json"),
        ("regions.json", b"[]", "expected regions, got none"),
        ("regions.json", b"{", "a file that cannot be read"),
        ("regions.json", b'[{"coordinates": [[4, 99]]}]', "within 20 x 30 in each region"),
        ("regions.json", b'[{"coordinates": [[0.5, 1]]}]', "expected whole numbers"),
        ("stat.npy", b"no array", "a file that cannot be read"),
        ("set.zip", b"no archive", "a file that cannot be read"),
        ("labels.tif", b"no picture", "got one that cannot be read"),
    ],
)
def test_a_file_that_holds_no_regions_of_this_movie_is_refused(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_regions(tmp_path / name, SHAPE)
    assert told in caught.value.message


def test_regions_of_one_name_are_told_apart_and_none_is_lost(tmp_path):
    path = tmp_path / "regions.json"
    path.write_text(json.dumps([{"id": "soma", "coordinates": one} for one in (SQUARE, CORNER)]))
    assert read_regions(path, SHAPE).names == ("soma", "soma (2)")


def test_regions_kept_with_a_run_are_the_regions_that_were_read(tmp_path):
    folder = RunFolder(path=tmp_path)
    assert kept_regions(folder) is None
    given = read_regions(_imagej(tmp_path), SHAPE)
    keep_regions(folder, given)
    kept = kept_regions(folder)
    assert (kept.origin, kept.names) == (given.origin, given.names)
    assert [one.tolist() for one in kept.pixels] == [one.tolist() for one in given.pixels]


def test_damaged_regions_of_a_run_are_named_with_what_to_do(tmp_path):
    folder = RunFolder(path=tmp_path)
    folder.regions.write_text('{"origin": "x", "regions": [{"name": "1", "pixels": [[1, 2, 3]]}]}')
    with pytest.raises(BadInput, match=r"regions\.json") as told:
        kept_regions(folder)
    assert "give --regions again" in told.value.hint
