"""Damaged TIFF files: refused in one sentence, or equal pixels; never a traceback, never fewer frames."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tifffile
from recordings import FRAMES, block, ome_xml, pages, scanimage

from contract.stacks import open_stack
from orchestrator.data.checksums import Checksums
from orchestrator.data.inspect import Inspector
from orchestrator.data.stacks import make_stacks
from orchestrator.errors import BadInput
from orchestrator.records.record import Choice

SMALL = FRAMES[:, :16, :20]
FILES = {
    "ImageJ": lambda path: block(path, SMALL, "ImageJ=1.53t\nimages=12\nframes=12"),
    "plain": lambda path: tifffile.imwrite(path, SMALL, photometric="minisblack") or path,
    "compressed": lambda path: tifffile.imwrite(path, SMALL, photometric="minisblack", compression="zlib") or path,
    "OME": lambda path: pages(path, SMALL, ome_xml(SMALL, sizes=(12, 1, 1))),
    "BigTIFF of ScanImage": lambda path: scanimage(path, SMALL, {"hStackManager.framesPerSlice": 12}),
}
EACH = 100


def _directories(data):
    """Return the places of all bytes of a TIFF that belong to header and directories."""
    big = struct.unpack_from("<H", data, 2)[0] == 43
    word, entry, count = ("<Q", 20, "<Q") if big else ("<I", 12, "<H")
    places = list(range(4, 16 if big else 8))
    (where,) = struct.unpack_from(word, data, 8 if big else 4)
    while where:
        (entries,) = struct.unpack_from(count, data, where)
        end = where + struct.calcsize(count) + entries * entry
        places += range(where, end + struct.calcsize(word))
        (where,) = struct.unpack_from(word, data, end)
    return places


def _read(path, folder):
    """Return the frames of a movie as a job reads them."""
    recording = Inspector(stacks=folder / "stacks", checksums=Checksums(folder / "sums.json")).describe(path, Choice())
    make_stacks([recording], lambda _: None)
    with open_stack(recording.stack, recording.axes) as stack:
        return stack.frames(0, stack.shape[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_random_damage_to_directories_gives_a_refusal_or_the_same_pixels(tmp_path, kind):
    whole = FILES[kind](tmp_path / "whole.tif").read_bytes()
    places, rng = _directories(whole), np.random.default_rng(7)
    path, outcomes = tmp_path / "damaged.tif", {"same": 0, "refused": 0}
    for number in range(EACH):
        data = bytearray(whole)
        for place in rng.choice(places, rng.integers(1, 4), replace=False):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            pixels = _read(path, tmp_path)
        except BadInput:
            outcomes["refused"] += 1
            continue
        assert pixels.dtype == (np.int16 if "ScanImage" in kind else np.uint16), number
        assert np.array_equal(pixels, SMALL), number
        outcomes["same"] += 1
    assert BadInput.exit_code == 2
    assert outcomes["refused"] > 0
    assert outcomes["same"] > 0


@pytest.mark.parametrize("kind", [*FILES, "pages alone"])
def test_a_chain_of_pages_that_breaks_off_is_refused_and_never_gives_fewer_frames(tmp_path, kind):
    write = FILES.get(kind, lambda path: pages(path, SMALL, ""))
    path = write(tmp_path / "movie.tif")
    with tifffile.TiffFile(path) as tiff:
        following = tiff.pages.get(4, aspage=True).offset
    data, size = bytearray(path.read_bytes()), 8 if kind.startswith("BigTIFF") else 4
    at = data.index(following.to_bytes(size, "little"), 2 * size)
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 4
    with pytest.raises(BadInput, match=r"expected (12 frames|4 pages)"):
        _read(path, tmp_path)


@pytest.mark.parametrize("size", [1, 4, 9, 100, 300, 5000])
@pytest.mark.parametrize("kind", FILES)
def test_a_truncated_file_is_refused(tmp_path, describe, kind, size):
    path = FILES[kind](tmp_path / "movie.tif")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BadInput):
        describe(path)
