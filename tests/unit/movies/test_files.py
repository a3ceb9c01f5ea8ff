"""Recordings in several files: one movie, all files in key and checksums, and a file that is amiss is noticed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from recordings import FRAMES, block, ome_set, ome_xml, pages, scanimage

from orchestrator.algorithms.folders import load_algorithms
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import input_source
from orchestrator.data.stacks import make_stacks
from orchestrator.domain import Image
from orchestrator.errors import BadInput
from orchestrator.paths import layout
from orchestrator.records.record import Choice
from orchestrator.runs.plan import make_plan
from orchestrator.runs.settings import Settings

SPLIT = {
    "hChannels.channelSave": "[1;2]",
    "hStackManager.framesPerSlice": 1000,
    "hRoiManager.scanFrameRate": 30.0,
    "hScan2D.logFramesPerFile": 5,
}


def _numbered(folder, movie, name="img_{}.tif", each=1, first=8):
    """Write files whose numbers pass from one digit to two."""
    folder.mkdir(exist_ok=True)
    for index, start in enumerate(range(0, len(movie), each)):
        tifffile.imwrite(folder / name.format(index + first), movie[start : start + each], photometric="minisblack")
    return folder


def _source(tmp_path, *inputs, **choice):
    home = replace(layout(), home=tmp_path / "home")
    home.home.mkdir(exist_ok=True)
    return input_source(list(inputs), Choice(**choice), home)


@pytest.mark.parametrize("named", ["folder", "pattern"])
@pytest.mark.parametrize("each", [1, 3])
def test_numbered_files_are_one_movie_in_the_order_of_their_numbers(tmp_path, through_identity, named, each):
    folder = _numbered(tmp_path / "recording", FRAMES, each=each)
    (folder / "notes.txt").touch()
    recording, pixels, _ = through_identity(folder if named == "folder" else folder / "img_*.tif")
    assert np.array_equal(pixels, FRAMES)
    assert [part.planes for part in recording.parts] == [each] * (12 // each)
    assert len(recording.files) == 12 // each


@pytest.mark.parametrize("named", [0, 2, "folder"])
def test_a_set_that_metadata_join_is_one_movie_by_whichever_file_it_is_named(tmp_path, through_identity, named):
    folder = tmp_path / "set"
    folder.mkdir()
    paths = ome_set(folder, FRAMES)
    recording, pixels, target = through_identity(folder if named == "folder" else paths[named])
    assert np.array_equal(pixels, FRAMES)
    assert recording.files == tuple(paths)
    assert recording.frame_rate_hz.value == pytest.approx(20)
    assert target.name == "set_0.ome.tif"


def test_files_of_one_recording_that_are_named_one_by_one_count_once(tmp_path):
    source = _source(tmp_path, *ome_set(tmp_path, FRAMES))
    assert len(source.movies) == 1
    assert next(iter(source.recordings.values())).shape[0] == 12


def test_a_changed_pixel_of_any_file_makes_another_stack(tmp_path, describe):
    paths = ome_set(tmp_path, FRAMES)
    before = describe(paths[0])
    changed = FRAMES.copy()
    changed[7, 3, 3] += 1
    ome_set(tmp_path, changed)
    assert describe(paths[0]).stack != before.stack


def test_a_plan_has_every_file_in_its_key_and_the_one_stack_among_the_inputs_of_its_jobs(tmp_path):
    paths = ome_set(tmp_path, FRAMES)
    image = Image(
        algorithm="mean", variant="cpu", digest="d" * 64, lock=tmp_path, wheelhouse=tmp_path, context=tmp_path
    )

    def plan():
        source = _source(tmp_path, paths[1])
        return make_plan(
            load_algorithms(layout().containers)["mean"],
            image,
            source=source,
            settings=Settings(preset="default", overrides={}, seed=1, threads=1),
            layout=replace(layout(), outputs=tmp_path / "outputs"),
            checksums=Checksums(tmp_path / "sums.json"),
        )

    before = plan()
    assert [name.rpartition("/")[2] for name in before.inputs] == [path.name for path in paths]
    (stack,) = before.source.recordings
    assert before.job("predict", "train").inputs.noisy == (stack,)
    changed = FRAMES.copy()
    changed[7, 3, 3] += 1
    ome_set(tmp_path, changed)
    assert plan().key != before.key


def test_a_missing_file_of_a_set_is_named(tmp_path, describe):
    paths = ome_set(tmp_path, FRAMES)
    paths[2].unlink()
    for named in (paths[0], paths[3]):
        with pytest.raises(BadInput, match=r"expected 4 files of one recording.*got no set_2.ome.tif"):
            describe(named)


def test_an_extra_file_beside_a_set_is_named_where_the_folder_is_given(tmp_path, describe):
    folder = tmp_path / "set"
    folder.mkdir()
    ome_set(folder, FRAMES)
    tifffile.imwrite(folder / "set_4.ome.tif", FRAMES[:3], photometric="minisblack")
    with pytest.raises(BadInput, match=r"expected the 4 files that set_0.ome.tif names, got set_4.ome.tif"):
        describe(folder)


def test_a_missing_number_is_named(tmp_path, describe):
    folder = _numbered(tmp_path / "recording", FRAMES)
    (folder / "img_11.tif").unlink()
    with pytest.raises(BadInput, match="got none of number 11"):
        describe(folder)


@pytest.mark.parametrize(
    ("name", "counted"), [("rec_Ch{}.tif", "channels"), ("rec_z{}.tif", "planes"), ("rec_Pos{}.tif", "positions")]
)
def test_files_numbered_by_something_else_than_time_are_not_lined_up(tmp_path, describe, name, counted):
    folder = _numbered(tmp_path / "recording", FRAMES, name, each=6, first=1)
    with pytest.raises(BadInput, match=f"got 2 {counted}") as caught:
        describe(folder)
    assert name.format(1) in caught.value.hint


def test_a_folder_with_two_recordings_names_both_as_patterns(tmp_path, describe):
    folder = _numbered(tmp_path / "recording", FRAMES)
    _numbered(folder, FRAMES, "dark_{}.tif")
    with pytest.raises(BadInput, match=r"2 kinds of names: 'dark_\*.tif' \(12\), 'img_\*.tif' \(12\)"):
        describe(folder)


def test_one_of_many_numbered_files_says_how_to_give_them_all(tmp_path):
    folder = _numbered(tmp_path / "recording", FRAMES)
    with pytest.raises(BadInput, match="at least 2 frames, got 1") as caught:
        _source(tmp_path, folder / "img_9.tif")
    assert f"--input '{folder}/img_*.tif'" in caught.value.hint


def test_an_empty_folder_and_a_pattern_without_a_match_say_what_to_type(tmp_path, describe):
    (tmp_path / "empty").mkdir()
    for given in (tmp_path / "empty", tmp_path / "none_*.tif"):
        with pytest.raises(BadInput, match="got no TIFF file") as caught:
            describe(given)
        assert "movie_*.tif" in caught.value.hint


def test_files_of_different_frames_are_refused_with_both(tmp_path, describe):
    folder = _numbered(tmp_path / "recording", FRAMES)
    tifffile.imwrite(folder / "img_20.tif", FRAMES[0, :20])
    with pytest.raises(BadInput, match=r"img_8.tif and img_20.tif of different kinds"):
        describe(folder)


def test_a_recording_of_scanimage_that_is_split_within_a_pair_of_channels_is_joined_first(tmp_path, through_identity):
    folder = tmp_path / "split"
    folder.mkdir()
    for index, start in enumerate(range(0, 12, 5)):
        scanimage(folder / f"rec_00001_{index + 1:05}.tif", FRAMES[start : start + 5], SPLIT)
    _, pixels, _ = through_identity(folder, channel=2)
    assert np.array_equal(pixels, FRAMES[1::2])


def test_one_file_of_a_split_recording_is_a_movie_and_says_what_it_is(tmp_path, through_identity):
    path = scanimage(tmp_path / "rec_00001.tif", FRAMES[:6], {**SPLIT, "hChannels.channelSave": 1})
    recording, pixels, _ = through_identity(path)
    assert np.array_equal(pixels, FRAMES[:6])
    assert "a file ends after 5 frames" in recording.notes[0]


def test_pages_in_a_file_each_that_one_of_them_describes_are_found_by_any_of_them(tmp_path, through_identity):
    """As Bruker's PrairieView writes: the first file holds the OME-XML, the others name it."""
    names = [f"TSeries_Cycle00001_Ch2_{index + 1:06}.ome.tif" for index in range(12)]
    body = "".join(
        f'<TiffData IFD="0" FirstT="{index}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{index}</UUID></TiffData>'
        for index, name in enumerate(names)
    )
    space = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
    master = ome_xml(FRAMES, sizes=(12, 1, 1), body=body, uuid='UUID="urn:uuid:0"')
    stub = f'<?xml version="1.0"?><OME {space}><BinaryOnly MetadataFile="{names[0]}" UUID="urn:uuid:0"/></OME>'
    for index, name in enumerate(names):
        pages(tmp_path / name, FRAMES[index : index + 1], master if index == 0 else stub)
    for named in (0, 7):
        recording, found, _ = through_identity(tmp_path / names[named])
        assert np.array_equal(found, FRAMES)
        assert len(recording.parts) == 12


def test_a_stack_is_made_once_and_again_where_the_cache_was_deleted(tmp_path, describe):
    recording = describe(_numbered(tmp_path / "recording", FRAMES))
    said = []
    for _ in range(2):
        make_stacks([recording], said.append)
    assert len(said) == 1
    recording.stack.unlink()
    make_stacks([recording], said.append)
    assert len(said) == 2


def test_movies_that_differ_in_what_their_axes_are_called_run_together(tmp_path):
    block(tmp_path / "a.tif", FRAMES, "ImageJ=1.53t\nimages=12\nframes=12\nfinterval=0.05")
    tifffile.imwrite(tmp_path / "b.tif", FRAMES, photometric="minisblack")
    tifffile.imwrite(tmp_path / "c.tif", FRAMES[:, None], photometric="minisblack", metadata={"axes": "ZCYX"})
    source = _source(tmp_path, *(tmp_path / f"{name}.tif" for name in "abc"))
    assert len(source.movies) == 3
    assert source.frame_rate_hz == 20


def test_movies_of_different_rates_are_refused_with_both(tmp_path):
    for name, interval_s in (("a", 0.05), ("b", 0.1)):
        text = f"ImageJ=1.53t\nimages=12\nframes=12\nfinterval={interval_s}"
        block(tmp_path / f"{name}.tif", FRAMES, text)
    both = (tmp_path / "a.tif", tmp_path / "b.tif")
    with pytest.raises(BadInput, match=r"got 20 Hz \(a.tif\) and 10 Hz \(b.tif\)"):
        _source(tmp_path, *both)
    assert _source(tmp_path, *both, frame_rate_hz=15.0).frame_rate_hz == 15
