"""What a GPU is given, on a CPU that is taken for one: the same as without threads, waiting losses and batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tifffile

from cellmincer.tests.jobs import job_of, run_here
from cellmincer.tests.synthetic import params
from n2v.tests.pretend_gpu import pretend


def test_training_has_the_bits_of_the_cpu_and_prediction_its_values(tmp_path, monkeypatch):
    """Frames that are embedded together in other numbers differ in rounding: 1e-2 grey levels of a noise of 10."""
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, np.random.default_rng(1).normal(100, 10, (60, 32, 40)).astype(np.float32))
    device, pinned = pretend(monkeypatch)
    settings = params("smoke", n_iters=4, convergence="reported")
    found = []
    for number, where in enumerate(("cpu", device)):
        folder = tmp_path / str(number)
        train = replace(job_of(folder / "train", "train", settings, train=(path,)), device=where)
        predict = replace(job_of(folder / "predict", "predict", settings, noisy=(path,)), device=where)
        run_here(train)
        run_here(predict)
        history = (train.folder / "history.json").read_text()
        found.append((history, tifffile.imread(predict.predictions / "movie.tif")))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=0, atol=1e-2)
    assert pinned, "windows and frames go through pinned memory"
