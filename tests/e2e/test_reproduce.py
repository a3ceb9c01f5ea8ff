"""Experiments of the study on tiny movies laid out as its own, from the files to the verdicts, as a user types it."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import mini
import numpy as np
import pytest
import tifffile
from command import Calm

ROOT = Path(__file__).parents[2]

MOUSENEU_LP = "MOUSENEU_LP_LOWSNR"
NIDDL = "NIDDL_LOWSNR"


@dataclass(frozen=True, kw_only=True)
class World:
    """A command, its data folder and its manifest."""

    calm: Calm
    manifest: Path

    def __call__(self, *arguments, **environment):
        return self.calm(*arguments, CALM_MANIFEST=str(self.manifest), **environment)

    def run(self, experiment):
        """Return the one run of an experiment folder."""
        return self.calm.run_folder(experiment)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a command with MOUSENEU_LP and NIDDL laid out as the study has them, names, pairs and dtypes included."""
    folder = tmp_path_factory.mktemp("world")
    calm = Calm(outputs=folder / "outputs", data=folder / "data")
    mini.write_mouseneu_lp(calm.data)
    mini.write_niddl(calm.data)
    return World(calm=calm, manifest=mini.write_manifest(folder / "manifest"))


@pytest.fixture(scope="module")
def low_snr(world):
    """Return what `calm reproduce` prints for the noisy movies."""
    return world("reproduce", MOUSENEU_LP, "--engine", "venv", "--threads", 1)


@pytest.fixture(scope="module")
def low_snr_images(world):
    """Return what `calm reproduce` prints for the noisy images, page and all."""
    page = world.calm.outputs / "images.html"
    return world("reproduce", NIDDL, "--engine", "venv", "--threads", 1, "--to", page)


def _study(folder):
    return json.loads((folder / "scores-study.json").read_text())


def _table(done):
    """Return what was printed before the name of the page, reproduced.html."""
    return done.stdout.rpartition("Report: ")[0]


def test_the_noisy_movies_run_through_to_verdicts_that_say_why_they_compare_nothing(low_snr):
    assert low_snr.returncode == 0, low_snr.stdout + low_snr.stderr
    assert "the study has 6500 frames, ours has 12" in low_snr.stdout
    assert "reproduced" not in _table(low_snr)


def test_the_noisy_images_run_through_to_verdicts_that_say_why_they_compare_nothing(low_snr_images):
    assert low_snr_images.returncode == 0, low_snr_images.stdout + low_snr_images.stderr
    assert "the study has 163 files, ours has 8" in low_snr_images.stdout
    assert "reproduced" not in _table(low_snr_images)


def test_the_table_holds_ours_the_published_value_and_the_difference(low_snr):
    line = next(line for line in low_snr.stdout.splitlines() if line.startswith(MOUSENEU_LP) and "SI-PSNR" in line)
    assert "22.330 ± 0.477 (n = 6 500)" in line.replace("\u202f", " ")
    assert "not comparable" in line


def test_scores_of_images_are_those_of_the_formula_of_the_study(low_snr_images, world):
    """SI-PSNR written out here once more, from the definition in careamics 0.0.5."""
    assert low_snr_images.returncode == 0
    values = []
    for path in sorted((world.calm.data / "NIDDL" / "Low_SNR").glob("*.tif")):
        high = path.parents[1] / "High_SNR" / path.name.replace("20ms", "200ms")
        target, noisy = (tifffile.imread(one).astype(np.float64) for one in (high, path))
        scaled = (target - target.mean()) / target.std()
        centred = noisy - noisy.mean()
        fitted = centred * (scaled * centred).sum() / (centred**2).sum()
        peak = np.ptp(target) / target.std()
        values.append(10 * np.log10(peak**2 / ((scaled - fitted) ** 2).mean()))
    found = _study(world.run("identity-huvec_img-default"))["study"]["train"]
    assert found["si_psnr"]["mean"] == pytest.approx(np.mean(values), abs=1e-9)
    assert found["si_psnr"]["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    assert found["si_psnr_gain"] == {"mean": 0.0, "sd": 0.0, "n": 8}


def test_the_corrected_protocol_counts_copies_once(low_snr_images, world):
    scores = _study(world.run("identity-huvec_img-default"))
    assert scores["copies"] == ["train/20ms_20__004.tif", "train/20ms_20__005.tif"]  # as mini.write_niddl makes them
    assert scores["corrected"]["train"]["si_psnr"]["n"] == 6
    assert "without 2 copies" in low_snr_images.stdout


def test_the_protocol_of_the_study_casts_and_takes_65535_as_range(low_snr, world):
    """Psnr of uint16 frames written out: the noisy movie is uint16 already, so the cast changes nothing."""
    assert low_snr.returncode == 0
    noisy, target = (
        tifffile.imread(next((world.calm.data / "MOUSENEU_LP" / folder).glob("*.tif"))).astype(np.float64)
        for folder in ("val", "val_gt")
    )
    values = [10 * np.log10(65535.0**2 / ((one - other) ** 2).mean()) for one, other in zip(noisy, target, strict=True)]
    scores = _study(world.run("identity-mouseneu_lp-default"))
    assert scores["study"]["val"]["psnr"]["mean"] == pytest.approx(np.mean(values), abs=1e-9)
    assert scores["corrected"]["val"]["psnr"]["mean"] < scores["study"]["val"]["psnr"]["mean"] - 1


def test_finished_runs_are_found_and_give_the_same_table(low_snr, world):
    again = world("reproduce", MOUSENEU_LP, "--engine", "venv", "--threads", 1)
    assert (again.returncode, again.stdout) == (low_snr.returncode, low_snr.stdout)


def test_the_report_is_one_page_with_the_verdicts_in_words(low_snr, world):
    assert low_snr.returncode == 0
    page = (world.calm.outputs / "reproduced.html").read_text()
    assert "not comparable" in page
    assert MOUSENEU_LP in page
    assert "as the study scored" in page


def test_a_report_of_runs_has_published_values_where_the_settings_are_published(low_snr, world, tmp_path):
    assert low_snr.returncode == 0
    page = tmp_path / "all.html"
    done = world("report", world.run("identity-mouseneu_lp-default"), "--to", page)
    assert done.returncode == 0, done.stderr
    assert "22.330 ± 0.477 (n = 6 500)" in done.stdout.replace("\u202f", " ")  # of the noisy movie, split val
    assert "Running mean (control), default" in done.stdout  # found among the outputs, as it ran on the same movies
    assert "not published" not in done.stdout
    assert "Time and memory" in page.read_text()


def test_a_plan_shows_jobs_and_disk_and_runs_nothing(world, tmp_path):
    done = world(
        "reproduce", MOUSENEU_LP, "--plan", CALM_OUTPUTS=str(tmp_path / "none"), CALM_HOME=str(tmp_path / "home")
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith(MOUSENEU_LP)]
    assert [row.split()[1] for row in rows] == ["mean", "svd", "identity"]  # the other controls run on the movies too
    assert all("train, predict-train, predict-val" in row for row in rows)
    assert "In all: " in done.stdout
    assert not (tmp_path / "none").exists()


def test_a_plan_knows_what_is_finished_and_how_long_the_same_settings_took(low_snr, world):
    assert low_snr.returncode == 0
    known = world("reproduce", MOUSENEU_LP, "--plan", "--threads", 1).stdout
    assert "finished" in known
    other = world("reproduce", MOUSENEU_LP, "--plan", "--seed", 43).stdout  # another key, the same parameters
    assert "to run" in other
    assert "unknown" not in other


def test_a_run_becomes_a_crate_in_its_own_folder(low_snr, world):
    assert low_snr.returncode == 0
    folder = world.run("identity-mouseneu_lp-default")
    done = world("crate", folder)
    assert done.returncode == 0, done.stderr
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    (action,) = (one for one in graph if one["@type"] == "CreateAction")
    assert {"@id": "scores-study.json"} in action["result"]


def test_citations_of_an_experiment_name_its_paper_and_its_data(calm):
    done = calm("cite", "MOUSENEU_LP_DEEPCADRT_1")  # the name in the study's table of experiments
    assert "10.1038/s41587-022-01450-8" in done.stdout
    assert "10.5281/zenodo.6299076" in done.stdout


def test_citations_name_the_paper_of_the_prior_too(calm):
    done = calm("cite", "REFINED_HDN_3")
    assert "10.48550/arXiv.2104.01374" in done.stdout  # HDN
    assert "10.1109/CVPR.2019.00223" in done.stdout  # Noise2Void, whose prediction it needs


def test_experiments_of_the_study_are_planned_and_cited_with_its_software(world, tmp_path):
    plan = world("reproduce", "NIDDL_N2V_1", "--seeds", 3, "--plan", CALM_OUTPUTS=str(tmp_path / "none"))
    assert plan.returncode == 0, plan.stderr
    assert [line.split()[1:3] for line in plan.stdout.splitlines() if line.startswith("NIDDL_N2V_1")] == [
        ["n2v@study", "42"], ["n2v@study", "43"], ["n2v@study", "44"]
    ]  # fmt: skip
    assert "code: careamics 0.0.5, licence" in world("cite", "NIDDL_N2V_1").stdout
    assert "code: careamics 0.3.5, licence" in world("cite", "n2v").stdout


def test_private_data_that_are_not_here_are_not_comparable_and_the_reason_says_where_they_belong(world):
    done = world("reproduce", "REFINED_DEEPCAD_1")
    assert done.returncode == 0, done.stderr
    assert "its data are private and not here" in done.stdout


def test_public_data_that_are_not_here_are_an_error_with_the_command_that_gets_them(calm):
    done = calm("reproduce", MOUSENEU_LP)
    assert done.returncode == 2
    assert "calm data fetch mouseneu_lp" in done.stderr


def test_data_that_are_not_as_the_manifest_says_are_refused_before_anything_runs(calm, tmp_path):
    mini.write_mouseneu_lp(calm.data, frames=13)
    manifest = mini.write_manifest(tmp_path / "manifest")
    done = calm("reproduce", MOUSENEU_LP, CALM_MANIFEST=str(manifest))
    assert done.returncode == 2
    assert "calm data verify mouseneu_lp" in done.stderr
    assert not calm.outputs.exists()


def test_table_1_comes_from_the_published_tables_with_every_cell_reproduced(calm, real_movie):
    paths = [real_movie(f"published/NIDDL_N2V_{index}.csv") for index in range(1, 7)]
    done = calm("reproduce", "--from-csv", *paths)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("reproduced") == 6
    assert "12 of 12 cells" in done.stdout
    assert "3.227002 ± 1.755672 (163)" in done.stdout
    assert "2.927724 ± 1.811201 (131)" in done.stdout


def test_a_changed_table_deviates_and_the_command_fails(calm, real_movie, tmp_path):
    path = tmp_path / "NIDDL_N2V_1.csv"
    with real_movie("published/NIDDL_N2V_1.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    rows[1][4] = str(float(rows[1][4]) + 0.001)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    done = calm("reproduce", "--from-csv", path)
    assert done.returncode == 1
    assert "deviates" in done.stdout
    assert "0 of 2 cells" in done.stdout


def test_two_tables_of_one_name_are_refused(calm, real_movie, tmp_path):
    path = tmp_path / "NIDDL_N2V_1.csv"
    shutil.copyfile(real_movie("published/NIDDL_N2V_1.csv"), path)
    done = calm("reproduce", "--from-csv", path, real_movie("published/NIDDL_N2V_1.csv"))
    assert done.returncode == 2
    assert "got NIDDL_N2V_1 twice" in done.stderr
