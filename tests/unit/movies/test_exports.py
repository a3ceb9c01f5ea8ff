"""Predictions in other forms: opened by the library of each form, pixels and scales compared."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tifffile
from recordings import FRAMES, ome_xml, pages

from orchestrator.data.exports import export
from orchestrator.errors import BadInput

VALUES = FRAMES.astype(np.float32) / 7 - 3


@pytest.fixture
def prediction(tmp_path):
    """Return a float32 OME-TIFF of 20 Hz and pixels of 1.5 by 1.25 micrometres."""
    scales = 'PhysicalSizeX="1.25" PhysicalSizeY="1.5" TimeIncrement="0.05"'
    xml = ome_xml(VALUES, sizes=(12, 1, 1), scales=scales).replace("uint16", "float")
    return pages(tmp_path / "movie.ome.tif", VALUES, xml)


def test_an_export_for_imagej_is_read_by_tifffile_with_rate_and_pixel_size(prediction, tmp_path):
    with tifffile.TiffFile(export(prediction, "imagej", tmp_path / "out")) as tiff:
        assert tiff.is_imagej
        assert tiff.series[0].axes == "TYX"
        assert np.array_equal(tiff.asarray(), VALUES)
        assert tiff.imagej_metadata["finterval"] == pytest.approx(0.05)
        assert tiff.imagej_metadata["unit"] == "\\u00B5m"
        for name, size_um in (("XResolution", 1.25), ("YResolution", 1.5)):
            count, units = tiff.pages.first.tags[name].value
            assert units / count == pytest.approx(size_um)


def test_an_export_as_ome_zarr_is_read_by_zarr_with_rate_and_pixel_size(prediction, tmp_path, describe):
    zarr = pytest.importorskip("zarr")
    folder = export(prediction, "ome-zarr", tmp_path / "out")
    group = zarr.open_group(str(folder), mode="r")
    (image,) = group.attrs["ome"]["multiscales"]
    assert group.attrs["ome"]["version"] == "0.5"
    assert [axis["name"] for axis in image["axes"]] == ["t", "y", "x"]
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == pytest.approx([0.05, 1.5, 1.25])
    assert group["0"].metadata.dimension_names == ("t", "y", "x")
    assert np.array_equal(group["0"][:], VALUES)
    assert describe(folder).frame_rate_hz.value == pytest.approx(20)


def test_an_export_for_suite2p_holds_rounded_values_and_its_settings(prediction, tmp_path):
    folder = export(prediction, "suite2p", tmp_path / "out")
    settings = np.load(folder / "ops.npy", allow_pickle=True).item()
    assert (settings["Ly"], settings["Lx"], settings["nframes"]) == (40, 48, 12)
    assert settings["fs"] == pytest.approx(20)
    stored = np.memmap(folder / "data.bin", np.int16, mode="r", shape=(12, 40, 48))
    assert np.array_equal(stored, np.rint(VALUES))


def test_a_refused_export_leaves_no_folder_and_no_part_of_a_file(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "m.tif", VALUES * 1000, photometric="minisblack")
    with pytest.raises(BadInput, match="expected values of -32768 to 32767"):
        export(tmp_path / "m.tif", "suite2p", tmp_path / "new" / "out")
    with monkeypatch.context() as context:
        context.setattr("orchestrator.data.exports.CLASSIC_LIMIT_BYTES", 1000)
        with pytest.raises(BadInput, match="expected a movie below 4 GB"):
            export(tmp_path / "m.tif", "imagej", tmp_path / "new" / "out")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(BadInput, match="expected the package zarr"):
        export(tmp_path / "m.tif", "ome-zarr", tmp_path / "new" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["m.tif"]


def test_a_refused_export_leaves_what_was_in_its_folder(prediction, tmp_path):
    kept = export(prediction, "imagej", tmp_path / "out")
    tifffile.imwrite(tmp_path / "m.tif", VALUES * 1000, photometric="minisblack")
    with pytest.raises(BadInput):
        export(tmp_path / "m.tif", "suite2p", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == [kept]


def test_an_export_overwrites_nothing(prediction, tmp_path):
    export(prediction, "imagej", tmp_path / "out")
    with pytest.raises(BadInput, match="expected nothing of that name"):
        export(prediction, "imagej", tmp_path / "out")
