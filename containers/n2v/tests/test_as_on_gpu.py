"""What a GPU is given, on a CPU that is taken for one: the same bits as without threads, waiting losses and batches."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

import run
from careamics_unet import UNet
from contract import device as contract_device
from contract.device import within_gpu_memory
from contract.errors import DidNotConverge
from contract.events import Events
from contract.pooling import LargestOfEight
from n2v.tests.n2v_jobs import clean_movie, noisy_movie, predict_job, train_job, write_stack
from n2v.tests.pretend_gpu import pretend
from unet_denoiser import keep_layout

SMALL = {"patch_size": 16, "batch_size": 2, "num_epochs": 2, "num_steps": 3, "n_val_patches": 4}


def done(job):
    torch.manual_seed(job.seed)  # of the first weights, as the command does
    with closing(Events(job.folder / "events.jsonl")) as events:
        getattr(run, job.command)(job, events)


@pytest.mark.parametrize(
    "changes",
    [{}, {"predict_tiling": "study", "tile_overlap": 0.5}, {"patch_size_z": 8, "predict_memory_gib": 0.1}],
    ids=["2D", "tiles", "3D"],
)
def test_training_and_prediction_have_the_bits_of_the_cpu(tmp_path, monkeypatch, changes):
    stack = write_stack(tmp_path / "movie.tif", noisy_movie(clean_movie((24, 40, 48))))
    device, pinned = pretend(monkeypatch)
    found = []
    for number, where in enumerate(("cpu", device)):
        job = replace(train_job(tmp_path / str(number), [stack], **SMALL | changes), device=where)
        done(job)
        predict = predict_job(job, [stack])
        done(predict)
        found.append(((job.folder / "history.json").read_text(), tifffile.imread(predict.predictions / "movie.tif")))
    assert found[0][0] == found[1][0]
    rounding = 1e-6 if "predict_tiling" in changes else 0  # tiles of the CPU come in twos, as upstream's batch_size
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=0, atol=rounding * 500)  # grey levels of the movie
    assert pinned, "patches and frames go through pinned memory"


def test_a_loss_that_is_not_finite_ends_the_training_with_its_step_though_it_is_looked_at_later(tmp_path, monkeypatch):
    stack = write_stack(tmp_path / "movie.tif", noisy_movie(clean_movie((24, 40, 48))))
    device, _ = pretend(monkeypatch)
    job = replace(train_job(tmp_path, [stack], **SMALL), device=device)
    forward, calls = UNet.forward, []

    def failing(self, batch):
        calls.append(1)
        return forward(self, batch) * (np.nan if len(calls) == 2 else 1)

    monkeypatch.setattr(UNet, "forward", failing)
    with pytest.raises(DidNotConverge, match="the loss of step 2 is nan"):
        done(job)
    assert not (job.checkpoint / "state.pt").exists()


def test_what_torch_holds_unused_is_free_for_the_next_movie(tmp_path, monkeypatch):
    device, _ = pretend(monkeypatch, free_bytes=2**30)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 3 * 2**30)
    assert contract_device.free_bytes() == 4 * 2**30
    job = replace(train_job(tmp_path, []), device=device)
    given = []
    with closing(Events(job.folder / "events.jsonl")) as events:
        within_gpu_memory(job, events, "predict_memory_gib", 3.5, given.append)
    assert given == [3.5]


def test_3d_pooling_of_a_gpu_keeps_the_layout_and_the_weights_stay_the_same():
    network = UNet(conv_dims=3, depth=2, num_channels_init=4)
    names, image = list(network.state_dict()), torch.randn(1, 1, 8, 16, 16)
    with torch.inference_mode():
        expected = network.eval()(image)
        keep_layout(network)
        assert torch.equal(network(image), expected)
    assert list(network.state_dict()) == names
    assert sum(isinstance(one, LargestOfEight) for one in network.modules()) == 2
