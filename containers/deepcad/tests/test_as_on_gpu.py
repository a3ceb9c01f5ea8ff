"""What a GPU is given, on a CPU that is taken for one: the same bits as without threads, waiting losses and batches."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

sys.path.insert(0, str(Path(__file__).parent))

from movies import clean_movie, do, make_job, noisy_movie, write

from n2v.tests.pretend_gpu import pretend

SMALL = {"fmap": 4, "patch_t": 16, "patch_y": 16, "patch_x": 16, "n_epochs": 1, "train_datasets_size": 20}


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_training_and_prediction_have_the_bits_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    path, found = write(tmp_path / "m.tif", noisy_movie(clean_movie((40, 36, 40)))), []
    device, pinned = pretend(monkeypatch)
    for number, where in enumerate(("cpu", device)):
        params = SMALL | {"mode": mode, "test_overlap_factor": 0.5, "memory_gib": 0.05}
        folder = tmp_path / str(number)
        for command in ("train", "predict"):
            do(make_job(folder / command, command, [path], params, device=where))
        history = (folder / "train" / "history.json").read_text()
        found.append((history, tifffile.imread(folder / "predict" / "predictions" / "m.tif")))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert pinned, "patches and frames go through pinned memory"
    told = (tmp_path / "1" / "predict" / "events.jsonl").read_text()
    assert ("tiles" in told) == (mode == "exact"), "together or, where that changes bits, one by one"
