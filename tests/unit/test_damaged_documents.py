"""Every document of a run, damaged in ten ways: exit code 2, one sentence with its path, nothing written."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import tifffile

from orchestrator.cli import main

DOCUMENTS = ("run.json", "scores.json", "checks.json", "frames.csv", "predictions/train/movie.tif")
COMMANDS = ("evaluate", "report", "crate", "diff")
NOT_READ = {  # what a command does not need is no business of it
    "crate": ("scores.json", "checks.json", "frames.csv"),
    "diff": ("scores.json", "checks.json", "frames.csv", "predictions/train/movie.tif"),
    "evaluate": ("checks.json",),
}


@pytest.fixture(scope="module")
def original(shared_calm, tmp_path_factory):
    """Return the folder of a finished and reported run of the control mean."""
    movie = tmp_path_factory.mktemp("movies") / "movie.tif"
    tifffile.imwrite(movie, np.random.default_rng(1).poisson(100, (20, 32, 40)).astype(np.uint16))
    assert shared_calm("run", "mean", "--input", movie, "--engine", "venv").returncode == 0
    return shared_calm.run_folder("mean-movie-default")


@pytest.fixture
def run(original, tmp_path):
    """Return a copy of that run, with its times."""
    return shutil.copytree(original, tmp_path / "outputs" / "mean-movie-default" / original.name)


def _without_a_field(path):
    if path.suffix == ".json":
        document = json.loads(path.read_text())
        document.pop(min(document))
        path.write_text(json.dumps(document))
    else:
        path.write_bytes(path.read_bytes().replace(b"residual_mean", b"", 1)[:-1])


def _with_a_field(path):
    if path.suffix == ".json":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"more": 1}))
    else:
        path.write_bytes(path.read_bytes() + b"more,1,2,3\n")


def _digits_swapped(path):
    """Swap the first two different digits that stand side by side after the first hundred bytes."""
    data = path.read_bytes()
    found = re.compile(rb"[1-9]{2}").finditer(data, 100)
    pair = next(one for one in found if one[0][:1] != one[0][1:])
    path.write_bytes(data[: pair.start()] + pair[0][::-1] + data[pair.end() :])


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "[]": lambda path: path.write_text("[]"),
    "{}": lambda path: path.write_text("{}"),
    "wrong type": lambda path: path.write_bytes(re.sub(rb"\d+", b'"x"', path.read_bytes(), count=1) + b" "),
    "wrong encoding": lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
    "huge number": lambda path: path.write_bytes(re.sub(rb"\d+", b"9" * 400, path.read_bytes(), count=1)),
    "missing field": _without_a_field,
    "extra field": _with_a_field,
    "digits swapped": _digits_swapped,
}


def _ended(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    return ended.value.code, capsys.readouterr().err


def _state(folder):
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_that_reads_a_damaged_document_says_so_and_writes_nothing(run, capsys, document, damage):
    DAMAGES[damage](run / document)
    before = _state(run)
    for command in COMMANDS:
        if document not in NOT_READ.get(command, ()):
            code, said = _ended((command, run, *((run,) if command == "diff" else ())), capsys)
            assert code == 2, (command, said)
            assert str(run / document) in said
            assert re.fullmatch(r"Error: [^\n]+\nHint: [^\n]+\n", said)
            assert _state(run) == before
