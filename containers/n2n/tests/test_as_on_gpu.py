"""What a GPU is given, on a CPU that is taken for one: the same bits as without threads and waiting losses."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

sys.path.insert(0, str(Path(__file__).parent))

from n2n_jobs import clean_movie, make_job, noisy_movie, write_movie

import run
from contract.events import Events
from n2v.tests.pretend_gpu import pretend


@pytest.mark.parametrize("changes", [{}, {"patch_size_z": 8, "predict_memory_gib": 0.1}], ids=["2D", "3D"])
def test_training_and_prediction_have_the_bits_of_the_cpu(tmp_path, monkeypatch, changes):
    movie = write_movie(tmp_path / "movie.tif", noisy_movie(clean_movie(32, 32)))
    device, pinned = pretend(monkeypatch)
    found, small = [], {"patch_size": 16, "convergence": "reported"}
    for number, where in enumerate(("cpu", device)):
        folder = tmp_path / str(number)
        for command, inputs in (("train", {"train": [movie]}), ("predict", {"noisy": [movie]})):
            job = replace(make_job(folder / command, command, "smoke", inputs=inputs, **small | changes), device=where)
            torch.manual_seed(job.seed)  # of the first weights, as the command does
            with closing(Events(job.folder / "events.jsonl")) as events:
                getattr(run, command)(job, events)
        history = (folder / "train" / "history.json").read_text()
        found.append((history, tifffile.imread(folder / "predictions" / "movie.tif")))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert pinned, "pairs and frames go through pinned memory"
