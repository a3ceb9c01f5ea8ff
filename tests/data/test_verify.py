"""Every way in which files can differ from the manifest is found, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace

import mini
import numpy as np
import pytest
import tifffile
from msgspec import structs

from orchestrator.data.datasets import locate
from orchestrator.data.manifest import load_manifest
from orchestrator.data.verify import verify
from orchestrator.errors import BadInput

LOW = "01_MouseNeurite_GCaMP6f_66mWpower_40umdepth_30Hz_lowSNR_MCRound1.tif"
HIGH = LOW.replace("low", "high")


def _ignore(*_):
    pass


@pytest.fixture
def data(tmp_path):
    """Return the data root with all tiny datasets, and their manifest."""
    mini.write_mouseneu_lp(tmp_path)
    mini.write_niddl(tmp_path)
    mini.write_refined(tmp_path)
    return tmp_path, load_manifest(mini.write_manifest(tmp_path / "manifest"))


def _problems(data, name):
    root, manifest = data
    return [(finding.problem, finding.path.name) for finding in verify(manifest.named(name), root, _ignore)]


@pytest.mark.parametrize("name", ["mouseneu_lp", "huvec_img", "refined"])
def test_datasets_laid_out_as_in_the_study_have_no_findings(data, name):
    assert _problems(data, name) == []


def test_pairs_are_those_of_the_study(data):
    root, manifest = data
    pairs = [(m.split, m.noisy.name, m.target.name) for m in locate(manifest.named("mouseneu_lp"), root)]
    assert pairs == [("train", LOW, HIGH), ("val", LOW.replace("01", "02", 1).replace("40um", "70um"), pairs[1][2])]
    assert "highSNR" in pairs[1][2]
    niddl = locate(manifest.named("NIDDL"), root)
    assert {(movie.noisy.name, movie.target.name) for movie in niddl} >= {
        ("20ms_20%_004.tif", "200ms_20%_004.tif"),
        ("20ms_20__004.tif", "200ms_20__004.tif"),
        ("Img1.tif", "Img1.tif"),
        ("Img_001.tif", "Img_001.tif"),
    }
    assert [movie.target for movie in locate(manifest.named("refined"), root)] == [None] * 4


def test_a_missing_file_is_found(data):
    (data[0] / "MOUSENEU_LP/train" / LOW).unlink()
    assert _problems(data, "mouseneu_lp") == [("missing", LOW)]


def test_a_missing_target_is_found_with_its_noisy_file_and_stops_a_run(data):
    root, manifest = data
    (root / "NIDDL/High_SNR/Img2.tif").unlink()
    assert _problems(data, "huvec_img") == [("missing", "Img[0-9]*.tif"), ("target missing", "Img2.tif")]
    with pytest.raises(BadInput, match=r"the target of Img2\.tif: expected 1 file, got 0") as caught:
        locate(manifest.named("huvec_img"), root)
    assert "ask them" in caught.value.hint


def test_a_wrongly_named_target_is_found(data):
    folder = data[0] / "NIDDL/High_SNR"
    (folder / "200ms_20%_004.tif").rename(folder / "200ms_20%_099.tif")
    assert _problems(data, "huvec_img") == [("target missing", "20ms_20%_004.tif")]


def test_a_file_too_many_is_found_but_hidden_files_are_not(data):
    root, _ = data
    (root / "MOUSENEU_LP/train/notes.txt").write_text("")
    (root / "MOUSENEU_LP/.DS_Store").write_text("")
    shutil.copy(root / "NIDDL/Low_SNR/Img1.tif", root / "NIDDL/Low_SNR/Img3.tif")
    assert _problems(data, "mouseneu_lp") == [("extra", "notes.txt")]
    assert _problems(data, "huvec_img") == [("target missing", "Img3.tif"), ("extra", "Img[0-9]*.tif")]


def test_a_missing_background_is_found(data):
    (data[0] / "average_image.tif").unlink()
    assert _problems(data, "refined") == [("missing", "average_image.tif")]


def test_another_shape_is_found_and_so_is_the_target_it_does_not_fit(data):
    tifffile.imwrite(data[0] / "MOUSENEU_LP/train" / LOW, np.zeros((11, 50, 50), np.uint16), photometric="minisblack")
    assert _problems(data, "mouseneu_lp") == [("shape", LOW), ("target shape", HIGH)]


def test_a_movie_where_single_frames_belong_is_found(data):
    for folder in ("Low_SNR", "High_SNR"):
        path = data[0] / "NIDDL" / folder / "Img1.tif"
        tifffile.imwrite(path, np.zeros((2, 48, 48), np.uint16), photometric="minisblack")
    assert _problems(data, "huvec_img") == [("shape", "Img1.tif")] * 2


def test_a_truncated_file_is_found(data):
    path = data[0] / "MOUSENEU_LP/val_gt" / HIGH.replace("01", "02", 1).replace("40um", "70um")
    path.write_bytes(path.read_bytes()[:20000])
    assert _problems(data, "mouseneu_lp") == [("unreadable", path.name)]


def test_another_size_checksum_or_dtype_is_found(data):
    root, manifest = data
    path = root / "MOUSENEU_LP/train" / LOW
    dataset = manifest.named("mouseneu_lp")
    size = path.stat().st_size
    found = verify(_with(dataset, bytes=size + 1), root, _ignore)
    assert [(finding.problem, finding.expected, finding.got) for finding in found] == [
        ("bytes", str(size + 1), str(size))
    ]
    found = verify(_with(dataset, bytes=size, checksum="md5:" + "0" * 32), root, _ignore)
    assert [(finding.problem, finding.expected) for finding in found] == [("checksum", "md5:" + "0" * 32)]
    found = verify(_with(dataset, dtype="int16"), root, _ignore)
    assert [str(finding) for finding in found] == [f"dtype: {path}: expected int16, got uint16"]


def _with(dataset, **fields):
    """Return the dataset with other fields in the entry of the low-SNR training movie."""
    files = tuple(structs.replace(file, **fields) if file.name == LOW else file for file in dataset.files)
    return replace(dataset, files=files)
