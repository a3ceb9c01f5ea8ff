"""Plots that a run declares in figures.json, drawn for any algorithm."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from report_examples import movie_content, write_movie

from evaluation.metrics import si_psnr
from evaluation.report.content import Row
from evaluation.report.declared import declared_plots

LINE = {"name": "fit", "kind": "line", "x": [0, 1, 2], "y": [1, 2, 4]}


@pytest.fixture
def declare(tmp_path):
    """Return a function that writes figures.json for a split and gives the run that declares it."""

    def write(figures, split=""):
        path = tmp_path / "figures.json"
        path.write_text(json.dumps([{"title": "Law", "note": "A sentence.", "x": "signal", **one} for one in figures]))
        return [Row(name="any", title="Any", role="algorithm", figures={split: path})]

    return write


def lines(figure):
    return json.loads(figure.data)["series"]


def test_a_curve_comes_with_title_note_and_labels(declare):
    (figure,) = declared_plots(declare([{"y": "variance", "curves": [LINE]}]), [])
    assert (figure.title, figure.note) == ("Law", "A sentence.")
    assert (figure.x, figure.y, figure.series[0].name) == ("signal", "variance", "fit")


def test_points_are_not_joined_and_bars_are_steps(declare):
    curves = [{**LINE, "kind": kind} for kind in ("points", "bars")]
    (figure,) = declared_plots(declare([{"y": "variance", "curves": curves}]), [])
    points, bars = lines(figure)
    assert (points["points"], points["y"]) == (True, [1, 2, 4])
    assert (bars["points"], bars["y"]) == (False, [1, 1, 2, 2, 4, 4])  # two corners of each of three bars
    assert np.all(np.diff(figure.series[1].x) > 0)


def test_positive_lines_over_more_than_a_decade_get_a_log_axis(declare):
    (figure,) = declared_plots(declare([{"y": "rms", "curves": [{**LINE, "y": [1, 10, 100]}]}]), [])
    assert figure.log


@pytest.fixture
def stages(tmp_path):
    """Return a movie with target, and the noisy and the smoothed frames 0 and 5 as two stages of a prediction."""
    movie = movie_content(write_movie(tmp_path, frames=8, edge=32))
    frames = [tifffile.imread(path)[[0, 5]].astype(np.float32) for path in (movie.noisy, movie.predictions["n2v"])]
    np.save(tmp_path / "stages.npy", np.stack(frames))
    return movie, {"scored": [{"movie": movie.name, "file": "stages.npy", "at": [1, 2], "frames": [0, 5]}]}


def test_stages_of_a_prediction_are_scored_against_the_target(declare, stages):
    movie, scored = stages
    (figure,) = declared_plots(declare([scored], "test"), [movie])
    assert figure.title == "Law (test movies)"
    (line,) = lines(figure)
    first, second = line["y"]
    target, noisy, smooth = (tifffile.imread(path)[5] for path in (movie.target, movie.noisy, movie.predictions["n2v"]))
    assert (second > first) == (si_psnr(target, smooth) > si_psnr(target, noisy))
    assert (figure.y, line["name"]) == ("SI-PSNR (dB)", movie.name)


def test_stages_without_a_target_are_left_out(declare, stages):
    movie, scored = stages
    assert declared_plots(declare([scored], "other"), [movie]) == []
