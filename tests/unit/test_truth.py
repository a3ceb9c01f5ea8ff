"""Truth on disk: what a simulator wrote, and label images of users."""

from __future__ import annotations

import os
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from contract.stacks import open_stack
from evaluation.scores.activity import activity_of
from orchestrator.data.checksums import Checksums
from orchestrator.data.inspect import check_movies
from orchestrator.domain import Movie
from orchestrator.errors import BadInput
from orchestrator.records.truth import read_truth

LABELS = np.zeros((12, 14), np.uint16)
LABELS[2:5, 2:5], LABELS[7:10, 8:12] = 2, 5  # numbers with gaps, as hidden cells leave them


def test_labels_are_numbered_anew_and_keep_their_own_spikes(tmp_path):
    spikes = np.zeros((5, 30), np.uint8)
    spikes[1, 7], spikes[4, 20] = 1, 2
    np.savez(tmp_path / "truth.npz", labels=LABELS, spikes=spikes)
    truth = read_truth(tmp_path / "truth.npz", (30, 12, 14))
    assert np.unique(truth.labels).tolist() == [0, 1, 2]
    assert [events.tolist() for events in truth.events] == [[7], [20]]


def test_a_label_image_knows_no_events(tmp_path):
    tifffile.imwrite(tmp_path / "labels.tif", LABELS)
    truth = read_truth(tmp_path / "labels.tif", (30, 12, 14))
    assert truth.events is None
    assert (truth.labels == 2).sum() == 12


@pytest.mark.parametrize("labels", [np.zeros((12, 14), np.uint16), LABELS[:-1], LABELS.astype(np.float32)])
def test_labels_that_do_not_fit_are_refused(tmp_path, labels):
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    with pytest.raises(BadInput, match="expected labels as whole numbers of shape"):
        read_truth(tmp_path / "labels.tif", (30, 12, 14))


def test_a_movie_against_itself_keeps_all_activity(tmp_path):
    tifffile.imwrite(tmp_path / "labels.tif", LABELS)
    movie = np.random.default_rng(1).poisson(100, (40, 12, 14)).astype(np.float32)
    tifffile.imwrite(tmp_path / "movie.tif", movie, imagej=True, metadata={"axes": "TYX"})
    with open_stack(tmp_path / "movie.tif") as one, open_stack(tmp_path / "movie.tif") as other:
        found = activity_of(tmp_path / "labels.tif", one, other)
    assert found["roi_correlation"] == pytest.approx(1)
    assert found["roi_slope"] == pytest.approx(1)


def _archive(path, **arrays):
    np.savez(path, **arrays)


def _declares_a_million_million_frames(path):
    _archive(path, labels=LABELS)
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 1000000000000), }"
    with zipfile.ZipFile(path, "a") as archive:
        text = header.ljust(117) + "\n"
        archive.writestr("spikes.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())


RECORDING = SimpleNamespace(shape=(30, 12, 14), given="noisy.tif", choice=SimpleNamespace(axes=None))
SPIKES = np.zeros((5, 30), np.uint8)
DAMAGES = {
    "no file": lambda _: None,
    "empty": lambda path: path.touch(),
    "no archive": lambda path: path.write_bytes(b"[]"),
    "truncated": lambda path: (_archive(path, labels=LABELS, spikes=SPIKES), os.truncate(path, 600)),
    "no spikes": lambda path: _archive(path, labels=LABELS),
    "objects": lambda path: _archive(path, labels=LABELS, spikes=np.array([{}, None], object)),
    "fewer rows than labels": lambda path: _archive(path, labels=LABELS, spikes=SPIKES[:4]),
    "other frames": lambda path: _archive(path, labels=LABELS, spikes=SPIKES[:, :29]),
    "one dimension": lambda path: _archive(path, labels=LABELS, spikes=SPIKES[0]),
    "a million million frames": _declares_a_million_million_frames,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_truth_is_one_sentence(tmp_path, damage):
    path = tmp_path / "truth.npz"
    DAMAGES[damage](path)
    with pytest.raises(BadInput, match=str(path)):
        read_truth(path, (30, 12, 14))


def _movie(tmp_path, target, truth=None):
    noisy = np.random.default_rng(1).poisson(100, (30, 12, 14)).astype(np.uint16)
    paths = {"noisy": (tmp_path / "noisy.tif", noisy), "target": (tmp_path / "target.tif", target(noisy))}
    for path, frames in paths.values():
        tifffile.imwrite(path, frames)
    return Movie(split="test", noisy=paths["noisy"][0], target=paths["target"][0], truth=truth)


@pytest.mark.parametrize("name", ["truth.npz", "labels.tif"])
def test_a_truth_that_does_not_fit_is_refused_before_anything_runs(tmp_path, name):
    truth = tmp_path / name
    if name == "truth.npz":
        np.savez(truth, labels=LABELS, spikes=SPIKES[:, :20])
    else:
        tifffile.imwrite(truth, LABELS[:-1])
    movie = _movie(tmp_path, np.copy, truth)
    with pytest.raises(BadInput, match=str(truth)):
        check_movies("own", (movie,), {movie.noisy: RECORDING}, Checksums(tmp_path / "checksums.json"))


def test_a_target_of_one_grey_value_is_refused_before_anything_runs(tmp_path):
    movie = _movie(tmp_path, lambda noisy: np.full_like(noisy, 7))
    with pytest.raises(BadInput, match="expected a target with structure, got one grey value, 7"):
        check_movies("own", (movie,), {movie.noisy: RECORDING}, Checksums(tmp_path / "checksums.json"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_target_with_values_that_are_no_numbers_is_refused_before_anything_runs(tmp_path, value):
    def target(noisy):
        frames = noisy.astype(np.float32)
        frames[23, 4, 5] = value
        return frames

    movie = _movie(tmp_path, target)
    for _ in range(2):  # the second time from memory
        with pytest.raises(BadInput, match=r"target\.tif: expected finite values in a target, got .* in frame 23"):
            check_movies("own", (movie,), {movie.noisy: RECORDING}, Checksums(tmp_path / "checksums.json"))


def test_a_target_whose_first_half_is_constant_is_taken(tmp_path):
    movie = _movie(tmp_path, lambda noisy: np.where(np.arange(30)[:, None, None] < 25, 7, noisy).astype(np.uint16))
    check_movies("own", (movie,), {movie.noisy: RECORDING}, Checksums(tmp_path / "checksums.json"))
