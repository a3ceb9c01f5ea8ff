"""Sweeps without a cluster: what a file expands to, what a task is given next, how ends are told and repeated."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from msgspec import structs

from orchestrator.documents import read_json, write_record
from orchestrator.errors import BadInput
from orchestrator.paths import layout
from orchestrator.reproduce.published import load_experiments
from orchestrator.runs.past import Past
from orchestrator.runs.session import Session
from orchestrator.sweep import conduct, executors, rounds
from orchestrator.sweep.executors import LocalExecutor, SlurmExecutor
from orchestrator.sweep.expand import read_sweep_file, tasks_of
from orchestrator.sweep.plan import Planner, forecast_of, gpu_hours_of
from orchestrator.sweep.records import Attempt, Entry, Place, Resources, Sweep
from orchestrator.sweep.resources import Node, first_resources, next_resources
from orchestrator.sweep.status import Statuses, counts_of, lines_of
from orchestrator.sweep.task import held_gpus

NODE = Node(cpus=8, memory_mb=3000, gpus=0)
GIVEN = Resources(cpus=1, gpus=0, memory_mb=1000, minutes=10)


def _attempt(state, **fields):
    fields = {"stage": "train", "step": 0, "resources": GIVEN, "ended_s": 2.0} | fields
    return Attempt(state=state, reason="", host="node", process=1, job="7", began_s=1.0, **fields)


@pytest.fixture
def session(tmp_path):
    """Return a session with outputs of its own."""
    return Session(layout=replace(layout(), outputs=tmp_path / "out"), engine_name="venv", progress=None, say=print)


def _tasks(tmp_path, session, text, experiments=()):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return tasks_of(read_sweep_file(path), tmp_path, session, dict(experiments))


def test_a_part_is_every_algorithm_on_every_movie_with_every_parameter_and_seed_and_controls_once(tmp_path, session):
    part = "{threads: 2, algorithms: [n2v, mean], inputs: [a.tif, b.tif], seeds: [1, 2]}"
    tasks = _tasks(tmp_path, session, f"parts: [{part}, {part}]")
    assert len(tasks) == 2 * 2 * 2 + 2 * 2  # and identity and svd on both movies; mean is listed
    assert {task.threads for task in tasks if task.algorithm == "mean"} == {1}
    assert len({task.name for task in tasks}) == len(tasks)
    grid = "parts: [{threads: 1, algorithms: [n2v], datasets: [demo], params: {batch_size: [1, 2, 4]}}]"
    assert len(_tasks(tmp_path, session, grid)) == 3 + 3


def test_a_task_of_a_movie_with_a_long_name_can_name_files(tmp_path, session):
    (*_, task) = _tasks(tmp_path, session, f"parts: [{{threads: 1, algorithms: [mean], inputs: [{'m' * 250}.tif]}}]")
    record = Sweep(name="s", place=Place(engine="venv", executor="local"), entries=(Entry(task=task),))
    write_record(tmp_path / f"{task.name}.json", record)
    assert read_json(tmp_path / f"{task.name}.json", Sweep) == record


def test_a_task_keeps_its_name_whatever_resources_it_is_given(tmp_path, session):
    text = "parts: [{threads: 1, algorithms: [mean], inputs: [a.tif], resources: {minutes: MINUTES}}]"
    names = {tuple(t.name for t in _tasks(tmp_path, session, text.replace("MINUTES", one))) for one in ("5", "50")}
    assert len(names) == 1


def test_an_experiment_comes_after_the_one_whose_prediction_it_needs(tmp_path, session):
    known = load_experiments(layout().containers)
    name = next(one.name for one in known.values() if one.prior is not None)
    tasks = _tasks(tmp_path, session, f"parts: [{{threads: 1, experiments: [{name}], seeds: [5, 6]}}]", known.items())
    order = {task.name: index for index, task in enumerate(tasks)}
    needing = [task for task in tasks if task.prior is not None]
    assert [task.seed for task in needing] == [5, 6]
    assert all(order[task.prior.task] < order[task.name] for task in needing)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parts: [{threads: 1, algorithms: [mean]}]", "expected experiments, or algorithms with datasets or inputs"),
        ("parts: [{algorithms: [mean], datasets: [demo]}]", "expected the field threads"),
        ("parts: [{threads: 1, algorithm: [mean]}]", "expected known fields only, got algorithm"),
        ("parts: []", "at parts"),
        (
            (
                f"parts: [{{threads: 1, algorithms: [mean], datasets: [demo], params: {{window: {[3] * 400}}}, "
                f"seeds: {[1] * 400}}}]"
            ),
            "at most 100000 runs, got a product of 160000",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_place_in_it(tmp_path, session, text, words):
    with pytest.raises(BadInput, match=words):
        _tasks(tmp_path, session, text)


def test_a_damaged_movie_is_refused_by_name_and_the_others_are_planned(tmp_path, session, movie):
    (tmp_path / "torn.tif").write_bytes(movie.read_bytes()[:3000])
    tasks = _tasks(tmp_path, session, "parts: [{threads: 1, algorithms: [mean], inputs: [movie.tif, torn.tif]}]")
    planned = Planner(session, {}, lambda *_: None, make=True).all_of(tasks)
    assert [one.missing for one in planned] == [True] * 3 + [False] * 3
    assert all("torn.tif" in one.refused for one in planned[3:])


def test_first_resources_follow_the_size_of_frames_and_the_user(tmp_path, session):
    for name, side in (("small", 64), ("large", 1024)):
        frames = np.random.default_rng(0).integers(0, 9, (12, side, side), np.uint16)
        tifffile.imwrite(tmp_path / f"{name}.tif", frames, photometric="minisblack")
    text = "parts: [{threads: 3, algorithms: [n2v], inputs: [small.tif, large.tif]}]"
    planned = [
        one
        for one in Planner(session, {}, lambda *_: None, make=True).all_of(_tasks(tmp_path, session, text))
        if one.task.algorithm == "n2v"
    ]
    large = Node(cpus=8, memory_mb=10**6, gpus=0)
    given = [first_resources(one.task, one.plan, Past(tmp_path), large) for one in planned]
    assert given[1].memory_mb > 2 * given[0].memory_mb
    assert [one.cpus for one in given] == [3, 3]
    with pytest.raises(BadInput, match="3 cores, got at most 2"):
        first_resources(planned[0].task, planned[0].plan, Past(tmp_path), replace(NODE, cpus=2))


def test_gpu_hours_are_those_of_all_gpus_of_the_runs_that_are_missing(tmp_path, session, movie):
    assert movie.exists()
    part = "threads: 1, algorithms: [n2v], inputs: [movie.tif], device: cuda"
    tasks = _tasks(tmp_path, session, f"parts: [{{{part}, seeds: [1, 2], resources: {{gpus: 2}}}}, {{{part}}}]")
    planner = Planner(session, {}, lambda *_: None, make=True)
    planned = planner.all_of(tasks)
    forecast = forecast_of(planned, planner, Past(tmp_path))
    assert gpu_hours_of(planned, forecast) == (0.0, 3)  # and three controls, which run without
    timed = tuple(replace(one, seconds=(60.0, 1800.0)) for one in forecast.runs)
    assert gpu_hours_of(planned, replace(forecast, runs=timed)) == (2 * 2 * 0.5 + 0.5, 0)
    over = tuple(replace(one, jobs=()) for one in timed)
    assert gpu_hours_of(planned, replace(forecast, runs=over)) == (0.0, 0)


def test_after_an_out_of_memory_end_there_is_more_memory_until_the_node_has_no_more():
    once = next_resources((_attempt("out of memory"),), NODE)
    assert once.memory_mb == 2000
    twice = next_resources((_attempt("out of memory", resources=once),), NODE)
    assert twice.memory_mb == 3000
    assert "no node has more" in next_resources((_attempt("out of memory", resources=twice),), NODE)


def test_after_a_walltime_end_a_task_goes_on_as_long_as_it_gets_further():
    first = _attempt("walltime", step=10)
    assert next_resources((first, _attempt("walltime", step=20)), NODE) == GIVEN
    assert next_resources((first, first), NODE) == GIVEN
    assert "no step further" in next_resources((first, first, _attempt("walltime", step=9)), NODE)


def test_a_task_that_lost_its_node_is_repeated_twice():
    lost = _attempt("node lost")
    assert next_resources((lost, lost), NODE) == GIVEN
    assert next_resources((lost, lost, lost), NODE) == "lost 3 times"


_GUARDED = """
import sys, time
from orchestrator.sweep.guard import Guard
guard = Guard(time.time() + float(sys.argv[1]), int(sys.argv[2]))
try:
    with guard.watching():
        held = bytearray(int(sys.argv[3]))
        time.sleep(20)
except KeyboardInterrupt:
    print(guard.state, guard.reason)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end_s", "limit", "held", "words"),
    [(1.0, 2**40, 1, "walltime stopped shortly before"), (60.0, 2**28, 2**29, "out of memory it took")],
)
def test_a_guard_stops_a_task_before_its_limits_and_says_which(end_s, limit, held, words):
    command = [sys.executable, "-c", _GUARDED, str(end_s), str(limit), str(held)]
    assert words in subprocess.run(command, capture_output=True, text=True, check=True).stdout


_HOLD = """
import os, sys
from pathlib import Path
from orchestrator.sweep.task import held_gpus
with held_gpus(Path(sys.argv[1]), 2):
    print(os.environ["CUDA_VISIBLE_DEVICES"])
"""


def test_tasks_of_one_machine_hold_different_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5,7")
    with held_gpus(tmp_path, 1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"
        other = subprocess.run(
            [
                sys.executable,
                "-c",
                _HOLD,
                str(tmp_path),
            ],
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "2,5,7"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert other.stdout.strip() == "5,7"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,5,7"


_QUEUE = """11|{ours}_1|RUNNING|rule_task_wildcards_one
12|{ours}_1|OUT_OF_MEMORY|rule_task_wildcards_two
13|{others}_1|RUNNING|rule_task_wildcards_three
14|other|RUNNING|x
"""


def test_slurm_tells_what_is_alive_and_how_a_task_ended_that_left_no_word(tmp_path, monkeypatch):
    slurm, other = (SlurmExecutor(profiles=tmp_path, folder=tmp_path / place / "s") for place in ("here", "there"))
    queue = _QUEUE.format(ours=slurm.prefix, others=other.prefix)
    monkeypatch.setattr(executors.process, "run", lambda _: queue)
    assert slurm.alive({}) == {"one"}  # and none of the sweep of the same name in other outputs
    assert slurm.word("two", None)[0] == "out of memory"
    slurm.forget(["two"])
    assert slurm.word("two", None) is None


def test_the_names_of_jobs_fit_into_what_the_plugin_takes(tmp_path):
    assert len(SlurmExecutor(profiles=tmp_path, folder=tmp_path / ("long" * 20)).prefix) <= 50


def test_a_cluster_that_forgets_ended_jobs_at_once_is_refused_without_accounting(tmp_path, monkeypatch):
    config = "AccountingStorageType = accounting_storage/none\nMinJobAge               = 30 sec\n"
    monkeypatch.setattr(executors.process, "run", lambda _: config)
    with pytest.raises(BadInput, match="MinJobAge of at least 200 s"):
        SlurmExecutor(profiles=tmp_path, folder=tmp_path / "s").check()


# In place of Snakemake: writes for each task of its round what the test wants, then sleeps where it should have ended.
_FAKE = """
import json, sys, time
from pathlib import Path
from orchestrator.documents import read_json
from orchestrator.sweep.records import Round, Status
from orchestrator.sweep.status import Statuses
from orchestrator.paths import SweepFolder
place = Path(sys.argv[sys.argv.index("--directory") + 1])
folder = SweepFolder(path=place.parents[1], report=place)
wanted = json.loads((folder.path / "wanted.json").read_text())
from orchestrator.sweep.records import Attempt
for task, resources in read_json(place / "round.json", Round).tasks.items():
    state = wanted[task].pop(0)
    if state == "refused":
        print(f"Error in rule task:\\n    message: no partition\\nfor {task}For further error details see the log")
        print(f"    jobid: 2\\n    output: done/{task}\\n" + "    shell: much more\\n" * 99)
        continue
    ended = None if state == "running" else time.time()
    Statuses(folder).add(task, Attempt(state=state, reason="as asked", resources=resources, host="x", process=1, job="",
                                       began_s=time.time(), ended_s=ended))
(folder.path / "wanted.json").write_text(json.dumps(wanted))
if "hang" in wanted:
    time.sleep(600)
"""


@pytest.fixture
def bring(tmp_path, monkeypatch):
    """Return a function that brings tasks to their end, with a program in place of Snakemake."""
    for module, name, value in (
        (conduct, "_TICK_S", 0.05),
        (conduct, "_PATIENCE_S", 0.2),
        (rounds, "_PATIENCE_S", 0.2),
    ):
        monkeypatch.setattr(module, name, value)
    folder = replace(layout(), outputs=tmp_path).sweep("s")
    folder.statuses.mkdir(parents=True)
    fake = tmp_path / "fake"
    fake.write_text(f"#!{sys.executable}\n{_FAKE}")
    fake.chmod(0o755)

    def run(wanted, after=()):
        write_record(folder.path / "wanted.json", wanted)
        conductor = conduct.Conductor(
            folder=folder,
            layout=layout(),
            executor=LocalExecutor(profiles=tmp_path),
            snakemake=fake,
            statuses=Statuses(folder),
            tick=lambda: None,
        )
        conductor.bring({task: GIVEN for task in wanted if task != "hang"}, dict(after))
        return {task: [one.state for one in Statuses(folder).of(task)] for task in wanted}

    return run


def test_what_ended_too_early_is_repeated_and_what_failed_is_not(bring):
    wanted = {"a": ["finished"], "b": ["walltime", "finished"], "c": ["out of memory", "finished"], "d": ["failed"]}
    assert bring(wanted) == wanted


def test_a_task_that_leaves_no_word_is_told_so_and_repeated_until_it_is_given_up(bring):
    assert bring({"a": ["running", "running", "running"]}) == {"a": ["node lost"] * 3}


def test_a_task_that_could_not_be_submitted_is_told_with_the_reason(bring, tmp_path):
    assert bring({"a": ["refused"], "b": ["refused"]}) == {"a": ["failed"], "b": ["failed"]}
    statuses = Statuses(replace(layout(), outputs=tmp_path).sweep("s"))
    assert statuses.of("b")[-1].reason == "it never began; Snakemake said: no partition for b"


def test_a_workflow_that_hangs_when_its_tasks_are_over_is_stopped(bring):
    began_s = time.monotonic()
    assert bring({"a": ["finished"], "hang": []})["a"] == ["finished"]
    assert time.monotonic() - began_s < 60


def test_a_table_of_a_sweep_tells_states_reasons_and_counts(tmp_path, session, movie):
    assert movie.exists()
    tasks = _tasks(tmp_path, session, "parts: [{threads: 1, algorithms: [mean], inputs: [movie.tif, none.tif]}]")
    planned = Planner(session, {}, lambda *_: None, make=True).all_of(tasks)
    folder = session.layout.sweep("s")
    folder.statuses.mkdir(parents=True)
    place = Place(engine="venv", executor="local")
    found = Sweep(name="s", place=place, entries=tuple(one.entry for one in planned))
    write_record(folder.record, found)
    statuses = Statuses(folder)
    statuses.add(tasks[0].name, structs.replace(_attempt("cancelled"), reason="stopped by SIGTERM"))
    lines = lines_of(read_json(folder.record, Sweep), statuses)
    assert (lines[0].state, lines[0].reason) == ("cancelled", "stopped by SIGTERM")
    assert counts_of(lines) == "6 tasks: 1 cancelled, 2 waiting, 3 failed"
