"""The reader of runs for napari: its layers, and the same in napari itself where that is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from run_records import JOB, write_run

from orchestrator.paths import RunFolder
from orchestrator.records.regions import Regions, keep_regions

EXTRA = Path(__file__).parents[2] / "extras" / "napari-calm"
NAPARI = Path("/usr/local/lib/calm-viewers/napari/bin/python")  # as tests/engines/provision/viewers.sh lays it
FRAMES = np.random.default_rng(0).poisson(50, (12, 20, 30)).astype(np.uint16)
PIXELS = np.array([[3, 4], [3, 5]])
OPENED = """
import sys
import numpy as np
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest
manifest = PluginManifest.from_file(sys.argv[1])
PluginManager.instance().register(manifest)
viewer = ViewerModel()
viewer.open(sys.argv[2], plugin=manifest.name)
for layer in viewer.layers:
    print(layer.name, layer.ndim, *(round(float(one), 3) for one in layer.scale), sep="|")
assert np.array_equal(np.asarray(viewer.layers[0].data), np.load(sys.argv[3]))
"""


@pytest.fixture
def run(tmp_path):
    """Return a run with a frame rate, a size of pixels and one region."""
    folder = RunFolder(path=tmp_path / "outputs" / "mean-movie-default" / "key")
    folder.predictions("train").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "movie.tif", FRAMES)
    tifffile.imwrite(folder.prediction("train/movie.tif"), FRAMES.astype(np.float32) - 1)
    stated = {"value": [0.5, 0.25], "origin": "a test"}
    recording = {
        "given": tmp_path / "movie.tif",
        "format": "TIFF",
        "parts": [],
        "stored_dtype": "uint16",
        "copied": False,
        "files": [tmp_path / "movie.tif"],
        "frame_rate_hz": None,
        "pixel_um": stated,
        "notes": [],
    }
    movie = {"noisy": tmp_path / "movie.tif", "target": None, "truth": None, "shape": [12, 20, 30], "dtype": "uint16"}
    run = write_run(
        folder.path,
        frame_rate_hz=10.0,
        inputs={"train/movie.tif": "ab" * 32},
        jobs={"train": JOB},
        movies={"train/movie.tif": movie | {"recording": recording}},
    )
    keep_regions(folder, Regions(origin="1 region of a test", names=("soma",), pixels=(PIXELS,)))
    return run.folder.path


@pytest.fixture
def reader():
    """Return the module, which needs no napari."""
    path = EXTRA / "napari_calm" / "reader.py"
    spec = importlib.util.spec_from_file_location("napari_calm_reader", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_run_is_four_layers_in_micrometres_and_seconds(reader, run):
    layers = {one["name"]: (data, one, kind) for data, one, kind in reader.get_reader(str(run))(str(run))}
    assert list(layers) == ["movie: noisy", "movie: removed", "movie: denoised (mean)", "movie: regions"]
    assert [kind for _, _, kind in layers.values()] == ["image", "image", "image", "labels"]
    assert np.array_equal(layers["movie: noisy"][0], FRAMES)
    assert np.array_equal(layers["movie: removed"][0][3], np.ones((20, 30)))
    labels, options, _ = layers["movie: regions"]
    assert (np.argwhere(labels == 1).tolist(), options["metadata"]["names"]) == (PIXELS.tolist(), {1: "soma"})
    assert (layers["movie: noisy"][1]["scale"], options["scale"]) == ((0.1, 0.5, 0.25), (0.5, 0.25))


def test_a_folder_that_is_no_run_is_left_to_other_readers(reader, tmp_path):
    assert reader.get_reader(str(tmp_path)) is None
    assert reader.get_reader([str(tmp_path)]) is None


def test_of_a_movie_that_is_gone_the_prediction_is_left(reader, run):
    (run.parents[2] / "movie.tif").unlink()
    assert [one["name"] for _, one, _ in reader.read_run(run)] == ["movie: denoised (mean)", "movie: regions"]


@pytest.mark.slow
@pytest.mark.skipif(not NAPARI.exists(), reason="no napari; tests/engines/provision/viewers.sh installs it")
def test_napari_opens_a_run_through_the_plugin(run, tmp_path):
    np.save(tmp_path / "frames.npy", FRAMES)
    manifest = EXTRA / "napari_calm" / "napari.yaml"
    done = subprocess.run(
        [NAPARI, "-c", OPENED, manifest, run, tmp_path / "frames.npy"],
        env=os.environ | {"PYTHONPATH": str(EXTRA), "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "movie: noisy|3|0.1|0.5|0.25",
        "movie: removed|3|0.1|0.5|0.25",
        "movie: denoised (mean)|3|0.1|0.5|0.25",
        "movie: regions|2|0.5|0.25",
    ]
