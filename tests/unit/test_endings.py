"""How a job ended is told with a hint that names files which are there."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from contract.events import Events
from contract.files import write_json
from contract.job import read_job
from contract.result import Ending as ContractEnding
from contract.result import write_result
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import input_source
from orchestrator.domain import Exit, Image
from orchestrator.errors import DidNotConverge
from orchestrator.paths import layout
from orchestrator.records.record import Choice
from orchestrator.runs.execute import execute
from orchestrator.runs.plan import make_plan
from orchestrator.runs.settings import Settings

IMAGE = Image(
    algorithm="identity", variant="cpu", digest="d" * 64, lock=Path("/l"), wheelhouse=Path("/w"), context=Path("/c")
)


class Silent:
    """A progress that nobody watches."""

    def begin(self, title):
        """Print nothing."""

    def event(self, event):
        """Print nothing."""

    def end(self):
        """Print nothing."""


class Ending:
    """An engine whose training ends without a usable network, after it wrote some files."""

    name = "venv"

    def __init__(self, *written):
        self._written = written

    def run(self, launch, _):
        """End as an image does."""
        job = read_job(Path(launch.arguments[1]))
        (job.folder / "log.txt").touch()
        for name in self._written:
            job.checkpoint.mkdir(exist_ok=True)
            write_json(job.checkpoint / name, {})
        ending = ContractEnding(
            status="did not converge", exit_code=5, kind="DidNotConverge", message="the network copies noise"
        )
        with closing(Events(job.folder / "events.jsonl")) as events:
            write_result(job.folder, job, ending, events, upstream=None, versions={})
        return Exit(code=5)


@pytest.mark.parametrize(
    ("written", "evidence"), [(["evidence.json"], "checkpoint/evidence.json"), ([], "train/log.txt")]
)
def test_training_that_did_not_converge_says_where_the_evidence_is(tmp_path, movie, written, evidence):
    plan = make_plan(
        load_algorithms(layout().containers)["identity"],
        IMAGE,
        source=input_source([movie], Choice(), layout()),
        settings=Settings(preset="default", overrides={}, seed=1, threads=1),
        layout=replace(layout(), outputs=tmp_path / "outputs"),
        checksums=Checksums(tmp_path / "sums.json"),
    )
    with pytest.raises(DidNotConverge, match="the network copies noise") as caught:
        execute(plan, Ending(*written), Silent())
    path = plan.folder.path / evidence
    assert path.is_file()
    assert caught.value.hint == f"The evidence is in {path}; try another preset or seed."
