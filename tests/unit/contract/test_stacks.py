"""Lazy reading and streaming writing: every TIFF flavour in, the same shape, axes and metadata out."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from contract.errors import AlgorithmFailed, JobRefused
from contract.headers import Header, create_empty, imagej_scales
from contract.memory import release
from contract.predictions import open_prediction
from contract.stacks import open_stack

DATA = Path(os.environ.get("CALM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
MOVIE = np.random.default_rng(0).integers(0, 60000, (7, 30, 41)).astype(np.uint16)

FLAVOURS = {
    "classic": {},
    "bigtiff": {"bigtiff": True},
    "big endian": {"byteorder": ">"},
    "zlib": {"compression": "zlib"},
    "lzw": {"compression": "lzw"},
    "tiled": {"tile": (16, 16)},
    "ome": {
        "ome": True,
        "metadata": {"axes": "TYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "TimeIncrement": 0.1},
    },
    "ome zlib": {"ome": True, "compression": "zlib", "metadata": {"axes": "TYX"}},
    "imagej T": {"imagej": True, "resolution": (2.0, 2.0), "metadata": {"axes": "TYX", "finterval": 0.1, "unit": "um"}},
    "imagej Z": {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 2.0}},
    "imagej zlib": {"imagej": True, "compression": "zlib", "metadata": {"axes": "TYX"}},
    "ome bigtiff Z": {"ome": True, "bigtiff": True, "metadata": {"axes": "ZYX"}},
}


def _write(path: Path, flavour: str, movie: np.ndarray = MOVIE) -> Path:
    tifffile.imwrite(path, movie, **FLAVOURS[flavour])
    return path


def _copy(source: Path, target: Path, dtype: str = "float32") -> int:
    with open_stack(source) as stack, open_prediction(target, stack, dtype) as prediction:
        for block in stack.blocks(3):
            prediction.write(block)
        return prediction.clipped_pixels


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_stack_of_any_flavour_gives_the_pixels_that_tifffile_reads_at_once(tmp_path, flavour):
    with open_stack(_write(tmp_path / "movie.tif", flavour)) as stack:
        assert stack.shape == MOVIE.shape
        assert stack.dtype == np.uint16
        assert np.array_equal(stack.frames(2, 5), MOVIE[2:5])
        assert np.array_equal(stack.memmap(tmp_path), MOVIE)


def test_decoded_copies_of_stacks_of_one_name_are_kept_apart_and_leave_no_file(tmp_path):
    (tmp_path / "job").mkdir()
    maps = []
    for number, folder in enumerate((tmp_path / "train", tmp_path / "val")):
        folder.mkdir()
        with open_stack(_write(folder / "movie.tif", "zlib", MOVIE + number)) as stack:
            maps.append(stack.memmap(tmp_path / "job"))
    assert not list((tmp_path / "job").iterdir())
    assert np.array_equal(maps[0], MOVIE)
    assert np.array_equal(maps[1], MOVIE + 1)
    assert not maps[0].flags.writeable


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_prediction_has_the_shape_axes_and_order_of_its_input(tmp_path, flavour):
    source = _write(tmp_path / "movie.tif", flavour)
    _copy(source, tmp_path / "prediction.tif")
    with open_stack(source) as noisy, open_stack(tmp_path / "prediction.tif") as prediction:
        assert prediction.dtype == np.float32
        assert prediction.axes == noisy.axes
        assert prediction.stored_shape == noisy.stored_shape
        assert np.array_equal(prediction.frames(0, 7), MOVIE.astype(np.float32))


def test_frames_written_one_by_one_with_metadata_of_their_own_are_one_movie(tmp_path):
    with tifffile.TiffWriter(tmp_path / "movie.tif") as writer:
        for frame in MOVIE:
            writer.write(frame)
    with open_stack(tmp_path / "movie.tif") as stack:
        assert np.array_equal(stack.frames(0, 7), MOVIE)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_every_supported_dtype_is_read_and_can_be_kept(tmp_path, dtype, compression):
    movie = (MOVIE % 200).astype(dtype)
    movie -= 100 if dtype in ("int16", "float32") else 0  # an offset may be negative
    tifffile.imwrite(tmp_path / "movie.tif", movie, compression=compression)
    _copy(tmp_path / "movie.tif", tmp_path / "prediction.tif", "input")
    assert tifffile.imread(tmp_path / "prediction.tif").dtype == dtype
    assert np.array_equal(tifffile.imread(tmp_path / "prediction.tif"), movie)


def test_a_single_image_keeps_its_two_axes(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", MOVIE[0])
    _copy(tmp_path / "image.tif", tmp_path / "prediction.tif")
    assert tifffile.imread(tmp_path / "prediction.tif").shape == MOVIE[0].shape


def test_ome_metadata_survive_with_the_pixel_type_of_the_prediction(tmp_path):
    _copy(_write(tmp_path / "movie.tif", "ome"), tmp_path / "prediction.tif")
    with tifffile.TiffFile(tmp_path / "prediction.tif") as tiff:
        assert tiff.is_ome
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    assert pixels["PhysicalSizeX"] == 0.5
    assert pixels["TimeIncrement"] == 0.1
    assert pixels["Type"] == "float"


def test_imagej_metadata_and_resolution_survive(tmp_path):
    _copy(_write(tmp_path / "movie.tif", "imagej T"), tmp_path / "prediction.tif")
    with tifffile.TiffFile(tmp_path / "prediction.tif") as tiff:
        assert tiff.imagej_metadata["finterval"] == 0.1
        assert tiff.imagej_metadata["frames"] == 7
        assert tiff.pages.first.tags["XResolution"].value == (2, 1)


def test_rate_and_pixel_size_of_an_imagej_movie_survive_beyond_4_gigabytes(tmp_path):
    properties, resolution = {"finterval": 0.1, "unit": "um"}, ((2, 1), (4, 1))
    header = Header(
        flavour="imagej",
        axes="TYX",
        shape=(4200, 512, 512),
        properties=properties,
        resolution=resolution,
        scales=imagej_scales(properties, resolution),
    )
    create_empty(tmp_path / "p.tif", header, np.dtype(np.float32))  # a file of holes
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        assert tiff.series[0].shape == (4200, 512, 512)
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    assert pixels["TimeIncrement"] == 0.1
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeY"]) == (0.5, 0.25)


def test_values_outside_the_input_dtype_are_rounded_clipped_and_counted_never_wrapped(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", MOVIE[:2])
    values = np.full((2, 30, 41), 1.5)
    values[0, 0, :3] = (-4.0, 70000.0, 2.5)
    with open_stack(tmp_path / "movie.tif") as stack:
        with open_prediction(tmp_path / "p.tif", stack, "input") as prediction:
            prediction.write(values)
        assert prediction.clipped_pixels == 2
    written = tifffile.imread(tmp_path / "p.tif")
    assert written[0, 0, :4].tolist() == [0, 65535, 2, 2]  # halves go to the even neighbour


def test_the_same_prediction_has_the_same_bytes_twice(tmp_path):
    for flavour in FLAVOURS:
        source = _write(tmp_path / "movie.tif", flavour)
        _copy(source, tmp_path / "one.tif")
        _copy(source, tmp_path / "two.tif")
        assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "two.tif").read_bytes(), flavour


def test_an_incomplete_prediction_leaves_no_file(tmp_path):
    source = _write(tmp_path / "movie.tif", "classic")
    with open_stack(source) as stack, pytest.raises(AlgorithmFailed, match="expected 7 frames, got 2"):
        with open_prediction(tmp_path / "p.tif", stack) as prediction:
            prediction.write(stack.frames(0, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["movie.tif"]


def test_nan_in_a_prediction_is_refused_with_the_frame(tmp_path):
    source = _write(tmp_path / "movie.tif", "classic")
    values = MOVIE.astype(np.float32)
    values[3, 1, 1] = np.nan
    with open_stack(source) as stack, pytest.raises(AlgorithmFailed, match="frame 3"):
        with open_prediction(tmp_path / "p.tif", stack) as prediction:
            prediction.write(values)


@pytest.mark.parametrize("flavour", ["classic", "bigtiff", "zlib", "ome", "imagej T"])
def test_a_truncated_file_never_gives_fewer_frames(tmp_path, flavour):
    whole = _write(tmp_path / "movie.tif", flavour).read_bytes()
    cut = tmp_path / "cut.tif"
    for size in (1, 4, 9, 100, 300, len(whole) // 3, len(whole) // 2, len(whole) - 600, len(whole) - 1):
        cut.write_bytes(whole[:size])
        try:
            with open_stack(cut) as stack:
                assert np.array_equal(stack.frames(0, 7), MOVIE)  # only bytes after the pixels are gone
        except JobRefused:
            pass


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda _: None, "got nothing"),
        (lambda path: path.touch(), "got an empty file"),
        (lambda path: path.mkdir(), "got a folder"),
        (lambda path: path.write_bytes(b"not a tiff at all"), "cannot be read"),
        (lambda path: tifffile.imwrite(path, np.zeros((5, 6, 3), np.uint8), photometric="rgb"), "colour image"),
        (
            lambda path: tifffile.imwrite(path, np.zeros((3, 4, 5, 6), np.uint16), photometric="minisblack"),
            "one axis besides Y and X",
        ),
        (
            lambda path: tifffile.imwrite(path, np.zeros((3, 5, 6), np.float64), photometric="minisblack"),
            "expected dtype",
        ),
    ],
)
def test_what_is_no_grey_movie_is_refused_in_one_sentence(tmp_path, make, sentence):
    path = tmp_path / "movie.tif"
    make(path)
    with pytest.raises(JobRefused, match=sentence):
        open_stack(path)


def test_axes_of_length_one_are_ignored_and_kept(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", MOVIE[:, None], metadata={"axes": "TCYX"})
    _copy(tmp_path / "movie.tif", tmp_path / "p.tif")
    assert tifffile.imread(tmp_path / "p.tif", squeeze=False).shape == (7, 1, 30, 41)


@pytest.mark.skipif(not DATA.exists(), reason=f"no test movies in {DATA}")
@pytest.mark.parametrize(
    "name", ["ca2p_neurofinder_test", "ca1p_miniscope_wireless", "ca_astro_sample_1", "cidc25_A1_stack_000_009"]
)
def test_real_movies_come_back_pixel_for_pixel(tmp_path, name):
    source = DATA / f"{name}.tif"
    _copy(source, tmp_path / "p.tif")
    assert np.array_equal(tifffile.imread(tmp_path / "p.tif"), tifffile.imread(source).astype(np.float32))


COPY = """
import sys
from pathlib import Path
from contract.stacks import open_stack
from contract.headers import Header, create_empty, imagej_scales
from contract.memory import release
from contract.predictions import open_prediction
from contract.result import _peak_memory_bytes as peak_memory_bytes
with open_stack(Path(sys.argv[1])) as stack, open_prediction(Path(sys.argv[2]), stack) as prediction:
    for block in stack.blocks(16):
        prediction.write(block)
print(peak_memory_bytes())
"""


@pytest.mark.slow
def test_copying_a_movie_larger_than_memory_needs_little_memory(tmp_path):
    """512 MiB of address space beside the interpreter's own, a movie of 420 MB in and 840 MB out."""
    with tifffile.TiffWriter(tmp_path / "movie.tif") as writer:
        writer.write(shape=(3200, 256, 256), dtype="uint16")
    done = subprocess.run(
        [sys.executable, "-c", COPY, str(tmp_path / "movie.tif"), str(tmp_path / "p.tif")],
        capture_output=True,
        text=True,
        check=True,
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": os.defpath},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (768 * 2**20, 768 * 2**20)),
    )
    assert int(done.stdout) < 160 * 2**20  # interpreter, numpy, tifffile and one block of 16 frames


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells mapped memory from /proc, as Linux does")
def test_pages_of_a_mapped_movie_are_given_back_and_read_again(tmp_path):
    frames = np.random.default_rng(0).integers(0, 99, (64, 512, 512), np.uint16)
    tifffile.imwrite(tmp_path / "movie.tif", frames)
    with open_stack(tmp_path / "movie.tif") as stack:
        movie = stack.memmap(tmp_path)
        before = _mapped_kib()
        assert int(movie.sum()) == int(frames.sum())
        assert _mapped_kib() > before + frames.nbytes / 2048  # half of it at least
        release(movie)
        assert _mapped_kib() < before + frames.nbytes / 8192
        assert (movie[-1] == frames[-1]).all()
    release(frames)  # that is not mapped


def _mapped_kib():
    text = Path("/proc/self/status").read_text()
    return int(text.partition("RssFile:")[2].split()[0])
