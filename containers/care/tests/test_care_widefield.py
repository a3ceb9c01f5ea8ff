"""CARE on real pairs: widefield images of which it has seen others."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from care_jobs import WIDEFIELD, widefield_scores


@pytest.mark.training
def test_four_widefield_images_gain_from_what_eight_others_taught(tmp_path, record_property):
    missing = [path for path in WIDEFIELD.values() if not path.exists()]
    if missing:
        pytest.skip(f"no {missing[0]}; CALM_TEST_DATA names the folder of test recordings")
    noisy, denoised = widefield_scores(tmp_path, train_epochs=1)
    record_property("gain_db", denoised - noisy)
    assert denoised - noisy > 8.5  # measured: mean 10.1, sd 0.3 (benchmarks/results)
