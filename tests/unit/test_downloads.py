"""What will be downloaded is said with its size before it begins, and how far it is while it goes on."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from contract.files import sha256
from orchestrator.domain import Image
from orchestrator.engines import downloads, process
from orchestrator.engines.build import follow
from orchestrator.engines.downloads import Download, download_of
from orchestrator.engines.locks import read_lock
from orchestrator.engines.sizes import NAME, read_sizes, record_sizes
from orchestrator.engines.venv import VenvEngine
from orchestrator.engines.wheelhouse import _bar, fill_wheelhouse
from orchestrator.errors import BadInput
from orchestrator.paths import RunFolder, layout
from orchestrator.runs.session import Session

BYTES = 3_000_000


class Noted:
    """A progress that remembers."""

    def __init__(self):
        self.titles, self.events, self.ended = [], [], 0

    def begin(self, title):
        self.titles.append(title)

    def event(self, event):
        self.events.append((event.step, event.steps))

    def end(self):
        self.ended += 1


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Return a function that makes a wheel which pip finds, and the line of a lock for it."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(folder)), ("PIP_CONFIG_FILE", os.devnull)):
        monkeypatch.setenv(name, value)

    def add(name, version="1.0"):
        wheel = folder / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{name}/data.bin", os.urandom(BYTES))
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", "")
        return f"{name}=={version} --hash=sha256:{sha256(wheel)}\n"

    return add


def _image(folder, *lines):
    folder.mkdir(parents=True)
    lock = folder / "requirements-cpu.lock"
    lock.write_text("".join(lines))
    wheels = folder.parent / "home" / "wheels" / f"cpu-{folder.name}"
    return Image(algorithm=folder.name, variant="cpu", digest="0", lock=lock, wheelhouse=wheels, context=folder)


def _where(tmp_path):
    return replace(layout(), home=tmp_path / "home")


def test_the_size_of_every_file_of_every_lock_is_recorded():
    where = layout()
    locks = [*where.containers.glob("*/requirements*.lock"), *where.workflow.glob("requirements*.lock")]
    assert locks
    assert [
        f"{lock}: {pin.name}" for lock in locks for pin in read_lock(lock) if pin.sha256 not in read_sizes(lock)
    ] == []


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((0, 0, 0, False), "nothing"),
        ((3, 43_600_000, 0, False), "3 packages, at most 44 MB"),
        ((3, 43_600_000, 1, True), "3 packages, at most 44 MB and 1 of unknown size; Python 3.11, size unknown"),
        ((2, 0, 2, False), "2 packages, 2 of unknown size"),
        ((0, 0, 0, True), "Python 3.11, size unknown"),
    ],
)
def test_sizes_are_said_and_what_is_not_known_is_called_unknown(counts, words):
    packages, size, unknown, python = counts
    assert str(Download(packages=packages, bytes=size, unknown=unknown, python=python)) == f"to download: {words}"


def _no_links(*_):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.slow
@pytest.mark.parametrize("link", [os.link, _no_links], ids=["links", "a disk without links"])
def test_what_lies_in_any_wheelhouse_is_not_counted_and_not_asked_for_again(tmp_path, index, monkeypatch, link):
    monkeypatch.setattr(os, "link", link)
    first, second = index("one"), index("two")
    filled = _image(tmp_path / "a", first)
    wanted = _image(tmp_path / "b", first, second)
    (tmp_path / "b" / NAME).write_text(json.dumps({pin.sha256: BYTES for pin in read_lock(wanted.lock)}))
    assert download_of([filled, wanted], _where(tmp_path)).packages == 2
    fill_wheelhouse(filled.lock, filled.wheelhouse)
    left = download_of([filled, wanted], _where(tmp_path))
    assert (left.packages, left.bytes, left.unknown) == (1, BYTES, 0)
    (tmp_path / "index" / "one-1.0-py3-none-any.whl").unlink()
    fill_wheelhouse(wanted.lock, wanted.wheelhouse)
    assert download_of([filled, wanted], _where(tmp_path)).packages == 0
    monkeypatch.setattr(downloads, "found_python", lambda: None)
    assert download_of([wanted], _where(tmp_path)).python


@pytest.mark.slow
def test_a_wheel_that_was_altered_is_downloaded_again(tmp_path, index):
    line = index("one")
    filled, wanted = _image(tmp_path / "a", line), _image(tmp_path / "b", line, index("two"))
    fill_wheelhouse(filled.lock, filled.wheelhouse)
    altered = filled.wheelhouse / "one-1.0-py3-none-any.whl"
    altered.write_bytes(altered.read_bytes() + b"more")
    fill_wheelhouse(wanted.lock, wanted.wheelhouse)
    assert sha256(wanted.wheelhouse / altered.name) == read_lock(wanted.lock)[0].sha256


@pytest.mark.slow
@pytest.mark.parametrize("sized", [True, False])
def test_a_download_is_a_bar_of_megabytes_or_where_a_size_is_unknown_of_files(tmp_path, index, sized):
    image = _image(tmp_path / "a", index("one"), index("two"))
    if sized:
        (tmp_path / "a" / NAME).write_text(json.dumps({pin.sha256: BYTES for pin in read_lock(image.lock)}))
    noted = Noted()
    fill_wheelhouse(image.lock, image.wheelhouse, noted)
    steps = 2 * BYTES // 10**6 if sized else 2
    assert noted.titles == [f"downloading 2 packages{', in MB' if sized else ''}"]
    assert noted.events[-1] == (steps, steps)
    assert noted.ended == 1


@pytest.mark.slow
def test_an_install_is_a_bar_that_ends_full(tmp_path, index):
    image = _image(tmp_path / "a", index("one"), index("two"))
    fill_wheelhouse(image.lock, image.wheelhouse)
    noted = Noted()
    VenvEngine(_where(tmp_path)).build(replace(image, context=tmp_path / "none"), noted)
    assert noted.titles == ["installing 2 packages"]
    assert noted.events[-1][0] == noted.events[-1][1]
    assert noted.ended == 1


@pytest.mark.slow
def test_sizes_are_recorded_from_files_and_left_out_where_nobody_tells(tmp_path, index):
    here, gone = index("one", "1.0+cpu"), f"gone==1.0+cpu --hash=sha256:{'0' * 64}\n"
    image = _image(tmp_path / "a", gone, here)
    record_sizes(image.lock.parent)
    wheel = tmp_path / "index" / "one-1.0+cpu-py3-none-any.whl"
    assert read_sizes(image.lock) == {sha256(wheel): wheel.stat().st_size}


def test_a_record_of_sizes_that_cannot_be_read_is_refused_with_the_command_that_mends_it(tmp_path):
    image = _image(tmp_path / "a", f"one==1.0 --hash=sha256:{'0' * 64}\n")
    (tmp_path / "a" / NAME).write_text('{"short": 1}')
    with pytest.raises(BadInput) as caught:
        download_of([image], _where(tmp_path))
    assert "calm lock a --sizes" in caught.value.hint


@pytest.mark.parametrize("said", ["Step {}/2 : RUN true\n", "[2/2] STEP {}/2: RUN true\n"])
def test_the_steps_of_an_image_build_are_told(said):
    noted = Noted()
    follow(iter([{"stream": said.format(1)}, {"stream": "Step one\n"}, {"stream": said.format(2)}]), "calm", noted)
    assert noted.events == [(0, 2), (1, 2)]


def test_a_run_says_at_its_start_what_all_its_environments_will_download(tmp_path, index):
    images = [_image(tmp_path / name, index(name)) for name in ("one", "two")]
    said = []

    class Bare(Session):
        def engine(self, algorithm, image):  # noqa: ARG002 - as in the session
            return SimpleNamespace(find=lambda _: None, unusable=())

        def build(self, algorithm, image):
            said.append(image.algorithm)
            return self.engine(algorithm, image)

    plans = [
        SimpleNamespace(algorithm="any", image=image, folder=RunFolder(path=tmp_path / "run"), jobs=tuple)
        for image in images
    ]
    Bare(layout=_where(tmp_path), engine_name="venv", progress=None, say=said.append).make_ready(plans)
    assert said == ["Packages of 2 locks are not here; to download: 2 packages, 2 of unknown size.", "one", "two"]


def test_files_that_pip_moves_on_while_they_are_counted_stop_nothing(index, tmp_path, monkeypatch):
    """A download of 41 MB ended in continuous integration with "nothing of that name", and a program was blamed."""
    image, noted = _image(tmp_path / "a", index("one")), Noted()
    folder = tmp_path / "pip-unpack-x"
    folder.mkdir()
    for name in ("first", "second", "third"):
        (folder / name).write_bytes(bytes(BYTES))
    stat = Path.stat

    def vanishes(path, **options):
        if path.name == "first":
            path.unlink(missing_ok=True)
        found = stat(path, **options)
        if path.name == "second":
            path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "stat", vanishes)
    (pin,) = read_lock(image.lock)
    with _bar([pin], {pin.sha256: 4 * BYTES}, noted) as watch:
        watch(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["third"]
    assert noted.events == [(2 * BYTES // 10**6, 12), (12, 12)]


def test_a_file_that_is_missing_while_a_program_is_watched_is_not_taken_for_that_program():
    def watch():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "other")

    with pytest.raises(FileNotFoundError, match="other"):
        process.run(["/bin/sleep", "5"], watch=watch)
    with pytest.raises(BadInput, match=r"^/nowhere/program: expected an installed program"):
        process.run(["/nowhere/program"])
