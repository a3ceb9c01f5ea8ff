"""Every command of docs/own-movie.md, in its order, on cuts of real movies; with preset smoke, which takes seconds."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile

ROOT = Path(__file__).parents[2]
FRAMES = 60  # more than checks of activity ask for
BLOCKS = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def _cut(movie, path):
    """Write the first frames of a movie."""
    tifffile.imwrite(path, tifffile.imread(movie)[:FRAMES])


@pytest.fixture
def desk(tmp_path, real_movie):
    """Return a folder with the files that the page names, and programs `calm` and `xdg-open`."""
    _cut(real_movie("ca2p_neurofinder_test.tif"), tmp_path / "movie.tif")
    shutil.copyfile(real_movie("ca2p_neurofinder_test_regions.json"), tmp_path / "regions.json")
    (tmp_path / "recordings").mkdir()
    for name in ("other.tif", "recordings/day1.tif"):
        _cut(real_movie("ca2p_thunder_mouse.tif"), tmp_path / name)
    (tmp_path / "bin").mkdir()
    on_venv = 'case "$1" in denoise|predict|compare) set -- "$@" --engine venv;; esac'  # what there is everywhere
    start = f'exec {sys.executable} -c "from orchestrator.cli import main; main()" "$@"'
    _program(tmp_path / "bin" / "calm", f"{on_venv}\n{start}")
    _program(tmp_path / "bin" / "xdg-open", 'cp "$1" opened.html')
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_way_from_a_movie_to_a_figure_works_as_it_is_printed(desk):
    commands = "\n".join(BLOCKS.findall((ROOT / "docs" / "own-movie.md").read_text("utf-8")))
    script = "set -eux\n" + commands.replace("quick", "smoke")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=desk,
        env=os.environ
        | {
            "PATH": f"{desk / 'bin'}:{os.environ['PATH']}",
            "CALM_OUTPUTS": str(desk / "outputs"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    page = (desk / "opened.html").read_text("utf-8")
    assert "May I believe movie.tif" in page
    assert "The most active of 34 regions of regions.json" in page
    with (desk / "traces.csv").open() as stream:
        regions = {row["region"] for row in csv.DictReader(stream)}
    assert len(regions) == 1 + 34
    assert "Warning: other.tif: trained on noise of" in done.stderr
    made = ("denoised.tif", "other-denoised.tif", "table.csv", "figure.png", "preview.gif")
    assert all((desk / name).stat().st_size for name in made)
    assert len(list((desk / "denoised").glob("day1-*.tif"))) == 4
    assert "Report: " in done.stdout.splitlines()[-1]
