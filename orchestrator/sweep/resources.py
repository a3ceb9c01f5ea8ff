"""What a task is given: cores, memory, time and GPUs, from algorithm.yaml, its movies, finished runs, and its user."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import structs

from orchestrator.errors import BadInput
from orchestrator.runs.past import largest_frame
from orchestrator.sweep.records import Resources

if TYPE_CHECKING:
    from orchestrator.runs.past import Past
    from orchestrator.runs.plan import Plan
    from orchestrator.sweep.records import Attempt, Task

BESIDE_MB = 768  # of calm, its scores, and the two processes of Snakemake beside a job: an allowance
_DECLARED_PIXELS = 512**2  # of a frame, for which algorithm.yaml states memory
_MIB = 2**20
_SPARE_MEMORY = 1.25  # of the most that a run of these settings took here
_SPARE_TIME = 2.0
_START_MINUTES = 10  # for a queue's own steps, the start of an environment, and scores
_UNKNOWN_MINUTES = {True: 24 * 60, False: 2 * 60}  # with and without training, where nothing was timed
_TRIES = 3  # of a task whose node was lost
_MORE = 2
_STALLED = 2  # attempts in a row that come no further; a node that starts slowly is no reason to give up


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """The largest node that a task can get."""

    cpus: int
    memory_mb: int
    gpus: int


def first_resources(task: Task, plan: Plan, past: Past, node: Node) -> Resources:
    """Return what the first attempt of a task is given.

    Raises
    ------
    BadInput
        When no node has as many cores or GPUs.
    """
    gpus = gpus_of(task)
    for what, wanted, there in (("cores", task.threads, node.cpus), ("GPUs", gpus, node.gpus)):
        if wanted > there:
            message = f"{task.name}: expected a node with {wanted} {what}, got at most {there}"
            raise BadInput(message, "Change threads or resources in the file of the sweep.")
    return Resources(
        cpus=task.threads,
        gpus=gpus,
        memory_mb=min(_memory_mb(task, plan, past), node.memory_mb),
        minutes=task.wishes.minutes or _minutes(plan, past),
    )


def gpus_of(task: Task) -> int:
    """Return how many GPUs a task is given: what its user states, else one for a job on a GPU."""
    return int(task.device == "cuda") if task.wishes.gpus is None else task.wishes.gpus


def next_resources(attempts: tuple[Attempt, ...], node: Node) -> Resources | str:
    """Return what the next attempt of a task gets that ended too early; as text, why there is none.

    Parameters
    ----------
    attempts : tuple of Attempt
        Those of this call, in order; the last one ended by walltime, out of memory, or with its node.
    node : Node
        Beyond which nothing is asked for.
    """
    last = attempts[-1]
    match last.state:
        case "out of memory":
            more = min(_MORE * last.resources.memory_mb, node.memory_mb)
            if more <= last.resources.memory_mb:
                return f"no node has more memory than {more} MiB"
            return structs.replace(last.resources, memory_mb=more)
        case "walltime":
            steps = [one.step for one in attempts if one.state == "walltime" and one.stage == last.stage]
            if len(steps) > _STALLED and max(steps[-_STALLED:]) <= max(steps[:-_STALLED]):
                return f"no step further in {_STALLED} attempts of {last.resources.minutes} minutes each"
            return last.resources
        case "node lost":
            lost = sum(one.state == "node lost" for one in attempts)
            return last.resources if lost < _TRIES else f"lost {lost} times"
        case _:
            return last.reason


def _memory_mb(task: Task, plan: Plan, past: Past) -> int:
    if task.wishes.memory_gib is not None:
        return math.ceil(task.wishes.memory_gib * 1024)
    known = past.memory_bytes(plan)
    scale = max(1.0, largest_frame(plan) / _DECLARED_PIXELS)
    needed = plan.algorithm.memory_bytes * scale if known is None else known * _SPARE_MEMORY
    return math.ceil(needed / _MIB) + BESIDE_MB


def _minutes(plan: Plan, past: Past) -> int:
    known = past.seconds(plan)
    if known is None:
        return _UNKNOWN_MINUTES[plan.algorithm.needs_training]
    return math.ceil(_SPARE_TIME * known[1] / 60) + _START_MINUTES
