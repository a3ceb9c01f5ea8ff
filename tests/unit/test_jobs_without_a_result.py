"""A job without a result, on a disk without space: the disk is named before anything else is blamed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_disk import small_disk

from contract.__main__ import _ending_of as ending_of
from orchestrator.domain import Exit
from orchestrator.errors import AlgorithmFailed
from orchestrator.paths import refusal_of
from orchestrator.runs import endings as module
from orchestrator.runs.session import Session


def _error_of(folder, code):
    job = SimpleNamespace(job="mean/train", folder=folder)
    return module._crash(job, Exit(code=code, output="killed"), 2**30, folder / "log.txt")  # noqa: SLF001


@pytest.mark.parametrize("code", [1, -9, 139])
def test_a_full_disk_is_named_before_a_signal_or_an_exit_code(tmp_path, code):
    with small_disk(tmp_path / "small", "size=100k") as disk:
        (disk / "filler").write_bytes(b"\0" * os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize)
        error = _error_of(disk, code)
        assert isinstance(error, AlgorithmFailed)
        assert f"{disk} cannot be written to: No space left on device" in error.message
        assert sorted(path.name for path in disk.iterdir()) == ["filler"]


def test_a_quota_that_is_used_up_is_named_as_that(tmp_path, monkeypatch):
    def used_up(*_):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "fsync", used_up)
    assert "cannot be written to: Disk quota exceeded" in _error_of(tmp_path, 1).message


def test_a_folder_that_takes_files_is_not_blamed(tmp_path):
    assert refusal_of(tmp_path) is None
    assert "cannot be written to" not in _error_of(tmp_path, -9).message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_inside_a_job_is_known_by_its_number(number):
    assert ending_of(OSError(number, os.strerror(number), "/out/movie.tif")).kind == "DiskFull"


def test_a_path_made_of_the_words_of_a_fault_gets_no_hint_for_it():
    job = SimpleNamespace(job="mean/train", folder=Path("/out/train"), checkpoint=Path("/out/checkpoint"))
    message = "/data/No space left on device/CUDA out of memory.tif: expected a movie, got nothing"
    for kind in ("AlgorithmFailed", "FileNotFoundError", "ValueError"):
        result = SimpleNamespace(status="failed", error=SimpleNamespace(kind=kind, message=message))
        assert module.ending_of(job, result, Exit(code=1), 2**30).hint.startswith("The whole story is in")


@pytest.mark.parametrize(("keeps", "said"), [(True, 0), (False, 1)])
def test_a_memory_limit_that_an_engine_cannot_keep_is_said_at_the_prompt(monkeypatch, keeps, said):
    engine = SimpleNamespace(name="venv", promises=lambda: {"memory_limit": keeps}, find=lambda _: "here")
    monkeypatch.setattr("orchestrator.runs.session.chosen_engine", lambda *_: engine)
    monkeypatch.setattr("orchestrator.runs.session.check_caches", lambda *_: None)
    lines = []
    session = Session(layout=None, engine_name="venv", progress=None, say=lines.append, memory_bytes=2**30)
    session.build(SimpleNamespace(full_name="mean"), SimpleNamespace(python=None, variant="cpu"))
    assert [line for line in lines if "cannot keep a memory limit" in line] == lines
    assert len(lines) == said
