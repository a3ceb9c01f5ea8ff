"""figures.json holds what a report reads: labels and curves, or movies to be scored."""

from __future__ import annotations

import json
from types import SimpleNamespace

from contract.figures import Curve, Figure, Scored, write_figures


def test_a_plot_has_curves_with_their_label_or_scored_movies(tmp_path):
    curve = Curve(name="data", kind="points", x=[0, 1], y=[2.5, 3.5])
    scored = Scored(movie="a.tif", file="../a.npy", at=(1, 2), frames=[0, 7])
    head = {"title": "t", "note": "n", "x": "s"}
    write_figures(
        SimpleNamespace(folder=tmp_path), [Figure(**head, y="v", curves=[curve]), Figure(**head, scored=[scored])]
    )
    assert json.loads((tmp_path / "figures.json").read_text()) == [
        head | {"y": "v", "curves": [{"name": "data", "kind": "points", "x": [0, 1], "y": [2.5, 3.5]}]},
        head | {"scored": [{"movie": "a.tif", "file": "../a.npy", "at": [1, 2], "frames": [0, 7]}]},
    ]
