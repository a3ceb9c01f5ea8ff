"""docs/adding-an-algorithm.md, done as it is printed, in a copy of the checkout: every file of it, every command."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys

import pytest
from folder_environment import CONTAINERS

from orchestrator.paths import layout

ROOT = CONTAINERS.parent
PAGE = (ROOT / "docs" / "adding-an-algorithm.md").read_text()
# Either a command in a block of them, or the name of a file above the block that holds its text.
STEP = re.compile(
    r"^```sh\n(?P<commands>.*?)^```$|^`(?P<file>\S+)`:\n\n```\w+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a copy of the checkout."""
    folder = tmp_path_factory.mktemp("copy") / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "files", ".*")
    for name in ("orchestrator", "evaluation", "containers", "data", "docs", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


def _start(command, checkout, calm):
    """Start a command of the page: calm as it is, and what make starts."""
    match shlex.split(command):
        case ["calm", *arguments]:
            engine = ["--engine", "venv"] if arguments[0] in {"run", "reproduce"} else []
            started = calm.command(*arguments, *engine)
        case ["make", "test", selected]:
            started = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-m",
                "not engine",
                *shlex.split(selected.partition("=")[2]),
            ]
            started.append("tests/contract")
    environment = calm.environment(
        PYTHONPATH=f"{checkout}:{checkout / 'containers'}", CALM_HOME=str(layout().home), PYTHONSAFEPATH="1"
    )
    return subprocess.run(started, capture_output=True, text=True, check=False, env=environment, cwd=checkout)


@pytest.fixture(scope="module")
def printed(checkout, demo_calm):
    """Do what the page says, from the top to its debugger, and return what each command printed."""
    steps = PAGE.partition("## When it fails")[0]
    done = {}
    for step in STEP.finditer(steps):
        if step["file"]:
            path = checkout / step["file"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(step["text"])
        for command in (step["commands"] or "").splitlines():
            ended = _start(command, checkout, demo_calm)
            expected = (
                1 if command.startswith("calm reproduce") else 0
            )  # numbers that nobody published, as the page says
            assert ended.returncode == expected, f"{command}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
            done[command] = ended.stdout
    return done


def test_the_new_folder_is_listed_with_its_parameters(printed):
    assert "window = 5 frames: frames of the median" in printed["calm list median"]


def test_the_new_folder_runs_and_its_report_shows_the_controls(printed):
    names = {line.split()[0] for line in printed["calm run median --preset smoke"].splitlines() if line.split()}
    assert {"identity", "mean", "median"} <= names


def test_the_new_folder_inherits_every_test_and_passes_its_own(printed):
    (count,) = re.findall(r"(\d+) passed", printed['make test ARGS="-k median"'])
    assert int(count) >= 9


def test_the_experiment_of_the_new_folder_is_reproduced(printed):
    assert re.search(r"^MEDIAN_DEMO .* reproduced", printed["calm reproduce MEDIAN_DEMO"], re.MULTILINE)


def test_no_file_of_the_checkout_but_the_new_folder_was_changed(printed, checkout):
    for name in ("orchestrator", "containers", "tests"):
        for path in (ROOT / name).rglob("*.py"):
            copied = checkout / name / path.relative_to(ROOT / name)
            assert not copied.exists() or copied.read_bytes() == path.read_bytes()
    assert printed
