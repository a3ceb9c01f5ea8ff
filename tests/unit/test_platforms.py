"""Locks for systems that this one is not: all there, file by file, with the versions of the lock for this one."""

from __future__ import annotations

import platform
import sys

import pytest

from orchestrator.algorithms.folders import in_environment, load_algorithms
from orchestrator.engines.locks import read_lock
from orchestrator.engines.platforms import LINUX, OTHERS, RENAMED, host, lock_for
from orchestrator.errors import BadInput
from orchestrator.paths import layout

ENVIRONMENTS = [
    each
    for one in load_algorithms(layout().containers).values()
    for each in (one, *(in_environment(one, name) for name in one.environments))
]


@pytest.mark.parametrize("target", OTHERS, ids=lambda one: one.name)
@pytest.mark.parametrize("algorithm", ENVIRONMENTS, ids=lambda one: one.full_name)
def test_another_platform_gets_the_same_versions(algorithm, target):
    here = {RENAMED.get(pin.name, pin.name): pin.version.partition("+")[0] for pin in read_lock(algorithm.lock("cpu"))}
    there = {pin.name: pin.version for pin in read_lock(lock_for(algorithm, "cpu", target))}
    assert {name: there.get(name) for name in here} == here


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [("linux", "x86_64", LINUX), ("linux", "aarch64", OTHERS[0]), ("darwin", "arm64", OTHERS[1])],
)
def test_each_machine_takes_the_locks_made_for_it(monkeypatch, system, machine, expected):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host() is expected


@pytest.mark.parametrize(("system", "machine"), [("win32", "AMD64"), ("darwin", "x86_64"), ("linux", "riscv64")])
def test_a_machine_that_no_lock_fits_is_told_so(monkeypatch, system, machine):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(BadInput, match=f"linux-x86-64, linux-arm64, macos-arm64.*{machine}"):
        host()
