"""A bundle carries the Python of the environments; it is started from a copy when it is packed, and where it arrives.

The Python here is a script that starts one of this machine; a whole one was carried by hand, see docs/platforms.md.
"""

from __future__ import annotations

import sys
import tarfile
from dataclasses import replace

import pytest

from orchestrator.bundle.create import Contents, create
from orchestrator.bundle.lists import differences
from orchestrator.bundle.load import load
from orchestrator.engines import python as pinned
from orchestrator.errors import BadInput
from orchestrator.paths import layout

SAYS = 'echo "3.11.99"'


def _python(folder, command=SAYS):
    program = folder / "bin" / "python3.11"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{command}\n")
    program.chmod(0o755)
    (program.parent / "python3").symlink_to("python3.11")
    return folder


def _tar(path, folder, inside):
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, inside)
    return path


@pytest.fixture
def where(tmp_path):
    (tmp_path / "data").mkdir()
    return replace(layout(), home=tmp_path / "home", data=tmp_path / "data")


def _bundle(tmp_path, where, given):
    contents = Contents(algorithms=(), variant="cpu", images="none", datasets=(), calm=False, python=given)
    create(tmp_path / "bundle", contents, where, lambda _: None)
    return tmp_path / "bundle"


@pytest.mark.parametrize("form", ["folder", "python", "python/install"])
def test_a_python_arrives_where_environments_look_for_one_once(tmp_path, where, monkeypatch, form):
    given = _python(tmp_path / "mine")
    given = given if form == "folder" else _tar(tmp_path / "mine.tar.gz", given, form)
    bundle = _bundle(tmp_path, where, given)
    assert [path.name for path in (bundle / "python").iterdir()] == ["cpython-3.11.99.tar"]
    arrived = where.home / "python" / "cpython-3.11.99"
    for words in (str(arrived), "was here already"):
        said = []
        load(bundle, where, said.append)
        assert said == [f"python cpython-3.11.99: {words}"]
    assert (arrived / "bin" / "python3").readlink().name == "python3.11"
    monkeypatch.setenv("CALM_HOME", str(where.home))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.delenv(pinned.VARIABLE, raising=False)
    pinned.version_of.cache_clear()
    assert pinned.found_python() == arrived / "bin" / "python3.11"


@pytest.mark.parametrize(
    ("command", "words"),
    [("echo 3.12.1", "got 3.12.1"), ("echo no libpython >&2; exit 127", "no libpython"), (None, "nothing at bin")],
)
def test_what_is_no_such_python_or_does_not_start_from_a_copy_is_not_packed(tmp_path, where, command, words):
    given = tmp_path / "mine"
    given.mkdir()
    if command:
        _python(given, command)
    with pytest.raises(BadInput, match=words):
        _bundle(tmp_path, where, given)
    assert not (tmp_path / "bundle").exists()


def test_one_with_a_link_that_leads_out_of_it_is_not_packed(tmp_path, where):
    """Debian's has one, to /etc; no bundle could be unpacked with it."""
    given = _python(tmp_path / "mine")
    (given / "sitecustomize.py").symlink_to("/etc/python3.11/sitecustomize.py")
    with pytest.raises(BadInput, match=r"mine: expected a Python.*sitecustomize\.py"):
        _bundle(tmp_path, where, given)


def test_a_file_that_is_no_tar_is_refused(tmp_path, where):
    (tmp_path / "mine.tar").write_text("none")
    with pytest.raises(BadInput, match="that runs wherever it is put"):
        _bundle(tmp_path, where, tmp_path / "mine.tar")


def test_one_that_does_not_start_on_the_machine_it_arrives_at_is_refused_and_nothing_is_left(tmp_path, where):
    here = tmp_path / "only-here"
    here.touch()
    bundle = _bundle(tmp_path, where, _python(tmp_path / "mine", f"test -e {here} && {SAYS}"))
    here.unlink()
    with pytest.raises(BadInput, match=r"cpython-3\.11\.99\.tar: expected a Python"):
        load(bundle, where, lambda _: None)
    assert [*(where.home / "python").iterdir()] == []


def test_a_python_of_a_bundle_that_was_altered_is_named(tmp_path, where):
    bundle = _bundle(tmp_path, where, _python(tmp_path / "mine"))
    with (bundle / "python" / "cpython-3.11.99.tar").open("ab") as stream:
        stream.write(b"more")
    assert "python/cpython-3.11.99.tar: altered" in differences(bundle)[0]
