"""Checksums are computed once for each state of a file, by any number of processes at a time."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from orchestrator.data.checksums import Checksums, Memory
from orchestrator.documents import read_sealed, write_sealed
from orchestrator.errors import BadInput

MANY = """
import sys
from pathlib import Path
from orchestrator.data.checksums import Checksums
memory = Checksums(Path(sys.argv[1]) / "checksums.json")
for path in sorted(Path(sys.argv[1]).glob(sys.argv[2])):
    memory.of(path)
"""


def test_a_file_has_the_digests_of_hashlib_and_a_changed_file_has_new_ones(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    memory = Checksums(tmp_path / "checksums.json")
    assert memory.of(path) == hashlib.sha256(b"one").hexdigest()
    assert memory.of(path, "md5") == hashlib.md5(b"one").hexdigest()  # noqa: S324 - what Zenodo publishes
    path.write_bytes(b"two")
    assert Checksums(tmp_path / "checksums.json").of(path) == hashlib.sha256(b"two").hexdigest()


def test_a_file_that_has_not_changed_is_not_hashed_again(tmp_path):
    path, memory = tmp_path / "a", tmp_path / "checksums.json"
    path.write_bytes(b"one")
    Checksums(memory).of(path)
    (name,) = read_sealed(memory, Memory).known
    write_sealed(memory, Memory(known={name: "as remembered"}))
    assert Checksums(memory).of(path) == "as remembered"


def test_two_processes_at_once_lose_nothing_of_each_other(tmp_path):
    for name in range(60):
        (tmp_path / f"{'ab'[name % 2]}{name}").write_bytes(bytes([name]))
    running = [subprocess.Popen([sys.executable, "-c", MANY, tmp_path, pattern]) for pattern in ("a*", "b*")]
    assert [process.wait() for process in running] == [0, 0]
    before = (tmp_path / "checksums.json").read_bytes()
    for path in sorted(tmp_path.glob("[ab]*")):
        Checksums(tmp_path / "checksums.json").of(path)
    assert (tmp_path / "checksums.json").read_bytes() == before  # all were known


def test_a_file_that_is_nearly_all_hole_is_refused_before_hours_of_reading(tmp_path):
    path = tmp_path / "movie.tif"
    with path.open("wb") as stream:
        stream.write(b"II*\0")
        stream.truncate(2**41)
    with pytest.raises(BadInput, match="of them a hole"):
        Checksums(tmp_path / "checksums.json").of(path)
