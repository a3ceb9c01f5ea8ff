"""What a user may type by mistake, command by command: refused in one sentence with a hint, and nothing written."""

from __future__ import annotations

import os
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from orchestrator import paths
from orchestrator.bundle.inventory import inventory
from orchestrator.cli import main
from orchestrator.cli.deliver import delivering

MOVIE = np.random.default_rng(0).poisson(100, (12, 24, 26)).astype(np.uint16)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder with a movie and other things, where commands have caches and outputs of their own."""
    where = replace(paths.layout(), home=tmp_path / "home", outputs=tmp_path / "outputs")
    monkeypatch.setattr(paths, "layout", lambda: where)
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    tifffile.imwrite(folder / "movie.tif", MOVIE)
    tifffile.imwrite(folder / f"{'m' * 240}.tif", MOVIE)
    tifffile.imwrite(folder / "\x1b[31mred.tif", MOVIE[:, :8, :8])
    tifffile.imwrite(folder / "all-nan.tif", np.full(MOVIE.shape, np.nan, np.float32))
    tifffile.imwrite(folder / "large.tif", MOVIE.astype(np.float32) * 1e30)
    (folder / "text.txt").write_text("hello")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.tif")
    return folder


def _refused(capsys, *command):
    with pytest.raises(SystemExit) as ended:
        main([*command])
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    return said


REFUSED = {
    "an empty movie": (("inspect", ""), "expected a path, got an empty text"),
    "an empty run": (("report", ""), "expected a path, got an empty text"),
    "an empty output": (("denoise", "movie.tif", "-o", ""), "expected a path, got an empty text"),
    "a pipe as movie": (("inspect", "pipe.tif"), "pipe.tif: expected a movie, got a device or a pipe"),
    "a device as movie": (("inspect", "/dev/zero"), "/dev/zero: expected a movie, got a device or a pipe"),
    "a device as bundle": (("bundle", "verify", "/dev/zero"), "bundle.json, got a device or a folder"),
    "a text as bundle": (("bundle", "load", "text.txt"), "got a file that cannot be read (ReadError: "),
    "a folder as bundle": (("bundle", "verify", "folder"), "bundle.json, got no such file"),
    "an endless table": (("reproduce", "--from-csv", "/dev/zero"), "at most 256 MiB, got more"),
    "a text as archive": (("sif", "mean", "--archive", "text.txt"), ""),
    "a name too long": (("inspect", f"{'m' * 240}.tif"), "expected a name of at most 200 bytes, got 244"),
    "no number at all": (("inspect", "all-nan.tif"), "got NaN or infinity at every pixel of every frame"),
    "numbers of no detector": (("inspect", "large.tif"), "expected values of at most 1e+12 in size, got"),
    "too much memory": (("denoise", "movie.tif", "--memory", "1e300"), "1e+300 is not in the range"),
    "too many threads": (("denoise", "movie.tif", "--threads", "9999999"), "9999999 is not in the range"),
    "an endless frame": (("inspect", "movie.tif", "--frame-rate", "1e-300"), "1e-300 is not in the range"),
    "a parameter twice": (
        ("run", "mean", "--input", "movie.tif", "--param", "window=3", "--param", "window=5"),
        "expected each parameter once, got window as 3 and as 5",
    ),
    "an output that takes no file": (
        ("denoise", "movie.tif", "--algorithm", "mean", "-o", "/proc/none/x.tif"),
        "/proc: expected a folder that can be written to, got: ",
    ),
    "a page that takes no place": (
        ("compare", "movie.tif", "--to", "/proc/none/page.html"),
        "/proc: expected a folder that can be written to, got: ",
    ),
    "a bundle that takes no place": (
        ("bundle", "create", "/proc/none/calm.tar", "mean"),
        "/proc: expected a folder that can be written to, got: ",
    ),
    "an algorithm without a name": (("new", ""), "expected a name of small letters, digits, _ and -, got "),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_refused_in_one_sentence_before_anything_is_written(place, capsys, mistake):
    command, sentence = REFUSED[mistake]
    before = sorted(path for path in place.parent.rglob("*") if place.parent / "home" not in (path, *path.parents))
    said = _refused(capsys, *command)
    assert sentence in said
    assert len(said.strip().splitlines()) <= 4  # click explains the usage of a command in three
    after = sorted(path for path in place.parent.rglob("*") if place.parent / "home" not in (path, *path.parents))
    assert after == before


def test_what_a_terminal_would_obey_in_the_name_of_a_file_is_spelled_out(place, capsys):
    said = _refused(capsys, "inspect", "\x1b[31mred.tif")
    assert f"{place}/\\x1b[31mred.tif: expected frames of at least 11 pixels" in said
    assert "\x1b" not in said


def test_a_file_of_the_user_beside_the_place_of_a_denoised_movie_stays(place):
    (place / "out.tif.part").write_text("mine")
    with delivering(place / "out.tif", place / "delivered.json") as part:
        part.write_bytes(b"ours")
    assert (place / "out.tif").read_bytes() == b"ours"
    assert (place / "out.tif.part").read_text() == "mine"
    assert not list(place.glob("calm-scratch-*"))


def test_a_sparse_member_of_an_archive_is_no_file_however_large_it_says_to_be(tmp_path):
    with tarfile.open(tmp_path / "bundle.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        member = tarfile.TarInfo("data/huge")
        member.type = tarfile.GNUTYPE_SPARSE
        tar.addfile(member)
    content = bytearray((tmp_path / "bundle.tar").read_bytes())
    content[483:495] = b"377777777777"  # the size that it has once it is unpacked: 34 GB
    content[148:156] = b"        "
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    (tmp_path / "bundle.tar").write_bytes(content)
    (found,) = inventory(tmp_path / "bundle.tar").values()
    assert found.sha256 == "none: a link, or no ordinary file"
