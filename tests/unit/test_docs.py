"""The pages for users say what the commands say, and point at what is there."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BLOCK = re.DOTALL | re.MULTILINE
_FENCED = re.compile(r"^```.*?^```", _BLOCK)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _pages():
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    found = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    return [ROOT / name for name in found if (ROOT / name).exists()]


def _anchors(path):
    """Name the headings of a page as links do: lower case, hyphens for blanks, no other signs."""
    headings = _HEADING.findall(_FENCED.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_of_a_page_leads_somewhere(page):
    links = [link for link in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))) if ":" not in link]
    lost = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            lost.append(link)
    assert lost == []


def test_the_page_of_commands_is_what_the_commands_say_of_themselves():
    spec = importlib.util.spec_from_file_location("make_commands", ROOT / "docs" / "make_commands.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == maker.page(), "write it anew: make docs-commands"


def test_the_example_of_evaluation_alone_works_as_it_is_printed(calm, movie):
    done = calm("run", "identity", "--input", movie, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "architecture.md").read_text("utf-8"), _BLOCK)
    program = program.replace("outputs/identity-movie-default/KEY", str(calm.run_folder("identity-movie-default")))
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert shown.startswith("train/movie.tif 0.0\nMay I believe movie.tif?")


def test_the_readme_fits_on_two_screens():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 120


@pytest.mark.slow
def test_the_site_is_built_without_a_link_that_leads_nowhere():
    make = [sys.executable, str(ROOT / "docs" / "make_site.py")]
    done = subprocess.run(make, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
