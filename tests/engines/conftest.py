"""The probe, an algorithm that looks around or misbehaves: built once on each engine, run once for each question."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from orchestrator.algorithms.folders import load_algorithm
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import input_source
from orchestrator.engines import apptainer_engine, engine_named
from orchestrator.engines.image import image_of, prepare
from orchestrator.paths import layout
from orchestrator.records.record import Choice
from orchestrator.runs.execute import execute
from orchestrator.runs.plan import make_plan
from orchestrator.runs.settings import Settings

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).parent / "tiny"
DOCKER, PODMAN, APPTAINER = (
    pytest.param(name, marks=pytest.mark.engine(name)) for name in ("docker", "podman", "apptainer")
)


@pytest.fixture(params=[DOCKER, PODMAN, APPTAINER, "venv"])
def engine(request):
    """Return the name of each engine."""
    return request.param


@pytest.fixture(params=[DOCKER, PODMAN, APPTAINER])
def image_engine(request):
    """Return the name of each engine that runs images."""
    return request.param


@pytest.fixture(params=[DOCKER, PODMAN])
def server(request):
    """Return the name of each engine that is a server of the Docker API."""
    return request.param


class Silent:
    """A progress that nobody watches."""

    def begin(self, title):
        """Take note of nothing."""

    def event(self, event):
        """Take note of nothing."""

    def end(self):
        """Take note of nothing."""


@pytest.fixture
def quiet_progress():
    """Return a progress that nobody watches."""
    return Silent()


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The probe with outputs of its own."""

    folder: Path
    movie: Path

    source: ClassVar = Path(__file__).parent / "probe"

    def built(self, name):
        """Return an engine by name, and the probe's image, built there."""
        where = layout()
        algorithm = load_algorithm(self.source)
        image = image_of(algorithm, "cpu", where)
        engine = engine_named(name, where)
        if engine.find(image) is None:
            prepare(algorithm, image, where)
            engine.build(image)
        return engine, image

    def run(self, name, *, act="look", size_bytes=0, memory_bytes=None, before=None):
        """Run it to its end and return the plan; `before` gets engine and image once they are there."""
        engine, image = self.built(name)
        if before is not None:
            before(engine, image)
        plan = make_plan(
            load_algorithm(self.source),
            image,
            source=input_source([self.movie], Choice(), layout()),
            settings=Settings(preset="smoke", overrides={"act": act, "size_bytes": size_bytes}, seed=1, threads=1),
            layout=replace(layout(), outputs=self.folder / "outputs"),
            checksums=Checksums(self.folder / "sums.json"),
        )
        execute(plan, engine, Silent(), memory_bytes)
        return plan

    def look(self, name):
        """Run it and return the plan and what it saw."""
        plan = self.run(name)
        return plan, json.loads((plan.folder.job("predict", "train") / "probe.json").read_text())

    def wait_until_it_sleeps(self):
        """Wait until a job says that it sleeps."""
        deadline = time.monotonic() + 60
        events = "outputs/*/*/predict-train/events.jsonl"
        while not any("sleeping" in path.read_text() for path in self.folder.glob(events)):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def processes(self):
        """Return the ids of the Python processes that run its jobs, in containers or not."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words[0].endswith("python") and any(word.startswith(str(self.folder / "outputs")) for word in words):
                found.append(int(path.parent.name))
        return found

    def containers(self, name):
        """Return the containers of calm that an engine still holds."""
        if name not in ("docker", "podman"):
            return []
        command = [name, "ps", "--all", "--quiet", "--filter", "label=org.calm.image"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture
def probe(tmp_path, movie):
    """Return the probe with outputs of its own."""
    return Probe(folder=tmp_path, movie=movie)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """Return a copy of the checkout with the algorithm `tiny`; its SIF and those of the controls are in the cache."""
    folder = tmp_path_factory.mktemp("checkout") / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "files", ".*")
    for name in ("orchestrator", "evaluation", "containers", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("Makefile", "README.md", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(TINY, folder / "containers" / "tiny", ignore=ignored)
    for name in ("identity", "mean", "svd", "tiny"):
        _make_sif(load_algorithm(folder / "containers" / name))
    return folder


def _make_sif(algorithm):
    image, engine = image_of(algorithm, "cpu", layout()), apptainer_engine(layout())
    if engine.find(image) is None:
        prepare(algorithm, image, layout())
        engine.convert(image)
