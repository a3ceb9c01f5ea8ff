"""An algorithm whose training takes the time and memory that it is told, and learns one number."""

import json
import time

import numpy as np

from contract.errors import JobRefused
from contract.files import write_json
from contract.predictions import predictions_of
from contract.stacks import open_stack
from contract.training import run_steps


class Store:
    """Keeps the state as JSON."""

    file_name = "state.json"

    def save(self, path, record, parts):
        """Write the state."""
        write_json(path, {**record, "parts": {name: list(part) for name, part in parts.items()}})

    def record(self, path):
        """Return all of it."""
        return json.loads(path.read_text())

    def restore(self, path, parts):
        """Put the state back."""
        for name, part in self.record(path)["parts"].items():
            parts[name][:] = part


def train(job, events):
    """Add up random numbers, slowly."""
    with open_stack(job.inputs.train[0]) as stack:
        frames = stack.frames(0, stack.shape[0])
    if frames.min() == frames.max():
        message = f"{job.inputs.train[0].name}: expected a movie in which something varies, got one grey value"
        raise JobRefused(message)
    held = np.ones(job.params["size_mib"] << 20, np.uint8)
    learned = [0.0]

    def step(_):
        time.sleep(job.params["step_s"])
        learned[0] += float(np.random.random()) * int(held[:1].sum() or 1)  # noqa: NPY002 - seeded for every step
        return learned[0]

    run_steps(job, events, parts={"learned": learned}, steps=job.params["steps"], step=step, store=Store())


def predict(job, events):
    """Add what was learned to every frame."""
    learned = Store().record(job.checkpoint / Store.file_name)["parts"]["learned"][0]
    for stack, prediction in predictions_of(job, events):
        for frames in stack.blocks(16):
            prediction.write(frames + np.float32(learned))
