"""Measurements that are jobs: speed, memory, the same bits twice, the CPU beside the GPU, too little memory."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from contract.files import sha256
from gpu.bench import Bench, CutOff, Failed
from gpu.jobs import ENDED, Case, Ran, figures, run
from gpu.records import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

OUT_OF_MEMORY = 3  # exit code of the contract
_CPU_THREADS = 2  # of the computers that speeds elsewhere in this project are told of
_LEAST_PATCHES = 20  # of 16 x 16 x 16; exact mode of deepcad wants more than the 16 side by side in 64 x 64
_CALIBRATION = (96, 64, 64)  # of the movie that networks are trained on for predictions; their speed is that of any


def timed(bench: Bench, *cases: Case) -> Iterator[Figure]:
    """Run jobs and yield what they tell; those after one that is cut off are left out."""
    failed = []
    for case in cases:
        ran = run(bench, _with_network(bench, case))
        yield from figures(case, ran)
        failed += [case.name] if ran.code not in ENDED else []
    if failed:
        message = f"{len(failed)} of {len(cases)} jobs, see their exit codes: {', '.join(failed)}"
        raise Failed(message)


def same_seed_twice(bench: Bench, pairs: Sequence[tuple[Case, Case]]) -> Iterator[Figure]:
    """Train and predict twice with the same seed and compare every value."""
    for train, predict in pairs:
        made: list[Path] = []
        for number in (1, 2):
            trained = run(bench, replace(train, name=f"{train.name} {number}"))
            _ended_well(trained.code, trained.sentence)
            checkpoint = trained.folder / "checkpoint"
            made.append(_prediction(bench, replace(predict, name=f"{predict.name} {number}", checkpoint=checkpoint)))
        yield _difference(train.name, "the same seed twice", *made)


def against_cpu(bench: Bench, predictions: Sequence[Case]) -> Iterator[Figure]:
    """Predict with one checkpoint on this device and on two threads of the CPU; compare values and speed."""
    for predict in predictions:
        ready, made = _with_network(bench, predict), []
        for device in (bench.device, "cpu"):
            case = replace(ready, name=f"{predict.name} on {device}", device=device, threads=_CPU_THREADS)
            ran = run(bench, case)
            _ended_well(ran.code, ran.sentence)
            made.append(_prediction_of(ran))
            speed = math.prod(case.shape) / 1e6 / ran.result["seconds"]
            note = f"{_CPU_THREADS} threads; the whole job, start-up included"
            yield Figure(case=case.name, name="pixels a second", value=speed, unit="million/s", note=note)
        yield _difference(predict.name, f"{bench.device} against cpu", *made)


def out_of_memory(bench: Bench, cases: Sequence[Case]) -> Iterator[Figure]:
    """Run jobs that cannot fit and yield how they end."""
    for case in cases:
        ran = run(bench, _with_network(bench, case))
        note = "" if ran.code == OUT_OF_MEMORY else f"expected {OUT_OF_MEMORY}"
        yield Figure(case=case.name, name="exit code", value=ran.code, note=note)
        yield Figure(case=case.name, name="sentence", value=ran.sentence)


def _prediction(bench: Bench, case: Case) -> Path:
    ran = run(bench, case)
    _ended_well(ran.code, ran.sentence)
    return _prediction_of(ran)


def _prediction_of(ran: Ran) -> Path:
    return next((ran.folder / "predictions").glob("*.tif"))


def _with_network(bench: Bench, case: Case) -> Case:
    """Give a prediction a network that was trained for some steps, once for each architecture."""
    if case.command == "train" or case.checkpoint is not None:
        return case
    shaping = {name: case.params[name] for name in ("fmap", "patch_size_z") if name in case.params}
    name = f"network of {case.algorithm} {' '.join(map(str, shaping.values()))}".strip()
    if name not in bench.checkpoints:
        few = Case(
            name=name, algorithm=case.algorithm, command="train", shape=_CALIBRATION, preset=case.preset,
            params=shaping | few_steps(case.algorithm) | ({"mode": "fast"} if case.algorithm == "deepcad" else {}),
            precision=case.precision,
        )  # fmt: skip
        ran = run(bench, few)
        _ended_well(ran.code, ran.sentence)
        bench.checkpoints[name] = ran.folder / "checkpoint"
    return replace(case, checkpoint=bench.checkpoints[name])


def few_steps(algorithm: str, steps: int = 8) -> dict[str, Any]:
    """Return parameters with which a training of any preset does about so many steps."""
    match algorithm:
        case "deepcad":
            patch = {"patch_t": 16, "patch_y": 16, "patch_x": 16, "overlap_factor": 0.0}
            return patch | {"train_datasets_size": max(steps, _LEAST_PATCHES), "n_epochs": 1, "lr": 1e-5}
        case "cellmincer":
            return {"n_iters": steps, "convergence": "reported"}
        case "n2n":
            return {"num_epochs": 1, "num_steps": steps, "convergence": "reported"}
        case "hdn":
            return {"max_epochs": 1, "steps_per_epoch": steps}
        case _:
            return {"num_epochs": 1, "num_steps": steps}


def _ended_well(code: int | None, sentence: str) -> None:
    if code is None:
        raise CutOff
    if code not in ENDED:
        message = f"a job ended with code {code}: {sentence}"
        raise Failed(message)


def _difference(case: str, name: str, one: Path, other: Path) -> Figure:
    if sha256(one) == sha256(other):
        return Figure(case=case, name=name, value=0.0, unit="grey levels", note="bitwise equal")
    first, second = tifffile.imread(one), tifffile.imread(other)
    off = np.abs(first.astype(np.float64) - second)
    note = f"not bitwise equal; RMS {np.sqrt(np.mean(off**2)):.2g}, of values with a spread of {first.std():.3g}"
    return Figure(case=case, name=name, value=float(off.max()), unit="grey levels", note=note)
