"""What the README promises of `make run ALGO=n2v`, run for real on the demo."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

# Gain of quick N2V over noisy in SI-PSNR on the demo, mean over frames; the issue asks for 3 dB.
# Measured 2026-11-23 on 2 cores: see benchmarks/results. The margin leaves room for other processors and seeds.
GAIN_DB = 3.0


@pytest.fixture(scope="module")
def fresh_calm(shared_calm, tmp_path_factory):
    """Return the command with nothing but environments there: no demo dataset, no run of a control."""
    folder = tmp_path_factory.mktemp("fresh")
    return replace(shared_calm, outputs=folder / "outputs", data=folder / "data")


@pytest.fixture(scope="module")
def demo(fresh_calm):
    """Return the run folder of the quick preset on the demo, and what it printed."""
    for name in ("n2v", "identity", "mean"):
        installed = fresh_calm("build", name, "--engine", "venv")
        assert installed.returncode == 0, installed.stderr
    done = fresh_calm("run", "n2v", "--data", "demo", "--preset", "quick", "--engine", "venv")
    assert done.returncode == 0, done.stderr
    return fresh_calm.run_folder("n2v-demo-quick"), done.stdout


def _scores(folder, split):
    return json.loads((folder / "scores.json").read_text())["splits"][split]


def test_n2v_gains_at_least_3_db_over_noisy_on_both_splits(demo, fresh_calm):
    noisy = fresh_calm.run_folder("identity-demo-default")
    for split in ("train", "val"):
        gain = _scores(demo[0], split)["si_psnr"]["mean"] - _scores(noisy, split)["si_psnr"]["mean"]
        assert gain >= GAIN_DB, (split, gain)


def test_n2v_beats_the_running_mean_in_a_movie_score(demo, fresh_calm):
    mean = _scores(fresh_calm.run_folder("mean-demo-default"), "train")
    ours = _scores(demo[0], "train")
    metrics = ("si_psnr", "psnr", "ssim", "microssim", "stsnr_centred", "temporal_correlation")
    assert any(ours[metric]["mean"] > mean[metric]["mean"] for metric in metrics)


def test_a_finished_run_is_reused_and_nothing_is_computed_again(demo, fresh_calm):
    record = (demo[0] / "run.json").read_bytes()
    done = fresh_calm("run", "n2v", "--data", "demo", "--preset", "quick", "--engine", "venv")
    assert "Found: " in done.stdout
    assert (demo[0] / "run.json").read_bytes() == record


def test_every_frame_has_a_row_in_the_table_of_frames(demo):
    with (demo[0] / "frames.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 200 + 64
    assert all(float(row["si_psnr"]) > 0 for row in rows)


def test_the_report_stands_in_the_run_folder_and_its_table_was_printed(demo):
    folder, printed = demo
    assert (folder / "report.html").stat().st_size > 100_000  # pictures are inside
    assert str(folder / "report.html") in printed
    assert "SI-PSNR" in printed


@pytest.mark.parametrize("name", ["ca2p_neurofinder_test.tif", "ca1p_miniscope_wireless.tif"])
def test_n2v_runs_on_real_movies_with_simple_scores(shared_calm, short_movie, name):
    path = short_movie(name)
    done = shared_calm("run", "n2v", "--input", path, "--preset", "smoke", "--engine", "venv")
    assert done.returncode == 0, done.stderr
    assert "Removed, sd" in done.stdout
    scores = _scores(shared_calm.run_folder(f"n2v-{path.stem}-smoke"), "train")
    assert scores["residual_sd"]["mean"] > 0  # something was removed
