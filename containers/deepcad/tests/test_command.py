"""The command that an image runs, in processes of its own: killed, resumed, refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import yaml

from contract.files import write_json
from contract.job import Inputs, to_document
from n2v.tests.forked import begin, ended

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

sys.path.insert(0, str(Path(__file__).parent))

from movies import clean_movie, make_job, noisy_movie, write

FOLDER = Path(__file__).resolve().parents[1]
UPSTREAM = {"name": "deepcad", "version": "1.2.0", "commit": "9eaed56"}


@pytest.fixture(scope="module")
def algorithm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder as an image holds it, with algorithm.json in place of algorithm.yaml."""
    folder = tmp_path_factory.mktemp("image") / "algorithm"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    write_json(folder / "algorithm.json", yaml.safe_load((FOLDER / "algorithm.yaml").read_text()))
    return folder


def start(algorithm: Path, folder: Path, command: str, *movies: Path, **fields: object) -> ForkServerProcess:
    """Start a job; HOME is not set and the working folder is not writable for anybody but root."""
    params = fields.pop("params", {})
    job = make_job(folder, command, list(movies), params, **fields)
    write_json(job.path, to_document(job))
    before = "os.environ.pop('HOME', None)\nos.chdir('/')"
    return begin(job.path, command, {"ALGORITHM_DIR": str(algorithm)}, before)


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.pth"))}


def test_a_training_killed_and_started_again_predicts_from_its_checkpoint_alone(
    tmp_path: Path, algorithm: Path
) -> None:
    movie = write(tmp_path / "m.tif", noisy_movie(clean_movie((33, 28, 30))))
    params = {"n_epochs": 6}
    assert ended(start(algorithm, tmp_path / "whole" / "train", "train", movie, params=params)) == 0
    killed = tmp_path / "killed" / "train"
    process = start(algorithm, killed, "train", movie, params=params)
    while not list(killed.parent.glob("checkpoint/E_02*.pth")) and process.is_alive():
        time.sleep(0.01)
    process.kill()
    ended(process)
    assert ended(start(algorithm, killed, "train", movie, params=params)) == 0
    assert "resuming after epoch" in (killed / "events.jsonl").read_text()
    assert digests(killed.parent / "checkpoint") == digests(tmp_path / "whole" / "checkpoint")
    assert result(killed)["upstream"] == UPSTREAM

    moved = (tmp_path / "killed" / "checkpoint").rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "killed")
    inputs = Inputs(noisy=(movie, write(tmp_path / "n.tif", tifffile.imread(movie)[::-1])))
    assert ended(start(algorithm, tmp_path / "p", "predict", inputs=inputs, checkpoint=moved)) == 0
    assert sorted(path.name for path in (tmp_path / "p" / "predictions").iterdir()) == ["m.tif", "n.tif"]


@pytest.mark.parametrize(
    ("fields", "ending", "message"),
    [
        ({"params": {"patch_t": 40}}, (2, "refused"), "patch_t, patch_y, patch_x of at most (16, 28, 30) fit"),
        ({"device": "cuda"}, (4, "device missing"), "device cuda was asked for"),
        ({"params": {"lr": 1.0, "b2": 0.0}}, (5, "did not converge"), "the loss of step"),
    ],
)
def test_a_job_that_cannot_work_ends_with_its_reason(
    tmp_path: Path, algorithm: Path, fields: dict, ending: tuple[int, str], message: str
) -> None:
    movie = write(tmp_path / "m.tif", noisy_movie(clean_movie((33, 28, 30))))
    code = ended(start(algorithm, tmp_path / "train", "train", movie, **fields))
    found = result(tmp_path / "train")
    assert (code, found["status"]) == ending
    assert message in found["error"]["message"]


def test_prediction_without_a_finished_training_is_refused(tmp_path: Path, algorithm: Path) -> None:
    movie = write(tmp_path / "m.tif", np.zeros((9, 9, 9), np.uint16))
    assert ended(start(algorithm, tmp_path / "p", "predict", movie, checkpoint=tmp_path / "nothing")) == 2
    assert "expected a finished training" in result(tmp_path / "p")["error"]["message"]
