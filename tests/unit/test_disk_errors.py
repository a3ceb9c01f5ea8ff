"""A disk that refuses calm itself is one sentence with a path, a hint and an exit code; real disks where possible."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
from small_disk import small_disk

from orchestrator.cli.disk_errors import disk_error
from orchestrator.errors import BadInput


def _fill(disk):
    """Leave no byte free."""
    (disk / "filler").write_bytes(b"\0" * os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize)


def _told(done, code):
    """Return the error and the hint of a command that ended in one sentence."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    error, hint = done.stderr.strip().splitlines()[-2:]
    assert hint.startswith("Hint: ")
    return error


def test_a_full_disk_below_calm_itself_is_one_sentence_with_the_place(calm, movie, tmp_path):
    with small_disk(tmp_path / "home", "size=100k,nr_inodes=50") as home:
        _fill(home)
        done = calm("run", "identity", "--input", movie, CALM_HOME=str(home))
        error = _told(done, 1)
        assert "no space is left" in error
        assert str(home) in error


def test_a_bundle_that_does_not_fit_is_one_sentence_and_leaves_nothing(calm, tmp_path):
    """Its wheels are copied as a tree, and Python gives the errors of a tree as text."""
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        error = _told(calm("bundle", "create", disk / "new.tar", "identity", "--images", "none"), 1)
        assert ".whl: no space is left on its disk" in error
        assert list(disk.iterdir()) == []


def test_a_read_only_disk_below_calm_itself_is_one_sentence_with_the_place(calm, movie, tmp_path):
    with small_disk(tmp_path / "home", "ro") as home:
        done = calm("run", "identity", "--input", movie, CALM_HOME=str(home / "calm"))
        assert f"{home}" in _told(done, 2)
        assert "read-only file system" in done.stderr


def test_debug_shows_where_the_disk_refused(calm, movie, tmp_path):
    with small_disk(tmp_path / "home", "ro") as home:
        done = calm("--debug", "run", "identity", "--input", movie, CALM_HOME=str(home / "calm"))
        assert "Traceback" in done.stderr
        assert "[Errno 30] Read-only file system" in done.stderr


def test_the_fullest_of_the_places_is_named_where_the_system_names_none(tmp_path):
    with small_disk(tmp_path / "small", "size=100k") as small:
        _fill(small)
        with pytest.raises(OSError, match="No space left") as caught, (small / "more").open("wb") as stream:
            stream.write(b"1")
        told = disk_error(caught.value, [tmp_path, small / "not" / "yet"])
        assert told.exit_code == 1
        assert told.message.startswith(f"{small}: no space is left")


def test_a_copied_tree_that_did_not_fit_is_named_by_the_file_that_was_written(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(bytes(200_000))
    with small_disk(tmp_path / "small", "size=100k") as small:
        with pytest.raises(shutil.Error) as caught:
            shutil.copytree(tmp_path / "tree", small / "tree")
        told = disk_error(caught.value, [])
        assert told.message.startswith(f"{small / 'tree' / 'file'}: no space is left")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/a"), 1, "/a: the disk quota"),
        (OSError(errno.ENOSPC, "No space left on device", "/from", None, "/to"), 1, "/to: no space"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), 2, "/a: expected the permission"),
        (PermissionError(errno.EPERM, "Operation not permitted", b"/a"), 2, "/a: expected the permission"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/a"), 2, "/a: expected a file"),
        (OSError(errno.EIO, "Input/output error", "/a"), 2, "/a: expected a file"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/a"), 2, "/a: expected a file"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/a"), 2, "/a: expected a file"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), 1, "'/tmp'"),
    ],
)
def test_each_refusal_names_its_path_and_has_an_exit_code(error, kind, words):
    told = disk_error(error, [])
    assert words in told.message
    assert told.exit_code == kind
    assert isinstance(told, BadInput) == (kind == BadInput.exit_code)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EPERM, "Operation not permitted"),  # of a signal, not of a file
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        shutil.Error("no list"),
    ],
)
def test_any_other_error_of_the_system_keeps_its_traceback(error):
    assert disk_error(error, []) is None
