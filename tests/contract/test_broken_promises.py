"""The inherited tests find a folder that breaks a promise: each one here breaks one, and nothing else."""

from __future__ import annotations

import shutil
from contextlib import ExitStack

import numpy as np
import pytest
import tifffile
from folder_environment import CONTAINERS
from promises import check_memory, check_resuming, environment_of

from orchestrator.algorithms.folders import load_algorithm

READS_ALL = '''

def predict(job, events):
    """Read the whole movie."""
    for stack, prediction in predictions_of(job, events):
        prediction.write(stack.frames(0, stack.shape[0]))
'''
KEEPS_ALL = '''

def predict(job, events):
    """Read a movie block by block, and keep the blocks until its end."""
    for stack, prediction in predictions_of(job, events):
        for frames in list(stack.blocks(_FRAMES)):
            prediction.write(frames)
'''
STEPS = 8
TRAIN = '''

def train(job, events):
    """Sum up the numbers of the steps, and keep the sum {kept}."""
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    state = job.checkpoint / "state.txt"
    done, total = map(int, state.read_text().split()) if state.exists() else (0, 0)
    for step in range(done + 1, {steps} + 1):
        total += {weight}
        events.step(step, {steps})
        {save}state.write_text(f"{{step}} {{total}}")


def predict(job, events):
    """Add the sum to every frame."""
    total = int((job.checkpoint / "state.txt").read_text().split()[1])
    for stack, prediction in predictions_of(job, events):
        for frames in stack.blocks(_FRAMES):
            prediction.write(frames.astype("float32") + total)
'''
HONEST = TRAIN.format(kept="after every step", steps=STEPS, weight="step", save="")
BEGINS_ANEW = TRAIN.format(kept="at the end", steps=STEPS, weight="step", save=f"if step == {STEPS}: ")
FORGETS = TRAIN.format(kept="after every step", steps=STEPS, weight="step * (step - done)", save="")


@pytest.fixture(scope="module")
def finished(shared_calm, tmp_path_factory):
    """Return a finished run of the control identity."""
    path = tmp_path_factory.mktemp("movies") / "promised.tif"
    tifffile.imwrite(path, np.random.default_rng(0).poisson(100, (20, 32, 40)).astype(np.uint16))
    done = shared_calm("run", "identity", "--input", path, "--preset", "smoke", "--engine", "venv", "--threads", 1)
    assert done.returncode == 0, done.stderr
    return shared_calm.run_folder("identity-promised-smoke")


@pytest.fixture
def run(finished, tmp_path):
    """Return a copy of that run, whose jobs are the template of those here."""
    run = shutil.copytree(finished, tmp_path / "run")
    for path in run.glob("*/job.json"):
        path.write_text(path.read_text().replace(str(finished), str(run)))
    return run


@pytest.fixture
def folder_with(tmp_path):
    """Return a function that makes an algorithm folder: that of identity, with more code at the end of its run.py."""

    def make(code):
        folder = tmp_path / "containers" / "identity"
        shutil.copytree(CONTAINERS / "identity", folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "run.py").write_text((folder / "run.py").read_text() + code)
        return load_algorithm(folder)

    return make


@pytest.mark.parametrize("code", [READS_ALL, KEEPS_ALL], ids=["reads", "keeps"])
def test_a_folder_that_holds_the_whole_movie_is_found(run, folder_with, tmp_path, code):
    algorithm = folder_with(code)
    with environment_of(algorithm) as environment, pytest.raises(AssertionError, match="memory grows by"):
        check_memory(environment, algorithm, run, tmp_path)


def test_a_folder_that_reads_block_by_block_passes(run, folder_with, tmp_path):
    algorithm = folder_with("")
    with environment_of(algorithm) as environment:
        check_memory(environment, algorithm, run, tmp_path)


@pytest.fixture
def trained(run, folder_with):
    """Return a function that does the jobs of the run with other code: what a training without a kill gives."""
    with ExitStack() as stack:

        def do(code):
            environment = stack.enter_context(environment_of(folder_with(code)))
            for command, job in (("train", "train"), ("predict", "predict-train")):
                shutil.rmtree(run / "predictions", ignore_errors=True)
                assert environment.run(command, run / job / "job.json") == 0
            return environment

        yield do


def test_a_training_that_resumes_passes(run, trained, tmp_path):
    check_resuming(trained(HONEST), run, tmp_path / "jobs")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [(BEGINS_ANEW, "the training began anew"), (FORGETS, "the resumed training predicts other bytes")],
    ids=["anew", "forgets"],
)
def test_a_training_that_does_not_resume_to_the_same_bytes_is_found(run, trained, tmp_path, code, sentence):
    environment = trained(code)
    with pytest.raises(AssertionError, match=sentence):
        check_resuming(environment, run, tmp_path / "jobs")
