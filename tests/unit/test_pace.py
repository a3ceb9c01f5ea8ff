"""How long a training takes is told by its first steps, which an engine of the test takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contract.job import read_job
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.cli.forecast import text_of
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import input_source
from orchestrator.domain import Exit, Image
from orchestrator.errors import AlgorithmFailed
from orchestrator.paths import layout
from orchestrator.records.record import Choice
from orchestrator.reproduce.forecast import Estimate, Forecast
from orchestrator.runs import pace
from orchestrator.runs.plan import make_plan
from orchestrator.runs.settings import Settings

IMAGE = Image(
    algorithm="n2v", variant="cpu", digest="d" * 64, lock=Path("/l"), wheelhouse=Path("/w"), context=Path("/c")
)


class Training:
    """An engine whose training tells of a step every two seconds, as its events say, until it is ended."""

    name = "venv"
    told = 0

    def run(self, launch, watch):
        """Train as an image does, all at once."""
        job = read_job(Path(launch.arguments[1]))
        with (job.folder / "events.jsonl").open("a") as events:
            for step in range(1, 101):
                events.write(json.dumps({"step": step, "steps": 100, "time_s": 1000.0 + 2 * step}) + "\n")
                events.flush()
                self.told = step
                watch()
        return Exit(code=1)


@pytest.fixture
def plan(tmp_path, movie):
    """Return a plan of Noise2Void on a small movie."""
    return make_plan(
        load_algorithms(layout().containers)["n2v"],
        IMAGE,
        source=input_source([movie], Choice(), layout()),
        settings=Settings(preset="smoke", overrides={}, seed=1, threads=1),
        layout=replace(layout(), outputs=tmp_path / "outputs"),
        checksums=Checksums(tmp_path / "sums.json"),
    )


def test_a_training_is_ended_after_a_few_steps_that_tell_how_long_all_of_them_take(plan):
    engine = Training()
    assert pace.training_seconds(plan, engine) == pytest.approx(200)  # 100 steps of 2 s
    assert engine.told == 4  # the first that is more than 5 s after the first
    assert plan.folder.job("train").is_dir()  # the run goes on from here
    assert not plan.folder.lock.exists()


def test_a_training_that_tells_too_little_for_too_long_has_no_known_time(plan, monkeypatch):
    monkeypatch.setattr(pace, "_PATIENCE_S", 0.0)
    assert pace.training_seconds(plan, Training()) is None


def test_a_training_that_cannot_be_timed_says_why(plan):
    class Crash:
        name = "venv"

        def run(self, *_):
            return Exit(code=1, output="it fell over")

    with pytest.raises(AlgorithmFailed):
        pace.training_seconds(plan, Crash())


def test_costs_name_the_time_of_training_and_that_prediction_comes_on_top(tmp_path):
    trained, control = (
        Estimate(
            experiment="movie",
            algorithm=name,
            seed=1,
            jobs=("train", "predict-train"),
            state="to run",
            training_s=seconds,
        )
        for name, seconds in (("n2v", 600.0), ("mean", 0.0))
    )
    where = replace(layout(), outputs=tmp_path)
    lines = text_of(Forecast(runs=(trained, control), outlines=(), warnings=()), where).splitlines()
    assert "10 min and prediction" in lines[1]
    assert "prediction only" in lines[2]
    assert lines[3].startswith("In all: 10 min and the prediction of 2 runs; memory")
