"""What calm starts ends with it, however calm ends; a stop is one sentence and exit code 130, whatever was going on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.engines import process
from orchestrator.scratch import scratch, sweep

# A program that starts another one, as `python -m venv` starts pip: that one has no parent once the first is killed.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])
print("started", flush=True)
time.sleep(600)
"""
STARTER = """
import os, sys
from pathlib import Path
from orchestrator.cli.endings import stop_raises
from orchestrator.engines import process
from orchestrator.scratch import scratch
stop_raises()
command = [sys.executable, "-c", {family!r}, {mark!r}]
with scratch(Path({folder!r})) as made:
    if {how!r} == "run":
        process.run(command)
    elif {how!r} == "run_watched":
        process.run_watched(command, environment=os.environ, cwd=made, watch=lambda: None)
    else:
        with process.served(command, cwd=made):
            import time; time.sleep(600)
"""


def _marked(mark):
    """Return the processes that have a mark in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:
            found.append(path.parent.name)
    return found


def _until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
@pytest.mark.parametrize("how", ["run", "run_watched", "served"])
def test_programs_and_what_they_started_end_with_calm(tmp_path, how, number):
    mark = f"mark-of-{tmp_path}"
    code = STARTER.format(family=FAMILY, mark=mark, folder=str(tmp_path), how=how)
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as started:
        _until(lambda: len(_marked(mark)) == 2)
        started.send_signal(number)
        started.wait(60)
    _until(lambda: not _marked(mark))
    sweep([tmp_path])
    assert list(tmp_path.iterdir()) == []


def test_what_a_program_left_in_the_background_ends_with_it(tmp_path):
    mark = f"mark-of-{tmp_path}"
    process.run(["sh", "-c", f"{sys.executable} -c 'import time; time.sleep(600)' {mark} >/dev/null 2>&1 &"])
    _until(lambda: not _marked(mark))


@pytest.mark.timeout(60)
def test_a_stop_that_comes_while_popen_takes_its_lock_ends_the_program_all_the_same(tmp_path):
    """Seen once on a busy machine: SIGTERM, and a calm that waited for ever for a program that was gone."""
    with process.served(["sleep", "600"], cwd=tmp_path) as service:
        service.process._waitpid_lock.acquire()  # noqa: SLF001 - as `Popen.wait` does, where a stop may come next
    assert service.process.returncode == -signal.SIGTERM


def test_a_temporary_folder_is_deleted_by_its_owner_and_kept_from_others(tmp_path):
    with scratch(tmp_path) as folder:
        (folder / "file").touch()
        sweep([tmp_path])
        assert (folder / "file").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_without_an_owner_is_swept_and_other_files_stay(tmp_path):
    (tmp_path / "calm-scratch-0" / "inside").mkdir(parents=True)
    (tmp_path / "calm-scratch-0.lock").touch()
    (tmp_path / "calm-scratch-of-a-user").mkdir()
    sweep([tmp_path, tmp_path / "missing"])
    assert [path.name for path in tmp_path.iterdir()] == ["calm-scratch-of-a-user"]


def test_the_sweep_follows_no_link(tmp_path):
    (tmp_path / "of-a-user").mkdir()
    (tmp_path / "of-a-user" / "file").write_text("mine")
    (tmp_path / "calm-scratch-0").symlink_to(tmp_path / "of-a-user")
    (tmp_path / "calm-scratch-0.lock").touch()
    (tmp_path / "calm-scratch-1.lock").symlink_to(tmp_path / "of-a-user" / "file")
    sweep([tmp_path])
    assert (tmp_path / "of-a-user" / "file").read_text() == "mine"


# A module that every command loads, in whose place the test stops the command: while loading, reading options, working.
PLACES = {
    "loading": "import orchestrator.errors as m; import os, signal; stop = lambda: os.kill(os.getpid(), {number})\n"
    "import click; init = click.Command.__init__\n"
    "def slow(*a, **k):\n    stop(); init(*a, **k)\nclick.Command.__init__ = slow\n",
    "reading options": "import os, click; convert = click.Choice.convert\n"
    "def slow(*a, **k):\n    os.kill(os.getpid(), {number}); return convert(*a, **k)\nclick.Choice.convert = slow\n",
    "working": "import os, orchestrator.paths as m; layout = m.layout\n"
    "def slow():\n    os.kill(os.getpid(), {number}); return layout()\nm.layout = slow\n",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
@pytest.mark.parametrize("place", PLACES)
def test_a_stop_anywhere_is_one_sentence_a_hint_and_130(calm, place, number):
    code = PLACES[place].format(number=int(number)) + "from orchestrator.cli import main; main()"
    command = [sys.executable, "-c", code, "build", "identity", "--engine", "venv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=calm.environment())
    assert done.returncode == 130, done.stderr
    assert done.stderr == (
        "Error: stopped from outside, by Ctrl-C or SIGTERM\nHint: The same command goes on where this one stopped.\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_a_stop_after_the_work_is_done_changes_nothing(calm, number):
    code = (
        "import os\nclass Last:\n    def __del__(self, kill=os.kill, me=os.getpid()):\n"
        f"        kill(me, {int(number)})\nimport sys; sys.last = Last()\n"
        "from orchestrator.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "list", "mean"],
        capture_output=True,
        text=True,
        check=False,
        env=calm.environment(),
    )
    assert (done.returncode, done.stderr) == (0, "")
