"""What reproducing experiments will need, before anything runs: jobs, time, memory and disk."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.attempts import Attempt, prior_files
from orchestrator.domain import CURRENT
from orchestrator.execute import finished
from orchestrator.report.table import aligned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.experiments import Experiment
    from orchestrator.plan import Plan, Source
    from orchestrator.reproduce import Reproduction

_GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What one run will need.

    Parameters
    ----------
    experiment : str
        Name.
    algorithm : str
        Name of the folder, with the environment where that is another than the current one.
    seed : int or None
        Its seed; None where nothing can be planned.
    jobs : tuple of str
        Jobs in order; empty for a run that is finished, or cannot be planned.
    state : str
        "to run", "finished", or why it cannot be planned.
    seconds : float or None
        From runs of this algorithm that were finished here before; None where nothing was timed.
    memory_bytes : int
        Of one job, as algorithm.yaml states for a few hundred frames.
    disk_bytes : int
        Of predictions, logs and checkpoints; 0 for a finished run.
    """

    experiment: str
    algorithm: str
    seed: int | None
    jobs: tuple[str, ...]
    state: str
    seconds: float | None = None
    memory_bytes: int = 0
    disk_bytes: int = 0


def estimates(work: Reproduction, experiments: Sequence[Experiment]) -> tuple[Estimate, ...]:
    """Estimate every run, those of the controls included; nothing is started and nothing is written but checksums.

    Parameters
    ----------
    work : Reproduction
        What would run them.
    experiments : sequence of Experiment
        In the order of running.

    Raises
    ------
    BadInput
        When public data are not here, or a movie or parameter cannot be used.
    """
    found: list[Estimate] = []
    done: dict[str, Attempt] = {}
    seen: set[Path] = set()
    for experiment in experiments:
        source = work.source(experiment)
        if isinstance(source, str):
            done[experiment.name] = Attempt(experiment=experiment, absent=source)
            found.append(
                Estimate(experiment=experiment.name, algorithm=experiment.image_name, seed=None, jobs=(), state=source)
            )
            continue
        own, attempt = _runs(work, experiment, source, done, seen)
        found += own
        done[experiment.name] = attempt
    return tuple(found)


def text_of(found: Sequence[Estimate]) -> str:
    """Write estimates as aligned text, with a line of sums."""
    head = ["experiment", "algorithm", "seed", "jobs", "state", "time", "memory", "disk"]
    rows = [
        [
            one.experiment,
            one.algorithm,
            "" if one.seed is None else str(one.seed),
            ", ".join(one.jobs),
            one.state,
            _time(one.seconds) if one.jobs else "",
            f"{one.memory_bytes / _GIB:.1f} GiB" if one.jobs else "",
            f"{one.disk_bytes / _GIB:.1f} GiB" if one.jobs else "",
        ]
        for one in found
    ]
    table = aligned([head, *rows], right_from=5)
    known = [one.seconds for one in found if one.jobs and one.seconds is not None]
    unknown = sum(1 for one in found if one.jobs and one.seconds is None)
    left = f", and {unknown} runs whose time nothing finished here tells" if unknown else ""
    disk = math.fsum(one.disk_bytes for one in found) / _GIB
    memory = max((one.memory_bytes for one in found), default=0) / _GIB
    return f"{table}\nIn all: {_time(math.fsum(known))}{left}; memory {memory:.1f} GiB; disk {disk:.1f} GiB"


def _runs(
    work: Reproduction, experiment: Experiment, source: Source, done: dict[str, Attempt], seen: set[Path]
) -> tuple[list[Estimate], Attempt]:
    """Estimate the runs of an experiment and of the controls on its movies, those in `seen` not again.

    Returns it also as far as it is finished, for those that need it.
    """
    found, folders = [], []
    for index, seed in enumerate(work.request.seeds_of(work.algorithm(experiment))):
        prior = prior_files(experiment, done, index)
        plan, *controls = work.plans(experiment, source, seed, () if isinstance(prior, str) else prior)
        known = not isinstance(prior, str) and finished(plan) is not None
        folders += [plan.folder] if known else []
        first = controls if index == 0 else []
        for one, is_finished in (*((one, finished(one) is not None) for one in first), (plan, known)):
            if one.folder.path not in seen:
                seen.add(one.folder.path)
                found.append(_estimate(experiment, one, work.session.layout.outputs, is_finished=is_finished))
    return found, Attempt(experiment=experiment, runs=tuple(folders), reason="it has not run yet")


def _estimate(experiment: Experiment, plan: Plan, outputs: Path, *, is_finished: bool) -> Estimate:
    estimate = Estimate(
        experiment=experiment.name,
        algorithm=_image_name(plan),
        seed=plan.settings.seed,
        jobs=(),
        state="finished",
    )
    if is_finished:
        return estimate
    return replace(
        estimate,
        jobs=tuple(job.folder.name for job in plan.jobs()),
        state="to run",
        seconds=_seconds(plan, outputs),
        memory_bytes=plan.algorithm.memory_bytes,
        disk_bytes=plan.needed_bytes,
    )


def _image_name(plan: Plan) -> str:
    algorithm = plan.algorithm
    return algorithm.name if algorithm.environment == CURRENT else f"{algorithm.name}@{algorithm.environment}"


def _seconds(plan: Plan, outputs: Path) -> float | None:
    """Scale the time of finished runs with the same parameters and device by the pixels of the movies."""
    pixels = sum(facts.pixels for facts in plan.facts.values())
    rates = [
        math.fsum(job["seconds"] for job in record["jobs"].values()) / _pixels(record)
        for path in sorted(outputs.glob(f"{plan.algorithm.folder_name}-*/*/run.json"))
        if _is_alike(record := json.loads(path.read_text()), plan)
    ]
    return statistics.median(rates) * pixels if rates else None


def _is_alike(record: dict[str, Any], plan: Plan) -> bool:
    theirs = record["params"], record.get("environment"), record["device"]["asked"]
    return theirs == (dict(plan.params), plan.algorithm.environment, plan.settings.device)


def _pixels(record: dict[str, Any]) -> int:
    return sum(math.prod(movie["shape"]) for movie in record["movies"].values())


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if minutes < 1 else f"{minutes // 60} h {minutes % 60:02d} min"
