"""Trees of images: layers are applied as engines apply them, and one changed byte is named."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.documents import write_sealed
from orchestrator.domain import Image
from orchestrator.engines import sif
from orchestrator.engines.code import check_archive
from orchestrator.engines.sif import Sidecar, make_sif, sif_path, start_in
from orchestrator.engines.tree import Entry, differences, read_archive, read_folder
from orchestrator.errors import AlgorithmFailed, BadInput, EngineFailed
from orchestrator.paths import layout
from orchestrator.scratch import sweep

SUM = {text: hashlib.sha256(text.encode()).hexdigest() for text in ("one", "two")}
# Printed by `apptainer sif list` (1.4.5) for an image with a definition, two JSON parts and the file system.
LISTING = """\
------------------------------------------------------------------------------
ID   |GROUP   |LINK    |SIF POSITION (start-end)  |TYPE
------------------------------------------------------------------------------
1    |1       |NONE    |32176-32229               |Def.FILE
2    |1       |NONE    |32229-36384               |JSON.Generic
4    |1       |NONE    |36864-107073536           |FS (Squashfs/*System/amd64)
"""


def _tar(*members):
    """Return a tar archive of (name, content) files, (name, None) folders and ready TarInfo entries."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            name, content = member
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if content is None else 0o644
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.size = len(content or "")
            tar.addfile(entry, io.BytesIO((content or "").encode()))
    return stream.getvalue()


def _link(name, target, kind=tarfile.SYMTYPE):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def _archive(tmp_path, *layers, stored=lambda layer: layer):
    path = tmp_path / "image.tar"
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    configuration = json.dumps({"config": {"Labels": {"org.calm.image": "d" * 64}}, "rootfs": {"diff_ids": digests}})
    manifest = [{"Config": "c.json", "Layers": [f"{number}/layer.tar" for number in range(len(layers))]}]
    with tarfile.open(path, "w") as tar:
        parts = {"manifest.json": json.dumps(manifest).encode(), "c.json": configuration.encode()}
        parts |= {f"{number}/layer.tar": stored(layer) for number, layer in enumerate(layers)}
        for name, content in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path, configuration


def test_an_archive_is_read_with_its_identifier_and_labels(tmp_path):
    path, configuration = _archive(tmp_path, _tar(("etc", None), ("etc/one", "one"), _link("bin", "usr/bin")))
    saved = read_archive(path)
    assert saved.identifier == f"sha256:{hashlib.sha256(configuration.encode()).hexdigest()}"
    assert saved.labels == {"org.calm.image": "d" * 64}
    assert saved.tree == {
        "etc": Entry(kind="folder", mode=0o755),
        "etc/one": Entry(kind="file", mode=0o644, size_bytes=3, sha256=SUM["one"]),
        "bin": Entry(kind="link", target="usr/bin"),
    }


def test_later_layers_replace_delete_and_empty(tmp_path):
    first = _tar(
        ("a", None), ("a/one", "one"), ("a/two", "two"), ("b", None), ("b/one", "one"), ("c", None), ("c/x", "one")
    )
    second = _tar(
        ("a", None), ("a/.wh.two", ""), ("a/one", "two"), ("b", None), ("b/.wh..wh..opq", ""), ("b/two", "two")
    )
    third = _tar(("c", "one"))
    tree = read_archive(_archive(tmp_path, first, second, third)[0]).tree
    assert sorted(tree) == ["a", "a/one", "b", "b/two", "c"]
    assert tree["a/one"].sha256 == SUM["two"]
    assert tree["c"].kind == "file"


def test_a_hard_link_is_the_file_that_it_names(tmp_path):
    tree = read_archive(_archive(tmp_path, _tar(("one", "one"), _link("same", "one", tarfile.LNKTYPE)))[0]).tree
    assert tree["same"] == tree["one"]


def test_a_compressed_layer_is_known_by_the_digest_of_what_is_in_it(tmp_path):
    """Docker with the image store of containerd saves layers so."""
    assert "etc/one" in read_archive(_archive(tmp_path, _tar(("etc/one", "one")), stored=gzip.compress)[0]).tree


def test_a_layer_with_one_altered_byte_is_not_taken_for_the_image(tmp_path):
    path, _ = _archive(tmp_path, _tar(("etc/one", "one")), stored=lambda layer: layer.replace(b"\0one\0", b"\0two\0"))
    with pytest.raises(BadInput, match=r"layer 0/layer\.tar with sha256:\w{12}, got sha256:\w{12}"):
        read_archive(path)


@pytest.mark.parametrize("content", [b"", b"no archive at all", _tar(("manifest.json", "[]"))])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"image\.tar: expected"):
        read_archive(path)


TREE = {
    "opt": Entry(kind="folder", mode=0o755),
    "opt/run": Entry(kind="file", mode=0o644, size_bytes=3, sha256=SUM["one"]),
    "bin": Entry(kind="link", target="usr/bin"),
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"opt/run": replace(TREE["opt/run"], sha256=SUM["two"])}, "/opt/run: expected file 0644 3 bytes"),
        ({"opt/run": replace(TREE["opt/run"], mode=0o755)}, "/opt/run: expected file 0644 3 bytes"),
        ({"opt/run": replace(TREE["opt/run"], size_bytes=4)}, "/opt/run: expected file 0644 3 bytes"),
        ({"opt": replace(TREE["opt"], mode=0o700)}, "/opt: expected folder 0755, got folder 0700"),
        ({"bin": Entry(kind="link", target="sbin")}, "/bin: expected link to usr/bin, got link to sbin"),
        ({"bin": Entry(kind="folder", mode=0o755)}, "/bin: expected link to usr/bin, got folder 0755"),
        ({"more": Entry(kind="folder")}, "/more: extra"),
    ],
)
def test_one_difference_is_named(change, sentence):
    (found,) = differences(TREE, TREE | change)
    assert found.startswith(sentence)


def test_a_missing_path_is_named():
    assert list(differences(TREE, {"opt": TREE["opt"], "bin": TREE["bin"]})) == ["/opt/run: missing"]


@pytest.mark.parametrize("name", [".singularity.d/labels.json", ".dockerenv", "etc/hosts", "environment", "dev/null"])
def test_what_engines_write_themselves_is_left_out(name):
    assert list(differences(TREE, TREE | {name: Entry(kind="file", sha256=SUM["one"])})) == []


def test_a_folder_is_read_as_a_tree(tmp_path):
    folder = tmp_path / "content"
    (folder / "opt").mkdir(parents=True)
    (folder / "opt" / "run").write_text("one")
    (folder / "bin").symlink_to("usr/bin")
    (folder / "opt").chmod(0o755)
    (folder / "opt" / "run").chmod(0o644)
    assert read_folder(folder) == TREE


def test_the_file_system_of_a_sif_is_found_in_its_listing():
    assert start_in(LISTING) == 36864


def test_a_file_without_a_file_system_is_no_sif():
    with pytest.raises(AlgorithmFailed, match="expected a squashfs partition"):
        start_in(LISTING.replace("FS (Squashfs", "FS (Ext3"))


NOWHERE = Path("/nowhere")
IMAGE = Image(
    algorithm="n2v", variant="cpu", digest="d" * 64, lock=NOWHERE, wheelhouse=NOWHERE, context=NOWHERE,
    files={"contract/algorithm.sh": SUM["one"], "contract/start.py": SUM["two"], "Dockerfile": SUM["two"]},
)  # fmt: skip
CODE = (("opt/calm/contract/start.py", "two"), ("usr/local/bin/algorithm", "one"))


def _quiet(_):
    """Say nothing."""


@pytest.fixture
def where(tmp_path):
    """Return a layout with a cache of its own."""
    return replace(layout(), home=tmp_path / "home")


def _left(where):
    return [one.suffix for one in where.sifs.iterdir()]


def test_a_disk_too_small_for_a_conversion_is_refused_before_it_begins(tmp_path, where, monkeypatch):
    """Four times the archive is needed; Apptainer is not even started, and nothing but the lock is left."""
    path, _ = _archive(tmp_path, _tar(*CODE))
    free = 4 * path.stat().st_size - 1
    monkeypatch.setattr(sif.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"GB free to convert image\.tar"):
        make_sif(where, IMAGE, lambda _: path, _quiet)
    assert _left(where) == [".lock"]


def test_a_conversion_that_could_not_be_compared_is_refused_before_it_begins(tmp_path, where, monkeypatch):
    path, _ = _archive(tmp_path, _tar(*CODE))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="unsquashfs: expected it") as caught:
        make_sif(where, IMAGE, lambda _: path, _quiet)
    assert "squashfs-tools" in caught.value.hint
    assert _left(where) == [".lock"]


def test_a_finished_sif_is_reused_while_its_bytes_are_those_that_were_compared(where):
    where.sifs.mkdir(parents=True)
    path = sif_path(where.sifs, IMAGE)
    path.write_bytes(b"one")
    sums = {"archive_sha256": SUM["two"], "image": IMAGE.digest, "sha256": SUM["one"]}
    known = Sidecar(algorithm="n2v", variant="cpu", apptainer="1", entries=3, identifier="sha256:1", **sums)
    write_sealed(path.with_suffix(".json"), known)
    assert make_sif(where, IMAGE, _never, _quiet).path == path
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as who wants it not to be noticed
    with pytest.raises(EngineFailed, match=f"expected sha256 {SUM['one'][:12]}, .*, got {SUM['two'][:12]}") as caught:
        make_sif(where, IMAGE, _never, _quiet)
    assert caught.value.hint == f"Delete it: rm {path}; `calm sif` makes it again."


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ((("opt/calm/contract/start.py", "one"), CODE[1]), "/opt/calm/contract/start.py: altered"),
        ((CODE[0], ("usr/local/bin/algorithm", "two")), "/usr/local/bin/algorithm: altered"),
        ((*CODE, ("opt/calm/contract/__pycache__/start.pyc", "x")), "/opt/calm/contract/__pycache__/start.pyc: extra"),
        ((CODE[0],), "/usr/local/bin/algorithm: missing"),
    ],
)
def test_an_archive_with_other_code_than_the_checkout_is_refused_by_the_file(tmp_path, members, words):
    path, _ = _archive(tmp_path, _tar(*members))
    with pytest.raises(BadInput, match=f"expected the code of this checkout, got other code: {words}"):
        check_archive(path, IMAGE)


def test_an_archive_that_is_not_there_is_called_missing(tmp_path):
    with pytest.raises(BadInput, match="got no such file"):
        check_archive(tmp_path / "none.tar", IMAGE)


def _never(_):
    pytest.fail("a finished SIF was made again")


def test_what_a_killed_conversion_left_is_deleted_by_the_next_command(where):
    """Gigabytes for a CUDA image: the archive, and the unpacked content with folders that the image makes read-only."""
    left = where.sifs / "calm-scratch-0"
    (left / "calm-scratch-1" / "opt").mkdir(parents=True)
    (left / "calm-scratch-1" / "opt" / "run").touch()
    (left / "calm-scratch-1" / "opt").chmod(0o555)
    (where.sifs / "calm-scratch-0.lock").touch()
    sweep(where.caches)
    assert list(where.sifs.iterdir()) == []


def test_a_conversion_that_is_refused_leaves_nothing(where):
    with pytest.raises(BadInput, match="expected an archive"):
        make_sif(where, IMAGE, lambda folder: folder / "image.tar", _quiet)
    assert _left(where) == [".lock"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        AlgorithmFailed("apptainer build ...: exit code 255: FATAL: write /x: no space left on device", "Read it."),
    ],
)
def test_a_disk_that_fills_up_during_a_conversion_is_called_so_and_emptied(where, error):
    def archive(folder):
        (folder / "image.tar").write_bytes(b"all that fitted")
        raise error

    with pytest.raises(AlgorithmFailed, match="no space left on a disk it wrote to") as caught:
        make_sif(where, IMAGE, archive, _quiet)
    assert caught.value.hint.startswith("Free some")
    assert _left(where) == [".lock"]
