"""Files, pages and a browser for the report tests."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode does not let tests import the helpers beside them

from report_browser import open_browser
from report_examples import TEST, movie_content, page_about, rows_of, study_page, write_movie

from evaluation.checks.lights import Verdict
from evaluation.report.content import Part
from evaluation.report.page import write_page


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    return write_movie(tmp_path_factory.mktemp("movie"))


@pytest.fixture
def movie(files):
    return movie_content(files)


@pytest.fixture(scope="session")
def report_page(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(page_about(movie_content(files)), path)
    return path


@pytest.fixture(scope="session")
def study_page_file(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "study.html"
    write_page(study_page(movie_content(files)), path)
    return path


@pytest.fixture(scope="session")
def long_page_file(files, tmp_path_factory):
    """Write a page whose names are as long as those that microscopes write."""
    name = "2026_11_28_mouse12_left_visual_cortex_gcamp8m_920nm_zoom2_001.tif"
    path = tmp_path_factory.mktemp("page") / "long.html"
    own = Part(movies=name.removesuffix(".tif"), split="train", own=True)
    movie = movie_content(files, name=name, part=own, target=None)
    rows = tuple(replace(row, scores={own: row.scores[TEST]}) for row in rows_of(movie))
    verdicts = {f"{name}, Noise2Void": Verdict(checks=(), plain=("It did not denoise.",), seconds=1.0)}
    write_page(page_about(movie, title=f"Noise2Void on {name}", rows=rows, verdicts=verdicts), path)
    return path


@pytest.fixture(scope="session")
def browser():
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    if missing:
        reason = f"{' and '.join(missing)} not installed; tests/engines/provision/chromium.sh installs them"
        if "chromium" in os.environ.get("REQUIRE_ENGINES", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    with open_browser() as session:
        yield session
