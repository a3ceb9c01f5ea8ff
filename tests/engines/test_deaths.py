"""Every death that a machine without a GPU can provoke: its name, its exit code, and what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator import errors
from orchestrator.engines.containers import tag_of
from orchestrator.engines.sif import sif_path
from orchestrator.paths import layout


def test_a_job_over_its_memory_limit_is_out_of_memory_with_the_limit_in_the_sentence(probe, server):
    with pytest.raises(errors.OutOfMemory, match=r"memory limit of 0\.2 GiB"):
        probe.run(server, act="allocate", size_bytes=2**30, memory_bytes=200 * 2**20)
    assert probe.containers(server) == []


def test_a_job_that_crashes_says_its_signal_and_where_the_log_is(probe, engine):
    # The first process of a container gets SIGSEGV where abort() finds that SIGABRT does nothing to it.
    with pytest.raises(errors.AlgorithmFailed, match=r"exit code .*\(SIG(ABRT|SEGV)\)") as caught:
        probe.run(engine, act="abort")
    assert "log.txt" in caught.value.hint
    assert probe.containers(engine) == []


def test_an_illegal_instruction_is_called_by_its_name(probe, engine):
    with pytest.raises(errors.AlgorithmFailed, match="illegal instruction"):
        probe.run(engine, act="illegal")


def test_a_full_private_tmp_fails_the_job_and_not_the_machine(probe, server):
    with pytest.raises(errors.AlgorithmFailed, match=r"No space left.*no space left on a disk it wrote to") as caught:
        probe.run(server, act="fill", size_bytes=2**31)
    assert "calm doctor" in caught.value.hint


def test_shared_memory_that_is_too_small_is_called_by_its_name(probe, server):
    with pytest.raises(errors.OutOfMemory, match="shared memory"):
        probe.run(server, act="shared", size_bytes=2**30 + 2**26, memory_bytes=4 * 2**30)


def test_a_job_killed_from_outside_is_not_blamed_on_memory(probe, engine):
    def kill():
        probe.wait_until_it_sleeps()
        for number in probe.processes():
            os.kill(number, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(errors.Interrupted, match="SIGKILL"):
        probe.run(engine, act="sleep")
    killer.join()
    assert probe.containers(engine) == []


def test_an_image_that_was_deleted_is_named(probe, engine):
    undo = []

    def delete(engine, image):
        if engine.name in ("apptainer", "venv"):
            path = sif_path(layout().sifs, image) if engine.name == "apptainer" else Path(engine.find(image))
            undo.append(lambda: path.with_suffix(".kept").rename(path))
            path.rename(path.with_suffix(".kept"))
            return
        images = engine.server.client().images
        found = images.get(tag_of(image))
        found.tag("calm-kept", "probe")
        undo.append(lambda: (found.tag(*tag_of(image).split(":")), images.remove("calm-kept:probe")))
        images.remove(tag_of(image))

    try:
        with pytest.raises(errors.EngineFailed, match=r"expected the image .*probe.*deleted"):
            probe.run(engine, before=delete)
    finally:
        undo[0]()


def test_an_input_that_was_deleted_is_named(probe):
    moved = probe.folder / "elsewhere.tif"
    with pytest.raises(errors.CalmError, match=r"movie\.tif"):
        probe.run("venv", before=lambda *_: probe.movie.rename(moved))


INTERRUPTED = """
import signal, sys; sys.path.insert(0, {here!r})
from pathlib import Path
from conftest import Probe
from orchestrator.errors import Interrupted
for number in (signal.SIGTERM, signal.SIGINT):  # a shell lets what it starts in the background ignore SIGINT
    signal.signal(number, signal.default_int_handler)
try:
    Probe(folder=Path({folder!r}), movie=Path({movie!r})).run({engine!r}, act="sleep")
except Interrupted as error:
    sys.exit(error.exit_code)
"""


def _started(probe, engine):
    code = INTERRUPTED.format(
        here=str(probe.source.parent), folder=str(probe.folder), movie=str(probe.movie), engine=engine
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_stopped_command_leaves_no_container_no_process_and_no_half_file(probe, engine, number):
    probe.built(engine)  # so that the clock below measures the job
    with _started(probe, engine) as started:
        probe.wait_until_it_sleeps()
        started.send_signal(number)
        assert started.wait(30) == 130, started.stderr.read()
    assert not list(probe.folder.glob("outputs/**/*.part"))
    assert not list(probe.folder.glob("outputs/*/*/run.json"))
    assert probe.containers(engine) == []
    assert probe.processes() == []


def test_what_a_killed_command_left_at_work_is_ended_before_the_job_runs_again(probe, engine):
    probe.built(engine)
    with _started(probe, engine) as killed:
        probe.wait_until_it_sleeps()
        killed.kill()
    for events in probe.folder.glob("outputs/*/*/*/events.jsonl"):
        events.unlink()
    with _started(probe, engine) as again:
        probe.wait_until_it_sleeps()
        assert len(probe.processes()) == 1
        again.send_signal(signal.SIGINT)
        assert again.wait(30) == 130, again.stderr.read()
    assert probe.containers(engine) == []
    assert probe.processes() == []
