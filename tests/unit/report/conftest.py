"""Files, pages and a browser for the report tests."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode does not let tests import the helpers beside them

from report_browser import open_browser
from report_examples import movie_content, page_about, study_page, write_movie

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
def browser():
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    if missing:
        reason = f"{' and '.join(missing)} not installed; tests/engines/provision/chromium.sh installs them"
        if "chromium" in os.environ.get("REQUIRE_ENGINES", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    with open_browser() as session:
        yield session
