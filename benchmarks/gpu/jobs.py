"""Jobs through the contract in the current interpreter, and what their events and results tell of speed and memory."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import yaml

from contract.files import write_json
from contract.job import Inputs, Job, to_document
from gpu.bench import CONTAINERS, Bench, CutOff
from gpu.records import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDED = (0, 5)  # well, or as not converged, which a few steps may be
_MIB, _GIB = 2**20, 2**30
_OF_MEMORY = re.compile(r"tiles (are|that)|out of memory")


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One job.

    Parameters
    ----------
    name : str
        For people and folders.
    algorithm, command, preset : str
        What to run; `params` go over the preset.
    shape : tuple of int
        (T, Y, X) of the movie.
    device : str
        "" for that of the session.
    threads : int
        0 for those of the session.
    checkpoint : Path or None
        Where a prediction finds its network; a training makes one of its own.
    """

    name: str
    algorithm: str
    command: Literal["train", "predict"]
    shape: tuple[int, int, int]
    preset: str = "smoke"
    params: dict[str, Any] = field(default_factory=dict)
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str = ""
    threads: int = 0
    checkpoint: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """What a job left.

    Parameters
    ----------
    folder : Path
        Of the job.
    code : int or None
        Exit code; None when it was cut off.
    sentence : str
        The error of its result, or nothing.
    result : dict
        Its result.json; empty when it was cut off.
    steps : int
        Training steps or frames done.
    rate : float or None
        Of them a second between the first event and the last, without what comes before; None where there is only one.
    start_up_s : float or None
        From the start of the process to its first event with a step.
    busy : float or None
        Share of time in which the card worked, as nvidia-smi saw it; None where there is none.
    told : tuple of str
        What it said of tiles and memory.
    """

    folder: Path
    code: int | None
    sentence: str
    result: dict[str, Any]
    steps: int
    rate: float | None
    start_up_s: float | None
    busy: float | None
    told: tuple[str, ...]


def run(bench: Bench, case: Case) -> Ran:
    """Run a job to its end or to the end of its time, and watch how busy the card is."""
    folder = bench.folder / "jobs" / re.sub(r"[^A-Za-z0-9.]+", "_", case.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = _job(bench, case, folder)
    write_json(job.path, to_document(job))
    environment = bench.environment() | {"ALGORITHM_DIR": str(_image(bench, case.algorithm))}
    began_s, code = time.time(), None
    with suppress(CutOff), bench.watching(folder / "busy.txt"):
        code = bench.start([sys.executable, "-m", "contract", case.command, str(job.path)], environment)
    return _ran(bench, folder, began_s, code)


def figures(case: Case, ran: Ran) -> Iterator[Figure]:
    """Yield what a job tells of speed and memory.

    Raises
    ------
    CutOff
        After the figures, when the job did not end in time.
    """
    unit = "steps" if case.command == "train" else "frames"
    figure = partial(Figure, case=case.name, arithmetic="bfloat16" if case.precision == "bfloat16" else "")
    if ran.code not in (None, *ENDED):
        yield figure(name="exit code", value=ran.code, note=ran.sentence)
        return
    yield figure(name=f"{unit} a second", value=ran.rate, unit="1/s", note=_between(ran, unit))
    if ran.start_up_s is not None:
        yield figure(name=f"first {unit} after", value=ran.start_up_s, unit="s")
    if ran.code is None:
        raise CutOff
    yield figure(name="whole job", value=ran.result["seconds"], unit="s")
    if case.command == "predict":
        value = case.shape[0] / ran.result["seconds"]
        yield figure(name="frames a second of the whole job", value=value, unit="1/s")
    yield figure(name="peak host memory", value=ran.result["peak_memory_bytes"] / _MIB, unit="MiB")
    if ran.result["peak_gpu_bytes"]:
        value = ran.result["peak_gpu_bytes"] / _GIB
        yield figure(name="peak GPU memory", value=value, unit="GiB", note=_of_asked(case, value))
    if ran.busy is not None:
        note = "of the whole job, start-up included; what is left is host time"
        yield figure(name="share of time that the card works", value=ran.busy, note=note)
    yield from (figure(name="told", value=told) for told in ran.told)


def _of_asked(case: Case, gib: float) -> str:
    asked = case.params.get("memory_gib") or case.params.get("predict_memory_gib")
    return f"{gib / asked:.0%} of the {asked:g} GiB asked for" if asked else ""


def _between(ran: Ran, unit: str) -> str:
    return f"{ran.steps} {unit}" if ran.rate else "too few events for a speed; see the whole job"


def _ran(bench: Bench, folder: Path, began_s: float, code: int | None) -> Ran:
    path, result = folder / "events.jsonl", folder / "result.json"
    lines = path.read_text().splitlines() if path.exists() else []
    said = list(map(json.loads, lines))
    events = [one for one in said if one.get("step")]
    rate = start_up_s = None
    if events:
        first, last = events[0], events[-1]
        start_up_s = first["time_s"] - began_s
        took_s = last["time_s"] - first["time_s"]
        if last["step"] > first["step"] and took_s > 0:
            rate = (last["step"] - first["step"]) / took_s
    document = json.loads(result.read_text()) if code is not None and result.exists() else {}
    return Ran(
        folder=folder,
        code=code,
        sentence=bench.shown((document.get("error") or {}).get("message", "")),
        result=document,
        steps=events[-1]["step"] if events else 0,
        rate=rate,
        start_up_s=start_up_s,
        busy=_busy(folder / "busy.txt"),
        told=tuple(one["message"] for one in said if _OF_MEMORY.search(one.get("message", ""))),
    )


def _busy(path: Path) -> float | None:
    """Return the mean of percentages, one a line."""
    percents = [float(line) for line in path.read_text().split() if line.isdecimal()] if path.exists() else []
    return sum(percents) / len(percents) / 100 if percents else None


def _job(bench: Bench, case: Case, folder: Path) -> Job:
    movie = (bench.movie(case.shape),)
    return Job(
        folder=folder,
        job=case.name,
        command=case.command,
        axes="TYX",
        frame_rate_hz=30.0,
        inputs=Inputs(train=movie) if case.command == "train" else Inputs(noisy=movie),
        checkpoint=case.checkpoint or folder / "checkpoint",
        predictions=folder / "predictions",
        params=params(case.algorithm, case.preset) | case.params,
        seed=1,
        device=case.device or bench.device,  # type: ignore[arg-type]
        threads=case.threads or bench.threads,
        precision=case.precision,
    )


def params(algorithm: str, preset: str) -> dict[str, Any]:
    """Return the parameters of a preset, complete."""
    document = _document(algorithm)
    return {name: one["default"] for name, one in document["params"].items()} | document["presets"][preset]


def _document(algorithm: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((CONTAINERS / algorithm / "algorithm.yaml").read_text())
    return document


def _image(bench: Bench, algorithm: str) -> Path:
    """Lay out an algorithm's code as its image holds it, once, and return the folder."""
    folder = bench.folder / "images" / algorithm
    if not folder.exists():
        folder.mkdir(parents=True)
        source, document = CONTAINERS / algorithm, _document(algorithm)
        shared = [source / path for path in document.get("shares", [])]
        for path in (*source.glob("*.py"), *shared):
            for file in path.glob("*.py") if path.is_dir() else [path]:
                (folder / file.name).symlink_to(file.resolve())
        write_json(folder / "algorithm.json", document)
    return folder
