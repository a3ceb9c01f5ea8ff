"""A folder that declares a control needs no other file changed: its movie is scored, shown and printed."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
import tifffile

from orchestrator.algorithms.folders import load_algorithm
from orchestrator.errors import BadInput
from orchestrator.paths import layout

CONTAINERS = layout().containers
DECLARED = '\ncontrols: {still: "Mean frame alone"}\n'
PREDICT = '''

def _predict(job: Job, events: Events) -> None:
    """Write the mean frame, once for each frame, beside the movie itself."""
    from contract.predictions import open_prediction

    for stack, prediction in predictions_of(job, events):
        movie = stack.frames(0, stack.shape[0])
        prediction.write(movie)
        folder = job.predictions.parent / "extra" / "still" / job.predictions.name
        folder.mkdir(parents=True)
        with open_prediction(folder / stack.path.name, stack, job.output_dtype) as control:
            control.write(movie.mean(axis=0, keepdims=True).repeat(len(movie), axis=0))


predict = _predict
'''


def _copied_folder(containers):
    """Copy the control identity to an algorithm `new` that writes and declares a control."""
    folder = containers / "new"
    shutil.copytree(CONTAINERS / "identity", folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "algorithm.yaml").read_text()
    text = text.replace("name: identity", "name: new", 1).replace("kind: control", "kind: algorithm")
    (folder / "algorithm.yaml").write_text(text.replace("title: Identity (control)", "title: New (a copy)") + DECLARED)
    (folder / "run.py").write_text((folder / "run.py").read_text() + PREDICT)
    return folder


@pytest.fixture
def new(calm, tmp_path):
    """Return the command `calm` of a checkout that has the folder."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "files")
    for name in (
        "orchestrator",
        "data",
        "containers/base",
        "containers/contract",
        "containers/identity",
        "containers/mean",
    ):
        shutil.copytree(CONTAINERS.parent / name, checkout / name, ignore=ignored)
    _copied_folder(checkout / "containers")
    path = f"{checkout}:{checkout / 'containers'}"
    environment = calm.environment(PYTHONPATH=path, CALM_HOME=str(layout().home), PYTHONSAFEPATH="1")

    def run(*arguments):
        done = subprocess.run(
            calm.command(*arguments), capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_control_that_a_folder_declares_is_scored_shown_and_scored_anew(calm, new, movie):
    """The movie has no target. What the mean frame removes is the movie minus its mean frame."""
    lines = new("run", "new", "--input", movie, "--engine", "venv").splitlines()
    rows = [line.split()[:2] for line in lines if line.strip()]
    assert ["new-still", "control"] in rows
    assert [row for row in rows if row[-1:] in (["control"], ["algorithm"])][1:3] == [
        ["new-still", "control"],
        ["new", "algorithm"],
    ]

    folder = calm.run_folder("new-movie-default")
    frames = tifffile.imread(movie)
    expected = (frames - frames.mean(axis=0)).std()
    scores = json.loads((folder / "scores.json").read_text())
    found = scores["controls"]["still"]["splits"]["train"]["residual_sd"]
    assert found["mean"] == pytest.approx(expected, rel=1e-5)
    assert len((folder / "frames-still.csv").read_text().splitlines()) == 1 + len(frames)
    assert "Mean frame alone (control of New, default)" in (folder / "report.html").read_text()

    old = {name: value for name, value in scores.items() if name != "controls"}
    del old["basis"]["controls"]  # as a calm wrote it that knew no such controls
    old["basis"]["version"] -= 1
    (folder / "scores.json").write_text(json.dumps(old))
    (folder / "frames-still.csv").unlink()
    printed = new("evaluate", folder)
    row = next(line for line in printed.splitlines() if line.startswith("new-still"))
    assert row.split()[1:3] == ["control", f"{found['mean']:.2f}"]  # "Removed, sd" comes first without a target
    assert (folder / "frames-still.csv").exists()
    assert np.isfinite(found["mean"])


@pytest.mark.parametrize("wrong", ["{}", '{Still: "a name in capitals"}', '{still: ""}', "{../up: a path}", "[still]"])
def test_a_declaration_that_is_none_is_refused(tmp_path, wrong):
    folder = _copied_folder(tmp_path)
    path = folder / "algorithm.yaml"
    assert load_algorithm(folder).controls == {"still": "Mean frame alone"}
    path.write_text(path.read_text().replace(DECLARED, f"\ncontrols: {wrong}\n"))
    with pytest.raises(BadInput, match="controls"):
        load_algorithm(folder)
