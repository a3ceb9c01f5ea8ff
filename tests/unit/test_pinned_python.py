"""Environments have one Python whatever Python calm itself runs on: the machine's, a named one, one uv brings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from contract.files import sha256
from orchestrator.engines import python as pinned
from orchestrator.errors import BadInput
from orchestrator.paths import layout

REAL = pinned.found_python()
NEEDED = pytest.mark.skipif(REAL is None, reason=f"needs python{pinned.VERSION}, which no package here can replace")
BUILD = f"cpython-{pinned.VERSION}.99"


@pytest.fixture
def _bare(tmp_path, monkeypatch):
    """Let calm run on another Python, on a machine that has none of the pinned version."""
    pinned.version_of.cache_clear()
    other = _script(tmp_path / "python3.14", "echo 3.14.0")
    monkeypatch.setattr(sys, "executable", str(other))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CALM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(pinned.VARIABLE, raising=False)


def _script(path, command):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return path


def _mirror(folder):
    """Write a list of downloads, as uv reads it, with an archive that starts a Python of this machine."""
    _script(folder / "python" / "bin" / f"python{pinned.VERSION}", f'exec {REAL} "$@"')
    library = folder / "python" / "lib" / f"python{pinned.VERSION}"
    library.mkdir(parents=True)
    asked = [REAL, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
    known = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    for path in known.glob("_sysconfigdata_*.py"):  # uv writes its own paths into it
        shutil.copy(path, library)
    archive = folder / f"{BUILD}-install_only.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / "python", "python")
    key = f"{BUILD}-linux-x86_64-gnu"
    described = {
        "name": "cpython", "arch": {"family": "x86_64", "variant": None}, "os": "linux", "libc": "gnu", "major": 3,
        "minor": 11, "patch": 99, "prerelease": "", "url": archive.as_uri(), "sha256": sha256(archive), "variant": None,
        "build": "20260101",
    }  # fmt: skip
    listed = folder / "downloads.json"
    listed.write_text(json.dumps({key: described}))
    return listed


@NEEDED
@pytest.mark.usefixtures("_bare")
def test_a_machine_without_it_is_brought_one_and_has_it_from_then_on(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(_mirror(tmp_path / "mirror")))
    assert pinned.found_python() is None
    brought = pinned.python()
    assert brought.is_relative_to(layout().home / "python")
    monkeypatch.delenv("UV_PYTHON_DOWNLOADS_JSON_URL")
    assert pinned.python() == brought


@pytest.mark.slow
@pytest.mark.usefixtures("_bare")
def test_where_none_can_be_downloaded_the_error_says_how_to_give_one(monkeypatch):
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match="could not download one") as refused:
        pinned.python()
    assert "CALM_PYTHON=/path/to/python3.11" in refused.value.hint


@NEEDED
@pytest.mark.usefixtures("_bare")
def test_one_that_is_named_is_taken(tmp_path, monkeypatch):
    named = _script(tmp_path / "mine", f'exec {REAL} "$@"')
    monkeypatch.setenv("CALM_PYTHON", str(named))
    assert pinned.python() == named


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize("named", ["", "no-such-python", "python3.14"])
def test_one_that_is_named_and_does_not_fit_is_refused(tmp_path, monkeypatch, named):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CALM_PYTHON", named)
    with pytest.raises(BadInput, match="expected the path of a Python"):
        pinned.python()


@pytest.mark.usefixtures("_bare")
def test_what_keeps_a_named_one_from_starting_is_told(tmp_path, monkeypatch):
    named = _script(tmp_path / "mine", "echo libpython3.11.so: no such file >&2; exit 127")
    monkeypatch.setenv("CALM_PYTHON", str(named))
    with pytest.raises(BadInput, match=r"libpython3\.11\.so: no such file"):
        pinned.python()
