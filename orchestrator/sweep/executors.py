"""Where tasks run, this machine or Slurm: what is alive there, how what ended without a word ended, what a node has."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from contract.device import visible_gpus
from orchestrator.engines import process
from orchestrator.errors import AlgorithmFailed, BadInput
from orchestrator.sweep.resources import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.sweep.records import Attempt, State

Ending = tuple["State", str]
_MIB = 2**20
_LEAST_JOB_AGE_S = 200  # the plugin of Snakemake asks every 180 s; a job that is gone by then is waited for ever
_FORMAT = "%i|%j|%T|%k"
_COMMENT = "_wildcards_"  # the plugin ends the comment of a job with its wildcards; the only one is the task
_ENDINGS: Mapping[str, Ending] = {
    "TIMEOUT": ("walltime", "Slurm ended it at its time limit"),
    "DEADLINE": ("walltime", "Slurm ended it at its deadline"),
    "OUT_OF_MEMORY": ("out of memory", "Slurm ended it at its memory limit"),
    "CANCELLED": ("cancelled", "cancelled in Slurm"),
    "PREEMPTED": ("node lost", "preempted by Slurm"),
    "NODE_FAIL": ("node lost", "its node failed"),
    "BOOT_FAIL": ("node lost", "its node did not boot"),
    "FAILED": ("node lost", "Slurm says that it failed, and it left no word"),
    "COMPLETED": ("node lost", "Slurm says that it is over, and it left no word"),
}


class Executor(Protocol):
    """What a sweep asks of where its tasks run."""

    @property
    def rounds(self) -> int:
        """How many starts of Snakemake may be at work at once."""

    def check(self) -> None:
        """Refuse where a sweep would hang.

        Raises
        ------
        BadInput
            With what is missing or set so that nothing would be seen to end.
        """

    def node(self) -> Node:
        """Return the largest node."""

    def options(self, node: Node) -> tuple[str, ...]:
        """Return the options of Snakemake."""

    def alive(self, attempts: Mapping[str, Attempt]) -> set[str]:
        """Return the tasks that are queued or running; `attempts` are the last ones."""

    def word(self, task: str, attempt: Attempt | None) -> Ending | None:
        """Say how a task ended that left no word of its own; None where nothing is known, or it may still begin."""

    def forget(self, tasks: Iterable[str]) -> None:
        """Take no notice any more of how tasks ended before now, because they begin anew."""

    def cancel(self) -> None:
        """End every task of the sweep that is alive, but for those that end with Snakemake."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalExecutor:
    """The machine that calm runs on: as many tasks at once as its cores, memory and GPUs hold."""

    profiles: Path
    extra: tuple[str, ...] = ()
    rounds: int = 1  # two would each fill the machine

    def check(self) -> None:
        """Refuse nothing."""

    def node(self) -> Node:
        """Return this machine, without a tenth of its memory."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB
        return Node(
            cpus=len(os.sched_getaffinity(0)),
            memory_mb=memory * 9 // 10,
            gpus=len(visible_gpus()),
        )

    def options(self, node: Node) -> tuple[str, ...]:
        """Return the profile, with what this machine has."""
        limits = f"mem_mb={node.memory_mb}", f"gpu={node.gpus}"
        return (
            "--profile",
            str(self.profiles / "local"),
            "--cores",
            str(node.cpus),
            "--resources",
            *limits,
            *self.extra,
        )

    def alive(self, attempts: Mapping[str, Attempt]) -> set[str]:
        """Return the tasks whose process is there."""
        here = socket.gethostname()
        return {
            task for task, one in attempts.items() if one.ended_s is None and one.host == here and _is_task(one, task)
        }

    def word(self, task: str, attempt: Attempt | None) -> Ending | None:  # noqa: ARG002 - of the interface
        """Know nothing, for a process leaves nothing."""
        return None

    def forget(self, tasks: Iterable[str]) -> None:
        """Have nothing to forget."""

    def cancel(self) -> None:
        """Leave it to Snakemake, of which every task is a child."""


@dataclass(kw_only=True, slots=True)
class SlurmExecutor:
    """Slurm, with or without accounting; jobs are asked for by the name that they have of the folder of their sweep."""

    profiles: Path
    folder: Path
    extra: tuple[str, ...] = ()
    rounds: int = 4  # repeated tasks need not wait for the slowest of the first ones
    _seen: dict[str, tuple[str, str]] = field(default_factory=dict)
    _old: set[str] = field(default_factory=set)

    @property
    def prefix(self) -> str:
        """How the names of its jobs begin: sweeps of one name in other outputs are other sweeps."""
        place = hashlib.sha256(bytes(self.folder)).hexdigest()[:8]
        return f"calm-{self.folder.name[:36]}-{place}"

    def check(self) -> None:
        """Refuse a cluster that forgets ended jobs too soon for Snakemake to see them."""
        age = re.search(r"^MinJobAge\s*=\s*(\d+)", _config(), re.MULTILINE)
        if not has_accounting() and (age is None or int(age[1]) < _LEAST_JOB_AGE_S):
            found = "none" if age is None else f"{age[1]} s"
            message = f"slurm.conf: expected MinJobAge of at least {_LEAST_JOB_AGE_S} s without accounting, got {found}"
            raise BadInput(message, "Ask the cluster's administrators for Slurm's default, 300 s.")

    def node(self) -> Node:
        """Return the largest number of cores, memory and GPUs among the nodes."""
        lines = [line.split("|") for line in process.run(["sinfo", "--noheader", "--format=%c|%m|%G"]).splitlines()]
        if not lines:
            message = "sinfo: expected a node, got none"
            raise BadInput(message, "`sinfo` shows the partitions that you may use.")
        return Node(
            cpus=max(_number(cpus) for cpus, _, _ in lines),
            memory_mb=max(_number(memory) for _, memory, _ in lines),
            gpus=max(sum(map(int, re.findall(r"gpu[^,(]*:(\d+)", gres))) for _, _, gres in lines),
        )

    def options(self, node: Node) -> tuple[str, ...]:  # noqa: ARG002 - Slurm knows its nodes
        """Return the profile for a cluster with or without accounting, and what the user adds."""
        profile = self.profiles / ("slurm-accounting" if has_accounting() else "slurm")
        return ("--profile", str(profile), "--slurm-jobname-prefix", self.prefix, *self.extra)

    def alive(self, attempts: Mapping[str, Attempt]) -> set[str]:  # noqa: ARG002 - Slurm knows what is alive
        """Return the tasks with a job that has not ended."""
        self._seen = {task: (number, state) for number, task, state in self._jobs()}
        return {task for task, (_, state) in self._seen.items() if state not in _ENDINGS}

    def word(self, task: str, attempt: Attempt | None) -> Ending | None:
        """Ask Slurm, which remembers a job for some minutes."""
        number, state = self._seen.get(task, ("", ""))
        if attempt is not None and attempt.job and number != attempt.job:
            state = _state_of(attempt.job)
        return None if number in self._old else _ENDINGS.get(state)

    def forget(self, tasks: Iterable[str]) -> None:
        """Remember the jobs that were seen last as old ones."""
        self._old |= {self._seen[task][0] for task in tasks if task in self._seen}

    def cancel(self) -> None:
        """Cancel every job that has not ended."""
        numbers = [number for number, _, state in self._jobs() if state not in _ENDINGS]
        if numbers:
            process.run(["scancel", *numbers])

    def _jobs(self) -> list[tuple[str, str, str]]:
        """Return number, task and state of every job of the sweep that Slurm remembers, the latest last."""
        user = str(os.getuid())
        printed = process.run(["squeue", "--noheader", "--states=all", f"--user={user}", f"--format={_FORMAT}"])
        found = []
        for line in printed.splitlines():
            number, name, state, comment = line.split("|", maxsplit=3)
            if name.startswith(f"{self.prefix}_") and _COMMENT in comment:
                found.append((number, comment.partition(_COMMENT)[2].strip(), state))
        return sorted(found, key=lambda one: int(one[0]))


def has_accounting() -> bool:
    """Return whether a Slurm database keeps what ended."""
    found = re.search(r"^AccountingStorageType\s*=\s*(\S+)", _config(), re.MULTILINE)
    return found is not None and found[1].endswith("slurmdbd")


def end_of_job_s(number: str) -> float | None:
    """Return when Slurm will end a job, seconds since 1970; None where it does not say."""
    try:
        printed = process.run(["squeue", "--noheader", "--jobs", number, "--format=%e"]).strip()
        return datetime.fromisoformat(printed).astimezone().timestamp()
    except (AlgorithmFailed, BadInput, ValueError):
        return None


def _config() -> str:
    return process.run(["scontrol", "show", "config"])


def _state_of(number: str) -> str:
    try:
        found = re.search(r"JobState=(\w+)", process.run(["scontrol", "show", "job", number]))
    except AlgorithmFailed:  # it is too long ago
        return ""
    return "" if found is None else found[1]


def _number(text: str) -> int:
    return int(re.sub(r"\D", "", text))  # Slurm writes 64+ where nodes differ


def _is_task(attempt: Attempt, task: str) -> bool:
    """Return whether the process of an attempt is there, and no other has its number by now."""
    try:
        words = Path(f"/proc/{attempt.process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return task in words
