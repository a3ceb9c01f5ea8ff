"""Offline bundles: a missing, extra or altered byte is named, in a folder and in a tar; nothing broken is loaded."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tarfile
import zipfile
from dataclasses import replace

import pytest

from contract.files import sha256
from orchestrator.algorithms.folders import in_environment, load_algorithms
from orchestrator.bundle.check import checked
from orchestrator.bundle.create import Contents, chosen, create
from orchestrator.bundle.lists import PackedImage, differences, read_list, write_list
from orchestrator.bundle.load import load
from orchestrator.documents import write_sealed
from orchestrator.engines.image import image_of
from orchestrator.engines.sif import Sidecar, find_sif, sif_path
from orchestrator.engines.snakemake import snakemake_image
from orchestrator.errors import BadInput
from orchestrator.paths import layout
from orchestrator.scratch import sweep


@pytest.fixture
def here(tmp_path):
    """Return a layout with one small dataset."""
    where = replace(layout(), home=tmp_path / "home", data=tmp_path / "data")
    (where.data / "small" / "raw").mkdir(parents=True)
    (where.data / "small" / "raw" / "movie.tif").write_bytes(b"many frames")
    (where.data / "small" / "notes.txt").write_text("few words")
    return where


CONTENTS = Contents(algorithms=(), variant="cpu", images="none", datasets=("small",), calm=False)


@pytest.fixture(params=["folder", "tar"])
def bundle(request, here, tmp_path):
    """Return a function that makes a bundle, lets a test change its files, and returns it as folder or tar."""

    def made(change=lambda _: None):
        folder = tmp_path / "bundle"
        create(folder, CONTENTS, here, lambda _: None)
        change(folder)
        if request.param == "folder":
            return folder
        path = tmp_path / "bundle.tar"
        with tarfile.open(path, "w") as tar:
            for one in sorted(folder.rglob("*")):
                tar.add(one, str(one.relative_to(folder)), recursive=False)
        return path

    return made


def test_an_untouched_bundle_has_no_differences(bundle):
    assert differences(bundle()) == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "data/small/raw/movie.tif").write_bytes(b"many flames"), "movie.tif: altered"),
        (lambda folder: (folder / "data/small/raw/movie.tif").write_bytes(b"many frames "), "movie.tif: altered"),
        (lambda folder: (folder / "data/small/notes.txt").unlink(), "notes.txt: missing"),
        (lambda folder: (folder / "data/small/more.txt").write_text(""), "more.txt: extra"),
        (lambda folder: (folder / "manifest.yaml").write_text(""), "manifest.yaml: altered"),
        (lambda folder: (folder / "data/small/link.txt").symlink_to("notes.txt"), "link.txt: extra"),
    ],
)
def test_one_changed_file_is_named_and_nothing_is_loaded(bundle, here, tmp_path, change, sentence):
    broken = bundle(change)
    (found,) = differences(broken)
    assert sentence in found
    there = replace(here, home=tmp_path / "there", data=tmp_path / "there" / "data")
    with pytest.raises(BadInput, match="1 differences"):
        load(broken, there, lambda _: None)
    assert not there.home.exists()


def test_a_bundle_is_loaded_elsewhere_and_what_is_there_is_kept(bundle, here, tmp_path):
    there = replace(here, home=tmp_path / "there", data=tmp_path / "there" / "data")
    made = bundle()
    for words in ("data small: " + str(there.data / "small"), "data small: was here already"):
        said = []
        load(made, there, said.append)
        assert said == [words]
        assert (there.data / "small" / "raw" / "movie.tif").read_bytes() == b"many frames"
    assert list(there.data.iterdir()) == [there.data / "small"]


def test_a_sif_of_a_bundle_takes_the_place_of_one_without_sidecar_and_of_no_other(here, tmp_path, monkeypatch):
    """A conversion that died between the two leaves a SIF alone, whose bytes the sidecar of the bundle is not of."""
    folder = tmp_path / "bundle"
    (folder / "images").mkdir(parents=True)
    image = image_of(load_algorithms(here.containers)["identity"], "cpu", here)
    path = sif_path(folder / "images", image)
    path.write_bytes(b"of the bundle")
    sums = {"archive_sha256": "0" * 64, "image": image.digest, "sha256": sha256(path)}
    known = Sidecar(algorithm="identity", variant="cpu", apptainer="1", entries=3, identifier="sha256:1", **sums)
    write_sealed(path.with_suffix(".json"), known)
    monkeypatch.setattr("orchestrator.bundle.check.check_sif_code", lambda *_: None)  # tests/engines has real SIFs
    entry = PackedImage(algorithm="identity", digest=image.digest, file=f"images/{path.name}", variant="cpu")
    write_list(folder, [entry])
    target = sif_path(here.sifs, image)
    here.sifs.mkdir(parents=True)
    target.write_bytes(b"alone")
    load(folder, here, lambda _: None)
    assert target.read_bytes() == b"of the bundle"
    assert find_sif(here, image).sha256 == sha256(target)
    before = target.stat().st_mtime_ns
    load(folder, here, lambda _: None)
    assert target.stat().st_mtime_ns == before


def test_the_wheels_of_snakemake_are_no_extra_ones_and_are_compared_with_its_lock(here, tmp_path):
    folder = tmp_path / "bundle"
    wheels = folder / "wheels" / snakemake_image(here).wheelhouse.name
    wheels.mkdir(parents=True)
    (wheels / "snakemake-9.27.1-py3-none-any.whl").write_bytes(b"another")
    write_list(folder, [])
    with checked(folder, here) as found:
        words = " ".join(found.faults)
    assert "/snakemake-executor-plugin-slurm: missing, by" in words
    assert "extra" not in words


def test_a_tar_is_made_where_the_name_says_so(here, tmp_path):
    create(tmp_path / "bundle.tar", CONTENTS, here, lambda _: None)
    assert tarfile.is_tarfile(tmp_path / "bundle.tar")
    assert differences(tmp_path / "bundle.tar") == ()
    assert {path.name for path in tmp_path.iterdir()} == {"bundle.tar", "data"}


def test_the_algorithms_that_are_named_go_in_each_in_its_environment_and_the_controls_with_them():
    known = load_algorithms(layout().containers)
    study = in_environment(known["n2v"], "study")
    names = [one.full_name for one in chosen(known, [known["deepcad"], study], "cpu")]
    assert names == ["deepcad", "identity", "mean", "n2v@study", "svd"]
    everything = [one.full_name for one in chosen(known, [], "cuda")]
    assert {"n2v", "n2v@study", "cellmincer", "identity"} <= set(everything)


def test_an_algorithm_without_the_device_cannot_be_packed_for_it():
    known = load_algorithms(layout().containers)
    with pytest.raises(BadInput, match="n2v: expected an algorithm with a cuda variant, got cpu"):
        chosen(known, [replace(known["n2v"], devices=("cpu",))], "cuda")


def test_a_name_that_is_taken_and_a_dataset_that_is_not_here_are_refused(here, tmp_path):
    with pytest.raises(BadInput, match="a name that is free"):
        create(here.data, CONTENTS, here, lambda _: None)
    shutil.rmtree(here.data)
    with pytest.raises(BadInput, match="expected a dataset") as caught:
        create(tmp_path / "bundle", CONTENTS, here, lambda _: None)
    assert "calm data fetch small" in caught.value.hint
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (('"images": []', '"images": [1]'), r"at images\[0\]: expected object, got 1"),
        (('"size_bytes": 11', '"size_bytes": 12'), "altered"),
    ],
)
def test_a_list_that_was_altered_is_named(bundle, words, found):
    """An image's digest or file in it would otherwise be taken as it stands."""

    def change(folder):
        path = folder / "bundle.json"
        assert words[0] in path.read_text()
        path.write_text(path.read_text().replace(*words))

    with pytest.raises(BadInput, match=rf"bundle\.json: {found}"):
        differences(bundle(change))


def test_a_tar_that_was_cut_short_is_refused(here, tmp_path):
    path = tmp_path / "bundle.tar"
    create(path, CONTENTS, here, lambda _: None)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadInput, match=r"bundle\.tar: expected"):
        differences(path)


@pytest.mark.parametrize("content", [b"", b"no bundle"])
def test_another_file_is_no_bundle(tmp_path, content):
    path = tmp_path / "bundle.tar"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"expected a bundle with a bundle\.json"):
        differences(path)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Return the layout of a cache with the wheels of identity, which is all that a bundle of it needs."""
    where = replace(layout(), home=tmp_path_factory.mktemp("home"))
    real = layout().wheels / image_of(load_algorithms(where.containers)["identity"], "cpu", where).wheelhouse.name
    if real.exists():
        shutil.copytree(real, where.wheels / real.name)
    return where


def _forged(folder):
    """Change a module in a wheel together with the RECORD in it, both locks of the bundle and its list."""
    (wheel,) = folder.glob("wheels/*/tifffile-*.whl")
    before = sha256(wheel)
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["tifffile/__init__.py"] += b"print('foreign')\n"
    (record,) = (name for name in members if name.endswith("/RECORD"))
    digest = base64.urlsafe_b64encode(hashlib.sha256(members["tifffile/__init__.py"]).digest()).rstrip(b"=").decode()
    line = f"tifffile/__init__.py,sha256={digest},{len(members['tifffile/__init__.py'])}"
    text = members[record].decode()
    members[record] = re.sub(r"(?m)^tifffile/__init__.py,.*$", line, text).encode()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    for lock in (*folder.glob("locks/*.lock"), *folder.glob("wheels/*/requirements.lock")):
        lock.write_text(lock.read_text().replace(before, sha256(wheel)))
    listed = read_list(folder)
    (folder / "bundle.json").unlink()
    write_list(folder, listed.images)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["folder", "tar"])
def test_a_wheel_changed_together_with_record_locks_and_list_is_refused_by_verify_and_load(wheels, tmp_path, form):
    identity = load_algorithms(wheels.containers)["identity"]
    folder = bundle = tmp_path / "bundle"
    create(folder, replace(CONTENTS, algorithms=(identity,), datasets=()), wheels, lambda _: None)
    root = read_list(folder).root()
    _forged(folder)
    assert differences(folder) == ()  # by its own list, all is well
    assert read_list(folder).root() != root  # which is read out on the telephone
    if form == "tar":
        bundle = tmp_path / "bundle.tar"
        with tarfile.open(bundle, "w") as tar:
            for one in sorted(folder.rglob("*")):
                tar.add(one, str(one.relative_to(folder)), recursive=False)
    there = replace(wheels, home=tmp_path / "there")
    with checked(bundle, there) as found:
        faults = found.faults
    assert any(re.match(r"wheels/cpu-\w+/tifffile-.*whl: altered; expected sha256 \w+, got", one) for one in faults)
    assert "locks/identity-cpu.lock: altered; expected a lock of this checkout" in faults
    with pytest.raises(BadInput, match=r"tifffile-.*whl: altered"):
        load(bundle, there, lambda _: None)
    assert not there.wheels.exists()


def test_what_a_packing_or_loading_left_that_was_killed_is_deleted_by_the_next_one(here, tmp_path):
    place = tmp_path / "stick"
    for folder in (place, here.home, here.wheels, here.data):
        (folder / "calm-scratch-0" / "bundle").mkdir(parents=True)
        (folder / "calm-scratch-0.lock").touch()
    sweep(here.caches)
    create(place / "bundle", CONTENTS, here, lambda _: None)
    assert [path.name for path in place.iterdir()] == ["bundle"]
    assert not list(tmp_path.rglob("calm-scratch-*"))
