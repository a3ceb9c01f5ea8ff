"""The manifest: it fits its schema, says what the study says, and refuses what does not fit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from orchestrator.data.datasets import truth_of
from orchestrator.data.manifest import load_manifest
from orchestrator.errors import BadInput

PATH = Path(__file__).parents[2] / "data" / "manifest.yaml"


@pytest.fixture(scope="module")
def manifest():
    return load_manifest(PATH)


def _changed(tmp_path, change):
    document = yaml.safe_load(PATH.read_text())
    change(document)
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(document))
    return tmp_path / "manifest.yaml"


def test_the_manifest_has_the_demo_and_the_datasets_of_the_study(manifest):
    assert list(manifest.datasets) == ["demo", "demo_fewlevels", "huvec_img", "mouseneu_lp", "refined"]


@pytest.mark.parametrize("alias", ["NIDDL", "HUVEC_IMG", "huvec_img"])
def test_a_dataset_answers_to_the_names_of_the_study(manifest, alias):
    assert manifest.named(alias).name == "huvec_img"


def test_an_unknown_dataset_is_an_error_that_names_the_known_ones(manifest):
    with pytest.raises(BadInput, match=r"demo, demo_fewlevels, .* got nothing_like_it"):
        manifest.named("nothing_like_it")


def test_names_and_aliases_are_unique(manifest):
    names = [name for dataset in manifest.datasets.values() for name in (dataset.name, *dataset.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "noisy", "target"),
    [
        # rules and names as in the evaluation notebooks of the study
        ("huvec_img", "Low_SNR/20ms_20%_004.tif", "High_SNR/200ms_20%_004.tif"),
        ("huvec_img", "Low_SNR/Img67.tif", "High_SNR/Img67.tif"),
        (
            "mouseneu_lp",
            "val/02_MouseNeurite_GCaMP6f_66mWpower_70umdepth_30Hz_lowSNR_MCRound1.tif",
            "val_gt/02_MouseNeurite_GCaMP6f_66mWpower_70umdepth_30Hz_highSNR_MCRound1.tif",
        ),
        ("demo", "train/demo_train.tif", "train_target/demo_train.tif"),
        ("refined", "test/20ms_20%_Yoda1_009.tif", None),
    ],
)
def test_the_pairing_rule_finds_the_target_of_a_noisy_file(manifest, name, noisy, target):
    assert manifest.named(name).target_path(noisy) == target


def test_every_noisy_file_of_the_manifest_has_its_target_in_the_manifest(manifest):
    for name in ("demo", "demo_fewlevels", "mouseneu_lp"):
        dataset = manifest.named(name)
        paths = {file.path: file for file in dataset.files}
        for file in dataset.files:
            if file.role == "noisy":
                target = paths[dataset.target_path(file.path)]
                assert (target.role, target.split, target.shape) == ("target", file.split, file.shape)


def test_the_163_frames_of_the_published_table_are_expected(manifest):
    # published per-image table: 163 rows, in families of 32, 32, 67 and 32
    files = manifest.named("NIDDL").files
    assert sum(file.count for file in files if file.role == "noisy") == 163
    assert sum(file.count for file in files if file.role == "target") == 163


def test_restricted_datasets_say_whom_to_ask_and_where_to_put_the_files(manifest):
    for dataset in manifest.datasets.values():
        if dataset.access == "restricted":
            assert "https://" in dataset.instructions
            assert f"calm data verify {dataset.name}" in dataset.instructions


def test_simulated_datasets_are_locked_to_bytes(manifest):
    for dataset in manifest.datasets.values():
        if dataset.access == "simulated":
            assert all(file.checksum.startswith("sha256:") and file.bytes for file in dataset.files)
            assert truth_of(dataset, Path("/root"), "val").suffix == ".npz"


def test_checksums_of_the_lock_fill_the_gaps_of_the_manifest(tmp_path):
    path = _changed(tmp_path, lambda _: None)
    file = load_manifest(path).named("mouseneu_lp").files[0]
    assert file.checksum is None
    lock = {"mouseneu_lp": {"files": {file.path: {"checksum": "md5:" + "0" * 32, "bytes": 7}}}}
    (tmp_path / "manifest.lock.json").write_text(json.dumps(lock))
    locked = load_manifest(path).named("mouseneu_lp").files[0]
    assert (locked.checksum, locked.bytes) == ("md5:" + "0" * 32, 7)


def test_a_damaged_lock_is_an_error(tmp_path):
    path = _changed(tmp_path, lambda _: None)
    (tmp_path / "manifest.lock.json").write_text("{")
    with pytest.raises(BadInput, match=r"manifest\.lock\.json"):
        load_manifest(path)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d["datasets"]["demo"].pop("simulation"), "simulation"),
        (lambda d: d["datasets"]["mouseneu_lp"].pop("record_url"), "record_url"),
        (lambda d: d["datasets"]["refined"].pop("instructions"), "instructions"),
        (lambda d: d["datasets"]["demo"].update(typo=1), "typo"),
        (lambda d: d["datasets"]["demo"]["files"][0].update(path="../../escape.tif"), "datasets.demo.files[0]"),
        (lambda d: d["datasets"]["demo"]["files"][0].update(path="a,b.tif"), "datasets.demo.files[0]"),
        (lambda d: d["datasets"]["demo"]["files"][0].update(checksum="crc32:1"), "datasets.demo.files[0].checksum"),
        (lambda d: d["datasets"]["demo"]["simulation"]["noise"].pop("gain_cv"), "datasets.demo.simulation.noise"),
        (lambda d: d["datasets"]["demo"]["simulation"]["scene"].update(cells=-1), "datasets.demo.simulation.scene"),
    ],
)
def test_a_manifest_that_does_not_fit_its_schema_is_an_error_that_names_the_place(tmp_path, change, where):
    with pytest.raises(BadInput, match=re.escape(where)):
        load_manifest(_changed(tmp_path, change))
