"""Movies without structure, without light left, or without sense are named before anything is trained."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tifffile

from contract.errors import JobRefused
from contract.stacks import open_stack
from orchestrator.errors import BadInput

MOVIE = np.random.default_rng(3).poisson(100, (40, 24, 26)).astype(np.uint16)
TAGS = {"StripOffsets": 273, "StripByteCounts": 279, "ImageLength": 257, "ImageWidth": 256, "RowsPerStrip": 278}


def _rewrite(path, page, name, value):
    """Write another value into a directory of a little-endian classic TIFF."""
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.get(page, aspage=True).tags[TAGS[name]]
        where = tag.valueoffset
    data = bytearray(path.read_bytes())
    struct.pack_into("<I" if tag.dtype == tifffile.DATATYPE.LONG else "<H", data, where, value)
    path.write_bytes(data)


@pytest.mark.parametrize("tag", ["StripOffsets", "StripByteCounts"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_strip_without_bytes_is_named_and_not_read_as_black(describe, tmp_path, tag, compression):
    path = tmp_path / "sparse.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in MOVIE[:6]:
            writer.write(frame, compression=compression, metadata=None)
    _rewrite(path, 3, tag, 0)
    with pytest.raises(BadInput, match=r"sparse\.tif.*(without bytes|truncated)"):
        describe(path)
    with pytest.raises(JobRefused, match=r"sparse\.tif.*(without bytes|strips|truncated)"), open_stack(path) as stack:
        stack.frames(0, 6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_movie_of_one_grey_value_is_refused(describe, tmp_path, dtype, compression):
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, np.full((40, 24, 26), 7, dtype), compression=compression)
    with pytest.raises(BadInput, match=r"grey\.tif: expected a movie with structure, got one grey value, 7"):
        describe(path)


def test_one_other_pixel_anywhere_is_structure(describe, tmp_path):
    path, movie = tmp_path / "nearly.tif", np.full((40, 24, 26), 7, np.uint16)
    movie[9, 3, 3] = 8  # between the frames that are looked at first
    tifffile.imwrite(path, movie)
    assert describe(path).notes == ()


@pytest.mark.parametrize("limit", [255, 4095, 65535])
def test_a_saturated_movie_is_named_with_its_share(describe, tmp_path, limit):
    path = tmp_path / "bright.tif"
    movie = np.minimum(np.random.default_rng(1).normal(limit * 0.9, limit * 0.1, MOVIE.shape), limit).astype(np.uint16)
    tifffile.imwrite(path, movie)
    (note,) = describe(path).notes
    assert note.startswith("bright.tif: 1")  # 16 % of a normal distribution lie beyond one standard deviation
    assert f"of its values are the highest one, {limit}: the detector was saturated there." in note


@pytest.mark.parametrize("mean", [0.1, 1, 100])
def test_a_movie_of_few_or_many_photons_is_not_called_saturated(describe, tmp_path, mean):
    path = tmp_path / "photons.tif"
    tifffile.imwrite(path, np.random.default_rng(1).poisson(mean, (40, 48, 50)).astype(np.uint8))
    assert describe(path).notes == ()


def test_more_pixels_than_the_bytes_of_a_file_can_hold_are_refused_at_once(describe, tmp_path):
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, np.zeros((5, 24, 26), np.uint16), compression="zlib", metadata=None)
    for page in range(5):
        for tag in ("ImageLength", "ImageWidth", "RowsPerStrip"):
            _rewrite(path, page, tag, 15_000)
    with pytest.raises(BadInput, match=r"bomb\.tif: expected at most 10000 bytes of pixels for each byte of its files"):
        describe(path)


def test_a_frame_larger_than_any_detector_is_refused(describe, tmp_path):
    path = tmp_path / "wide.tif"
    tifffile.imwrite(path, np.zeros((5, 24, 26), np.uint16), compression="zlib", metadata=None)
    for page in range(5):
        for tag in ("ImageLength", "ImageWidth", "RowsPerStrip"):
            _rewrite(path, page, tag, 60_000)
    with pytest.raises(BadInput, match=r"wide\.tif: expected frames of at most 1 GiB, got \(60000, 60000\) uint16"):
        describe(path)
