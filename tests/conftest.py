"""What all tests share: real engines or a printed reason, real test movies, and the command as a user runs it."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from filelock import FileLock

import contract  # noqa: F401 - before tests/ is on the path, where a folder of this name would be found first
from orchestrator.engines import engine_named
from orchestrator.errors import CalmError, EngineMissing
from orchestrator.paths import layout
from orchestrator.sweep.executors import SlurmExecutor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))  # importlib mode does not let tests import the helpers beside this
from command import Calm  # noqa: E402 - it lies there

TEST_DATA = Path(os.environ.get("CALM_TEST_DATA", ROOT.parent / "shared" / "data"))


STARTS_PROGRAMS = {"browser", "calm", "demo_calm", "reference", "shared_calm"}  # fixtures
QUIET_S = 0.15  # what `_calibration_s` takes on one quiet core of the machine that the limits were set on


def _calibration_s():
    """Time a little arithmetic: the slower machine and the busier one take longer."""
    began_s = time.perf_counter()
    sum(number * number for number in range(2_000_000))
    return time.perf_counter() - began_s


def _keep_to_own_cores(worker):
    """Leave a worker and what it starts their share of the cores: threads of others would have to be waited for."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        own = cores[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]
        os.sched_setaffinity(0, own or cores)


def pytest_configure(config):
    """Lengthen the time limit of every test on a slower machine; workers take the factor of their controller."""
    if hasattr(config, "workerinput"):
        config.calm_slowness = config.workerinput["slowness"]
        _keep_to_own_cores(config.workerinput)
    else:
        config.calm_slowness = max(1.0, _calibration_s() / QUIET_S)
        config.calm_began_s = time.monotonic()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["slowness"] = node.config.calm_slowness


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give workers whole files, as tests of a file share what its fixtures made; those of the contract by folder."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - not every run of tests has workers

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            name, _, test = nodeid.partition("::")
            return name + test.partition("[")[2] if name.startswith("tests/contract/") else name

    return Scheduler(config, log)


def pytest_collection_modifyitems(config, items):
    """Scale limits of time with the machine, and call a test slow that starts programs."""
    default_s = float(config.getini("timeout"))
    for item in items:
        if STARTS_PROGRAMS & {*item.fixturenames}:
            item.add_marker(pytest.mark.slow)
        own = item.get_closest_marker("timeout")
        item.add_marker(pytest.mark.timeout((own.args[0] if own else default_s) * config.calm_slowness), append=False)


def pytest_terminal_summary(terminalreporter, config):
    """Say once for each reason how many tests were skipped, and how long everything took."""
    skipped = Counter(str(one.longrepr[2]).removeprefix("Skipped: ") for one in terminalreporter.getreports("skipped"))
    for reason, count in sorted(skipped.items()):
        terminalreporter.write_line(f"{count} skipped: {reason}")
    minutes = (time.monotonic() - config.calm_began_s) / 60
    terminalreporter.write_line(
        f"{minutes:.1f} minutes; limits of time were {config.calm_slowness:.1f} times the usual"
    )


def pytest_runtest_setup(item):
    """Skip a test whose engine is missing, with the reason; fail it where REQUIRE_ENGINES names the engine."""
    for marker in item.iter_markers("engine"):
        name = marker.args[0]
        try:
            _check(name)
        except CalmError as error:
            required = name in os.environ.get("REQUIRE_ENGINES", "").split(",")
            (pytest.fail if required else pytest.skip)(
                f"engine {name}: {error.message}; tests/engines/provision/{name}.sh installs it on Debian"
            )


def _check(name):
    """Refuse a missing engine, or Slurm where no node is up."""
    if name != "slurm":
        engine_named(name, layout())
    elif not SlurmExecutor(profiles=layout().workflow, folder=layout().outputs).node().cpus:
        message = "slurm: expected a node, got none"
        raise EngineMissing(message, "Start it.")


@pytest.fixture
def calm(tmp_path):
    """Return the command `calm` with outputs and data of its own."""
    return Calm(outputs=tmp_path / "outputs", data=tmp_path / "data")


@pytest.fixture(scope="session")
def shared_calm(tmp_path_factory, pytestconfig):
    """Return a command whose outputs all tests of a session share, those of other workers too."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if hasattr(pytestconfig, "workerinput") else own) / "calm"
    return Calm(outputs=folder / "outputs", data=folder / "data")


@pytest.fixture(scope="session")
def demo_calm(shared_calm):
    """Return the same command with the demo there, simulated once for all workers."""
    shared_calm.data.mkdir(parents=True, exist_ok=True)
    with FileLock(shared_calm.data.with_suffix(".lock")):
        fetched = shared_calm("data", "fetch", "demo")
    assert fetched.returncode == 0, fetched.stderr
    return shared_calm


@pytest.fixture
def movie(tmp_path):
    """Return a small noisy movie of shape (20, 32, 40), uint16."""
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, np.random.default_rng(0).poisson(100, (20, 32, 40)).astype(np.uint16))
    return path


@pytest.fixture
def real_movie():
    """Return a function that finds a real test movie by name, or skips the test with the reason."""

    def find(name):
        path = TEST_DATA / name
        if not path.exists():
            pytest.skip(f"no real movie {path}; set CALM_TEST_DATA")
        return path

    return find


@pytest.fixture
def short_movie(real_movie, shared_calm):
    """Return a function that cuts a real test movie to its first frames, for what does not depend on its length."""

    def cut(name, frames=64):
        path = shared_calm.data / f"first-{frames}" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{os.getpid()}-{name}")
            tifffile.imwrite(part, tifffile.imread(real_movie(name))[:frames], photometric="minisblack")
            part.replace(path)
        return path

    return cut
