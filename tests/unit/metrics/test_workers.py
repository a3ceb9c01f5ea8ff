"""Work over files: single images side by side, movies one after the other, results in order."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace

import pytest

from evaluation.metrics.workers import over_files


def test_results_are_in_the_order_of_the_names_and_movies_get_all_cores():
    movies = {name: SimpleNamespace(shape=(frames, 8, 8)) for name, frames in (("c", 1), ("a", 9), ("b", 1))}
    cores = len(os.sched_getaffinity(0))
    found = over_files(movies, lambda name, movie, threads: (name, movie.shape[0], threads))
    assert list(found.items()) == [("a", ("a", 9, cores)), ("b", ("b", 1, 1)), ("c", ("c", 1, 1))]


def test_single_images_are_scored_at_the_same_time_on_two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    both = threading.Barrier(2, timeout=30)
    over_files({name: SimpleNamespace(shape=(1, 8, 8)) for name in "ab"}, lambda *_: both.wait())


def test_an_image_that_cannot_be_scored_stops_with_its_own_error():
    def score(name, *_):
        message = f"{name} is broken"
        raise ValueError(message)

    with pytest.raises(ValueError, match="a is broken"):
        over_files({name: SimpleNamespace(shape=(1, 8, 8)) for name in "ab"}, score)
