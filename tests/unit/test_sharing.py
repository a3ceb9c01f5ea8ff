"""`--share` writes a page and a crate that name neither the folders of this machine nor its user."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from orchestrator.records.sharing import for_others


@pytest.mark.parametrize(
    ("given", "shared"),
    [
        ("/home/alice/my movies/movie.tif", "movie.tif"),
        (Path("/home/alice/movie.tif"), "movie.tif"),
        ("trained on /home/alice/movie.tif, twice", "trained on movie.tif, twice"),
        ("see https://doi.org/10.1/x and docs/data.md", "see https://doi.org/10.1/x and docs/data.md"),
        ({"command_line": ["calm", "alice/movie.tif", "--input=/home/alice/b.tif"], "n": 1.5, "none": None},
         {"command_line": ["calm", "movie.tif", "--input=b.tif"], "n": 1.5, "none": None}),
        (["train/movie.tif", {"/home/alice/a.tif": True}], ["train/movie.tif", {"a.tif": True}]),
    ],
)  # fmt: skip
def test_of_every_absolute_path_the_last_part_stays(given, shared):
    assert for_others(given) == shared


@pytest.fixture(scope="module")
def run(shared_calm, tmp_path_factory):
    """Return a run below the home folder of a user, and that folder."""
    home = tmp_path_factory.mktemp("home") / "alice"
    (home / "alice movies").mkdir(parents=True)
    movie = home / "alice movies" / "shared.tif"
    tifffile.imwrite(movie, np.random.default_rng(0).poisson(100, (20, 32, 40)).astype("u2"))
    done = shared_calm("run", "identity", "--input", movie, "--engine", "venv", HOME=str(home), LOGNAME="alice")
    assert done.returncode == 0, done.stderr
    return shared_calm.run_folder("identity-shared-default"), home


def test_a_shared_page_and_crate_name_no_folder_and_no_user(shared_calm, run):
    folder, home = run
    environment = {"HOME": str(home), "LOGNAME": "alice"}
    for command in ("report", "crate"):
        done = shared_calm(command, folder, "--share", **environment)
        assert done.returncode == 0, done.stderr
    for name in ("report-shared.html", "ro-crate-metadata.json", "run-shared.json"):
        text = (folder / name).read_text()
        assert "alice" not in text, name
        assert str(home.parent) not in text, name
        assert str(folder.parents[2]) not in text, name
        assert "shared.tif" in text, name
    listed = {one["@id"] for one in json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]}
    assert {"run-shared.json", "report-shared.html"} <= listed
    assert not {"run.json", "scores.json", "report.html"} & listed


def test_the_page_of_the_user_still_says_where_files_lie(run):
    folder, home = run
    page = (folder / "report.html").read_text()
    assert str(home) in page
