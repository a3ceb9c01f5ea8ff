"""The engine is no part of a result: one command makes a run again on all four and compares every byte (ADR 0002)."""

from __future__ import annotations

import shutil
from dataclasses import replace

import mini
import numpy as np
import pytest
import tifffile

from contract.files import sha256
from orchestrator import errors
from orchestrator.engines import engine_named
from orchestrator.paths import layout
from orchestrator.records.run import read_run
from orchestrator.runs.execute import execute
from orchestrator.runs.repeat import plan_of

pytestmark = [pytest.mark.engine(name) for name in ("docker", "podman", "apptainer")]
ENGINES = ("docker", "podman", "apptainer", "venv")
ALGORITHMS = ("identity", "mean", "n2v", "care")  # the others: tests/contract compares them on venv and Docker


@pytest.fixture(scope="module")
def runs(shared_calm, tmp_path_factory):
    """Return a finished run of each algorithm, made by the venv engine on a movie that no other test names.

    CARE, the one on TensorFlow, needs targets and takes tiny pairs.
    """
    folder = tmp_path_factory.mktemp("movies")
    movie = folder / "verified.tif"
    tifffile.imwrite(movie, np.random.default_rng(5).poisson(100, (20, 32, 40)).astype(np.uint16))
    options = ["--engine", "venv", "--threads", 1, "--seed", 7]
    mini.write_mouseneu_lp(folder)
    pairs = {"CALM_DATA": str(folder), "CALM_MANIFEST": str(mini.write_manifest(folder / "manifest"))}
    for name, given in (("n2v", ("--input", movie)), ("care", ("--data", "mouseneu_lp"))):
        done = shared_calm("run", name, *given, "--preset", "smoke", *options, **pairs)
        assert done.returncode == 0, done.stderr
    experiments = {"n2v": "n2v-verified-smoke", "care": "care-mouseneu_lp-smoke"}
    return {
        name: shared_calm.run_folder(experiments.get(name, f"{name}-verified-default"), seed=7) for name in ALGORITHMS
    }


@pytest.mark.timeout(2700)  # where there are none yet, images and a SIF are made first; those on TensorFlow are large
@pytest.mark.parametrize("name", ALGORITHMS)
def test_one_command_shows_the_same_sha256_on_all_four_engines(shared_calm, runs, name):
    done = shared_calm("verify", runs[name], "--engines", "all")
    files = sorted((runs[name] / "predictions").glob("*/*.tif"))
    sums = ", ".join(f"{path.parent.name}/{path.name} sha256 {sha256(path)[:12]}" for path in files)
    same = f"the same predictions, byte for byte: {sums}"
    itself = "; only compared with itself, which made the record"  # of venv, on which the runs were made
    compared = [f"{engine}: {same}{itself if engine == 'venv' else ''}" for engine in ENGINES]
    expected = ["record: every file is as it was made", *compared]
    assert done.stdout.splitlines() == expected, done.stderr
    assert done.returncode == 0


def test_a_tampered_prediction_is_named_with_file_frame_and_size_by_every_engine(shared_calm, runs, tmp_path):
    tampered = tmp_path / "tampered"
    shutil.copytree(runs["identity"], tampered)
    frames = tifffile.memmap(tampered / "predictions" / "train" / "verified.tif")
    frames[11, 4, 5] += 0.5
    frames.flush()
    done = shared_calm("verify", tampered, "--engines", "all")
    record, *rest = done.stdout.splitlines()
    assert record.startswith("record: train/verified.tif: expected sha256 ")
    found = "train/verified.tif: frame 11 differs in 1 pixels, by up to 0.5 grey levels"
    assert rest == [f"{engine}: {found}" for engine in ENGINES]
    assert done.returncode == 1


@pytest.mark.parametrize("name", ENGINES)
def test_a_job_that_asks_for_cuda_and_finds_none_fails_and_never_falls_back(runs, tmp_path, quiet_progress, name):
    """The plan of the run on n2v's own image, but for its device: this machine has no GPU, as CI has none."""
    plan = plan_of(read_run(runs["n2v"]).record, replace(layout(), outputs=tmp_path))
    plan = replace(plan, settings=replace(plan.settings, device="cuda"))
    with pytest.raises(errors.DeviceMissing, match="device cuda was asked for"):
        execute(plan, engine_named(name, layout()), quiet_progress)
    assert not plan.folder.record.exists()
