"""Truth on disk: what a simulator wrote, and label images of users."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from contract.stacks import open_stack
from evaluation.scores.truth import activity_of, read_truth
from orchestrator.errors import BadInput

LABELS = np.zeros((12, 14), np.uint16)
LABELS[2:5, 2:5], LABELS[7:10, 8:12] = 2, 5  # numbers with gaps, as hidden cells leave them


def test_labels_are_numbered_anew_and_keep_their_own_spikes(tmp_path):
    spikes = np.zeros((5, 30), np.uint8)
    spikes[1, 7], spikes[4, 20] = 1, 2
    np.savez(tmp_path / "truth.npz", labels=LABELS, spikes=spikes)
    truth = read_truth(tmp_path / "truth.npz", (12, 14))
    assert np.unique(truth.labels).tolist() == [0, 1, 2]
    assert [events.tolist() for events in truth.events] == [[7], [20]]


def test_a_label_image_knows_no_events(tmp_path):
    tifffile.imwrite(tmp_path / "labels.tif", LABELS)
    truth = read_truth(tmp_path / "labels.tif", (12, 14))
    assert truth.events is None
    assert (truth.labels == 2).sum() == 12


@pytest.mark.parametrize("labels", [np.zeros((12, 14), np.uint16), LABELS[:-1], LABELS.astype(np.float32)])
def test_labels_that_do_not_fit_are_refused(tmp_path, labels):
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    with pytest.raises(BadInput, match="expected labels as whole numbers of shape"):
        read_truth(tmp_path / "labels.tif", (12, 14))


def test_a_movie_against_itself_keeps_all_activity(tmp_path):
    tifffile.imwrite(tmp_path / "labels.tif", LABELS)
    movie = np.random.default_rng(1).poisson(100, (40, 12, 14)).astype(np.float32)
    tifffile.imwrite(tmp_path / "movie.tif", movie, imagej=True, metadata={"axes": "TYX"})
    with open_stack(tmp_path / "movie.tif") as one, open_stack(tmp_path / "movie.tif") as other:
        found = activity_of(tmp_path / "labels.tif", one, other)
    assert found["roi_correlation"] == pytest.approx(1)
    assert found["roi_slope"] == pytest.approx(1)
