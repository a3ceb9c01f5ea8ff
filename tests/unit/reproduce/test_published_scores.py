"""Table 1 of the study, computed again from the six published tables of scores per image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evaluation.study.published_scores import read_published, table_1, unique
from orchestrator.errors import BadInput

DATA = Path(os.environ.get("CALM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))

# README of ai4life-opencalls/oc_2_project_13 at commit 50970a3, table 1: mean and sd of the gain in SI-PSNR, dB.
PUBLISHED = {
    "NIDDL_N2V_1": ("3.227002", "1.755672"),
    "NIDDL_N2V_2": ("1.844298", "1.395469"),
    "NIDDL_N2V_3": ("2.504732", "1.618150"),
    "NIDDL_N2V_4": ("2.944237", "1.854985"),
    "NIDDL_N2V_5": ("2.995562", "1.818422"),
    "NIDDL_N2V_6": ("2.779872", "1.703397"),
}
# The same over the 131 images that are no copies: computed with pandas from the same files, not published.
UNIQUE = {
    "NIDDL_N2V_1": ("2.927724", "1.811201"),
    "NIDDL_N2V_2": ("1.691115", "1.497217"),
    "NIDDL_N2V_3": ("2.268009", "1.703090"),
    "NIDDL_N2V_4": ("2.646767", "1.938869"),
    "NIDDL_N2V_5": ("2.689858", "1.889062"),
    "NIDDL_N2V_6": ("2.503835", "1.774931"),
}


@pytest.fixture(scope="module")
def scores():
    folder = DATA / "published"
    if not folder.is_dir():
        pytest.skip(f"no published tables in {folder}; set CALM_TEST_DATA")
    return {name: read_published(folder / f"{name}.csv") for name in PUBLISHED}


def _cells(rows):
    return {row.experiment: (f"{row.gain.mean:.6f}", f"{row.gain.sd:.6f}") for row in rows}


def test_all_12_cells_of_table_1_are_equal_to_6_decimals(scores):
    assert _cells(table_1(scores)) == PUBLISHED


def test_131_of_the_163_images_are_no_copies_and_their_table_differs(scores):
    deduplicated = {name: unique(rows) for name, rows in scores.items()}
    assert {len(rows) for rows in scores.values()} == {163}
    assert {len(rows) for rows in deduplicated.values()} == {131}
    assert _cells(table_1(deduplicated)) == UNIQUE


def test_the_copies_are_the_same_files_in_every_table(scores):
    names = {tuple(row.file for row in unique(rows)) for rows in scores.values()}
    assert len(names) == 1
    assert not any(name.startswith("20ms_20__") for name in names.pop())  # those are copies of 20ms_20%_


def test_the_gain_is_prediction_minus_noisy_in_every_row(scores):
    for rows in scores.values():
        assert all(row.gain_db == row.prediction_db - row.noisy_db for row in rows)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("filename,Low_SNR_PSNR,Pred_PSNR\na,1,2\n", "got no PSNR_diff"),
        ("filename,Low_SNR_PSNR,Pred_PSNR,PSNR_diff\na,1,x,3\n", "a: expected three numbers"),
        ("filename,Low_SNR_PSNR,Pred_PSNR,PSNR_diff\na,1,nan,3\n", "a: expected finite numbers"),
        ("filename,Low_SNR_PSNR,Pred_PSNR,PSNR_diff\na,1,2,1\na,1,2,1\n", "a file twice"),
        ("filename,Low_SNR_PSNR,Pred_PSNR,PSNR_diff\n", "got none"),
    ],
)
def test_a_table_that_is_not_one_of_the_study_is_refused_with_the_place(tmp_path, text, says):
    path = tmp_path / "NIDDL_N2V_1.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_published(path)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(BadInput, match="expected a file that can be read"):
        read_published(tmp_path / "none.csv")
