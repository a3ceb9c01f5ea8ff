"""Promises that every algorithm folder makes, held to in the folder's own environment.

A second run and a training that is killed end with the same bytes, and memory of predict does not grow with the number
of frames.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from warm import Warm, warm

from orchestrator.engines import engine_named
from orchestrator.engines.image import image_of, prepare
from orchestrator.paths import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

# A state is saved after every step instead of every ten seconds, and the kill comes half-way, before that of its step.
_KILL_HALF_WAY = """
import contract.training as training
training._SAVE_EVERY_S = training._SAVE_SHARE = 0
from contract.events import Events
def step(self, step, steps, **losses):
    if 2 * step >= steps:
        os.kill(os.getpid(), signal.SIGKILL)
Events.step = step
"""
# Notes the most anonymous memory there was when frames had been read or were written: what a job holds, and not what
# its layers need for a moment, which varies with the sizes that a library has seen before.
_WATCH_MEMORY = """
import atexit, ctypes
for parameter, value in ((-8, 1), (-3, 65536), (-1, 65536)):  # of mallopt(3): arenas, size of a mapping, trimming
    ctypes.CDLL(None).mallopt(parameter, value)  # large arrays go back at once, so that what is resident is held
from contract.predictions import Prediction
from contract.stacks import Stack
most = [0]
def watched(method):
    def call(*args, **kwargs):
        result = method(*args, **kwargs)
        (line,) = [one for one in open("/proc/self/status") if one.startswith("RssAnon")]
        most[0] = max(most[0], int(line.split()[1]) * 1024)
        return result
    return call
Prediction.write, Stack.frames = watched(Prediction.write), watched(Stack.frames)
atexit.register(lambda: open("held_bytes", "w").write(str(most[0])))
"""
_INSTRUCTIONS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")  # that a processor may use; runs are given them too
_LENGTHS, _SIDE = (48, 192, 624, 768), 64  # frames of the movies, and pixels of a side; deepcad holds 8 tiles
_MOVIE_SHARE = 0.6  # growth that is allowed, of the bytes that the long movie has more; holding it would take 1 or more


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The environment of a folder at work."""

    warm: Warm

    def run(self, command, job, change=""):
        """Run a job as the image does, with a change to the contract package before it, and return the exit code."""
        return self.warm.run(command, job, variables={"HOME": str(job.parent)}, change=change)


@contextmanager
def environment_of(algorithm) -> Iterator[Environment]:
    """Yield the environment of an algorithm folder on the CPU, built where it is not there yet."""
    image = image_of(algorithm, "cpu", layout())
    engine = engine_named("venv", layout())
    if engine.find(image) is None:
        prepare(algorithm, image, layout())
        engine.build(image)
    variables = {name: os.environ[name] for name in _INSTRUCTIONS if name in os.environ}
    with warm(Path(engine.find(image)) / "bin" / "python", image.context, **variables) as started:
        yield Environment(warm=started)


def job_like(record, folder, checkpoint, params=None, **inputs):
    """Write a job.json like that of a finished run into a new folder, with other inputs where they are given."""
    document = json.loads(record.read_text())
    document["params"] |= params or {}
    document["inputs"] |= {name: [str(path) for path in paths] for name, paths in inputs.items()}
    document |= {"checkpoint": str(checkpoint), "predictions": str(folder / "predictions" / "train")}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(json.dumps(document))
    return folder / "job.json"


def check_same_bytes(environment, run, folder, change=""):
    """Train and predict again, with a change to the contract, and compare the prediction with that of a finished run.

    Parameters
    ----------
    environment : Environment
        Of the folder.
    run : Path
        A finished run, whose jobs are done again.
    folder : Path
        For the jobs; empty.
    change : str
        Python that kills the training, which is then started again; none where it is not to be killed.
    """
    checkpoint = folder / "checkpoint"
    job = job_like(run / "train" / "job.json", folder / "train", checkpoint)
    if change:
        assert environment.run("train", job, change) == -9
    assert environment.run("train", job) == 0, _message(job)
    steps = [event["step"] for event in _events(job) if "step" in event]
    assert not change or len(steps) == 1 or steps[0] > 1, "the training began anew"

    job = job_like(run / "predict-train" / "job.json", folder / "predict", checkpoint)
    assert environment.run("predict", job) == 0, _message(job)
    ours, theirs = (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(where.glob("*.tif"))}
        for where in (folder / "predict" / "predictions" / "train", run / "predictions" / "train")
    )
    assert ours == theirs, f"the {'resumed' if change else 'second'} training predicts other bytes"


def check_resuming(environment, run, folder):
    """Kill a training half-way, start it again, and compare its prediction with that of the finished run."""
    check_same_bytes(environment, run, folder, _KILL_HALF_WAY)


def check_memory(environment, algorithm, run, folder):
    """Predict longer and longer movies with the checkpoint of a finished run, until the memory that is held stays.

    A parameter in GiB says how much memory may be used, and is set to the least. What is held may grow up to that, so
    a movie is compared with the next longer one; a folder that holds the whole movie needs more at every length.
    """
    least = {param.name: param.range[0] for param in algorithm.params.values() if param.unit == "GiB"}
    growths = []
    for (few, shorter), (many, longer) in pairwise(_held_bytes(environment, least, run, folder)):
        growths.append(round((longer - shorter) / ((many - few) * _SIDE**2 * 4), 2))  # float32
        if growths[-1] < _MOVIE_SHARE:
            return
    message = f"memory grows by {growths} of the bytes that each longer movie has more"
    raise AssertionError(message)


def _held_bytes(environment, params, run, folder):
    """Yield how many frames a movie has and how many bytes are held at most while it is predicted."""
    for frames in _LENGTHS:
        path = folder / f"{frames}.tif"
        noise = np.random.default_rng(frames).poisson(200, (frames, _SIDE, _SIDE)).astype(np.float32)
        tifffile.imwrite(path, noise, photometric="minisblack", metadata={"axes": "TYX"})
        job = job_like(
            run / "predict-train" / "job.json", folder / str(frames), run / "checkpoint", params, noisy=[path]
        )
        assert environment.run("predict", job, _WATCH_MEMORY) == 0, _message(job)
        yield frames, int((job.parent / "held_bytes").read_text())


def _events(job):
    return map(json.loads, (job.parent / "events.jsonl").read_text().splitlines())


def _message(job):
    return json.loads((job.parent / "result.json").read_text())["error"]
