"""What a GPU is given, on a CPU that is taken for one: the same as without threads, waiting losses and batches."""

from __future__ import annotations

import json
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
import torch

sys.path.insert(0, str(Path(__file__).parent))

from hdn_jobs import clean_movie, make_job, noisy_movie, write_movie

import run
from contract.errors import DidNotConverge
from contract.events import Events
from n2v.tests.pretend_gpu import pretend

SMALL = {"max_epochs": 1, "steps_per_epoch": 4, "mmse_count": 5, "save_sd": True, "tile_size": 32, "tile_halo": 16}


_ADAMAX = torch.optim.Adamax


def _adamax(*args, **named):
    return _ADAMAX(*args, **named | {"capturable": False})  # torch wants a real GPU for that


def test_training_has_the_bits_of_the_cpu_and_prediction_its_values(tmp_path, monkeypatch):
    """Samples that are drawn together in other numbers differ in rounding: 1e-3 grey levels of a noise of some 20."""
    movie = write_movie(tmp_path / "movie.tif", noisy_movie(clean_movie(24, 64), gain=2, read_noise=8, offset=100))
    device, pinned = pretend(monkeypatch)
    monkeypatch.setattr(torch.optim, "Adamax", _adamax)
    found = []
    for number, where in enumerate(("cpu", device)):
        folder = tmp_path / str(number)
        for command, inputs in (("train", {"train": [movie]}), ("predict", {"noisy": [movie]})):
            job = replace(make_job(folder / command, command, "smoke", inputs=inputs, **SMALL), device=where)
            with closing(Events(job.folder / "events.jsonl")) as events, suppress(DidNotConverge):  # so few steps
                getattr(run, command)(job, events)
        files = (folder / "predictions" / "movie.tif", folder / "extra" / "predictions" / "sd" / "movie.tif")
        found.append((json.loads((folder / "train" / "history.json").read_text()), *map(tifffile.imread, files)))
    assert found[0][0] == found[1][0]
    for expected, made in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-3)
    assert pinned, "patches and frames go through pinned memory"
