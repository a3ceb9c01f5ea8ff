"""Filling a wheelhouse on a full disk: real pip, a real small disk, a package made here."""

from __future__ import annotations

import hashlib
import os
import zipfile

import pytest
from small_disk import small_disk

from orchestrator.engines import process
from orchestrator.engines.wheelhouse import fill_wheelhouse
from orchestrator.errors import AlgorithmFailed

NO_SPACE = "no space left on a disk it wrote to"  # of the failure vocabulary


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """Return a lock of one package of 300 KB, which pip finds in a folder and nowhere else."""
    wheel = tmp_path / "index" / "big-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("big/data.bin", os.urandom(300_000))
        archive.writestr("big-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: big\nVersion: 1.0\n")
        archive.writestr("big-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("big-1.0.dist-info/RECORD", "")
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(wheel.parent)), ("PIP_CONFIG_FILE", os.devnull)):
        monkeypatch.setenv(name, value)
    path = tmp_path / "requirements-cpu.lock"
    path.write_text(f"big==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    return path


def test_a_full_disk_is_called_so_and_nothing_is_said_of_the_connection(lock, tmp_path):
    with small_disk(tmp_path / "home", "size=200k") as home:
        with pytest.raises(AlgorithmFailed) as caught:
            fill_wheelhouse(lock, home / "wheels" / "cpu-1")
        assert NO_SPACE in caught.value.message
        assert len(caught.value.message.splitlines()) == 1
        assert "CALM_HOME" in caught.value.hint
        assert "connection" not in caught.value.hint


@pytest.mark.slow
def test_a_package_that_is_nowhere_is_still_a_matter_of_the_connection(lock, tmp_path):
    lock.write_text("nowhere==1.0 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(AlgorithmFailed) as caught:
        fill_wheelhouse(lock, tmp_path / "wheels" / "cpu-1")
    assert "connection" in caught.value.hint


@pytest.mark.parametrize("full_at", [0, 1])
def test_a_disk_that_fills_up_at_either_index_is_what_the_user_is_told(tmp_path, monkeypatch, full_at):
    """The CPU wheels of torch are asked for at a second index; the words are those of pip 24."""
    lock = tmp_path / "requirements-cpu.lock"
    lock.write_text("torch==2.13.0+cpu --hash=sha256:" + "0" * 64 + "\n")
    said = ["ERROR: No matching distribution found for torch==2.13.0+cpu"] * 2
    said[full_at] = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    answers = iter(said)

    def answer(*_, **__):
        raise AlgorithmFailed(next(answers), "")

    monkeypatch.setattr(process, "run", answer)
    with pytest.raises(AlgorithmFailed, match=NO_SPACE):
        fill_wheelhouse(lock, tmp_path / "wheels" / "cpu-1")
