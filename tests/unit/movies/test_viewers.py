"""What calm writes, opened by the readers that people use: Bio-Formats and ImageJ, which are Fiji's, and napari."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
from recordings import FRAMES, block, ome_set, ome_xml, pages, scanimage

from contract.headers import Header, Scales
from contract.predictions import write_stack
from orchestrator.data.exports import export

VIEWERS = Path("/usr/local/lib/calm-viewers")  # as provision/viewers.sh lays it
JARS = {
    "OpenWithBioFormats": VIEWERS / "bioformats_package.jar",
    "OpenWithImageJ": Path("/usr/share/java/ij.jar"),
}
NAPARI = """
import sys
import numpy as np
from napari_builtins.io import napari_get_reader
for movie, pixels in zip(sys.argv[1::2], sys.argv[2::2]):
    ((data, *_),) = napari_get_reader(movie)(movie)
    np.save(pixels, np.asarray(data))
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def viewers():
    missing = [str(one) for one in (*JARS.values(), VIEWERS / "napari" / "complete") if not one.exists()]
    if missing:
        reason = f"{', '.join(missing)} not installed; tests/engines/provision/viewers.sh installs them"
        required = "viewers" in os.environ.get("REQUIRE_ENGINES", "").split(",")
        (pytest.fail if required else pytest.skip)(reason)


def _opened_by_java(program, movies, folder):
    """Return what a program says of movies, one list of words each, and their pixels as bytes."""
    targets = [folder / f"{index}.raw" for index in range(len(movies))]
    pairs = [str(one) for pair in zip(movies, targets, strict=True) for one in pair]
    source = Path(__file__).parent / "java" / f"{program}.java"
    command = ["java", "-Djava.awt.headless=true", "-cp", JARS[program], source, *pairs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()], [target.read_bytes() for target in targets]


@pytest.fixture
def written(tmp_path, through_identity):
    """Return predictions of movies of every flavour, with rate and pixel size where the movie states them."""
    scales = 'PhysicalSizeX="0.5" PhysicalSizeY="250" PhysicalSizeYUnit="nm" TimeIncrement="50" TimeIncrementUnit="ms"'
    (tmp_path / "set").mkdir()
    movies = {
        "OME": pages(tmp_path / "ome.ome.tif", FRAMES, ome_xml(FRAMES, sizes=(12, 1, 1), scales=scales)),
        "OME that counts fewer": pages(tmp_path / "fewer.ome.tif", FRAMES, ome_xml(FRAMES, sizes=(8, 1, 1))),
        "OME set": ome_set(tmp_path / "set", FRAMES)[2],
        "ScanImage": scanimage(tmp_path / "si.tif", FRAMES, {"hRoiManager.scanFrameRate": 20}),
        "plain": block(tmp_path / "plain.tif", FRAMES, ""),
    }
    return {name: through_identity(path)[2] for name, path in movies.items()}


@pytest.mark.usefixtures("viewers")
def test_bio_formats_reads_every_frame_and_scale_of_our_ome_files_and_finds_their_xml_valid(tmp_path, written):
    ours = {name: path for name, path in written.items() if name != "plain"}
    said, pixels = _opened_by_java("OpenWithBioFormats", list(ours.values()), tmp_path)
    scales = {"OME": [0.05, 0.25, 0.5], "OME set": [0.05], "ScanImage": [0.05]}
    for name, words, data in zip(ours, said, pixels, strict=True):
        shape, found, kind = words[:5], words[5:8], words[8:]
        assert shape == ["1", "1", "12", "40", "48"], name
        assert [float(one) for one in found if one != "null"] == pytest.approx(scales.get(name, [])), name
        assert kind == ["OME-TIFF", "float", "true"], name
        assert np.array_equal(np.frombuffer(data, "<f4").reshape(FRAMES.shape), FRAMES), name


@pytest.mark.usefixtures("viewers")
def test_imagej_reads_predictions_and_exports_for_it_with_every_frame_and_scale(tmp_path, through_identity):
    options = {"imagej": True, "resolution": (2.0, 4.0), "metadata": {"axes": "TYX", "finterval": 0.05, "unit": "um"}}
    tifffile.imwrite(tmp_path / "ij.tif", FRAMES, **options)
    header = Header(flavour="ome", axes="TYX", shape=FRAMES.shape, scales=Scales(interval_s=0.05, pixel_um=(0.25, 0.5)))
    with write_stack(tmp_path / "ome.tif", header, np.dtype("float32")) as stack:
        stack.write(FRAMES.astype(np.float32))
    movies = [through_identity(tmp_path / "ij.tif")[2], export(tmp_path / "ome.tif", "imagej", tmp_path / "out")]
    said, pixels = _opened_by_java("OpenWithImageJ", movies, tmp_path)
    for words, data in zip(said, pixels, strict=True):
        assert words[:5] == ["1", "1", "12", "40", "48"]
        assert [float(one) for one in words[5:8]] == pytest.approx([0.05, 0.25, 0.5])
        assert words[8] == "um"
        assert np.array_equal(np.frombuffer(data, ">f4").reshape(FRAMES.shape), FRAMES)


@pytest.mark.usefixtures("viewers")
def test_napari_reads_every_frame_of_every_flavour(tmp_path, written):
    targets = [tmp_path / f"{index}.npy" for index in range(len(written))]
    pairs = [str(one) for pair in zip(written.values(), targets, strict=True) for one in pair]
    python = VIEWERS / "napari" / "bin" / "python"
    done = subprocess.run([python, "-c", NAPARI, *pairs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, target in zip(written, targets, strict=True):
        assert np.array_equal(np.load(target), FRAMES), name
