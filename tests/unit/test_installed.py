"""calm as a wheel brings it, outside of any checkout: the same algorithms, the same images, the user's own folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import tifffile
from uv import find_uv_bin

from orchestrator.algorithms.folders import load_algorithms
from orchestrator.engines.image import image_of
from orchestrator.paths import layout

ROOT = Path(__file__).parents[2]
PACKED = ("containers", "data/manifest.yaml", "evaluation", "orchestrator", "pyproject.toml", "README.md", "LICENSE")
DIGESTS = """
import json
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.engines.image import image_of
from orchestrator.paths import layout
where = layout()
known = load_algorithms(where.containers).values()
print(json.dumps({one.name: image_of(one, "cpu", where).digest for one in known}))
"""
pytestmark = pytest.mark.slow


def _run(*command, **more):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=True, **more).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the folder of programs of an environment with the wheel, built from what is under version control.

    Its dependencies are those of the environment of the tests, as no test may need an index.
    """
    folder = tmp_path_factory.mktemp("installed")
    for name in (*PACKED, "requirements-dev.lock"):
        source, target = ROOT / name, folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, target)
    pip = [sys.executable, "-W", "ignore", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, folder / "source")
    shutil.rmtree(folder / "source")
    environment, uv = folder / "env", [find_uv_bin(), "--offline", "--quiet", "--cache-dir", folder / "cache"]
    _run(*uv, "venv", "--python", sys.executable, environment)
    _run(*uv, "pip", "install", "--python", environment, "--no-deps", *folder.glob("*.whl"))
    (packages,) = environment.glob("lib/python3.*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return environment / "bin"


@pytest.fixture
def user(tmp_path):
    """Return the options of a process of a user who has set nothing, in a folder of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CALM_", "XDG_", "PYTHON"))}
    (tmp_path / "movies").mkdir()
    return {"cwd": tmp_path / "movies", "env": kept | {"HOME": str(tmp_path / "home")}}


def test_it_lists_the_algorithms_of_the_checkout_and_their_images_are_those_of_the_checkout(installed, user):
    known = load_algorithms(layout().containers)
    assert [line.split()[0] for line in _run(installed / "calm", "list", **user).splitlines()] == [
        one.name for one in sorted(known.values(), key=lambda one: one.supervised)
    ]
    found = json.loads(_run(installed / "python", "-c", DIGESTS, **user))
    assert found == {name: image_of(one, "cpu", layout()).digest for name, one in known.items()}


@pytest.mark.skipif(sys.platform != "linux", reason="these are the folders of Linux")
def test_caches_and_data_lie_in_the_folders_of_the_user_and_runs_where_they_are_started(installed, user, tmp_path):
    asked = "from orchestrator.paths import layout as a; print(a().home, a().data, a().outputs, sep='\\n')"
    found = [Path(line) for line in _run(installed / "python", "-c", asked, **user).splitlines()]
    home = tmp_path / "home"  # and its folders as the XDG specification names them
    assert found == [home / ".cache/calm", home / ".local/share/calm/data", tmp_path / "movies/outputs"]


def test_a_movie_is_run_and_the_run_lies_below_the_folder_of_the_user(installed, user):
    tifffile.imwrite(user["cwd"] / "movie.tif", np.random.default_rng(0).poisson(50, (12, 40, 40)).astype(np.uint16))
    user["env"]["CALM_HOME"] = str(layout().home)  # the environments of the tests serve here, too
    said = _run(installed / "calm", "run", "identity", "--input", "movie.tif", "--engine", "venv", **user)
    (record,) = (user["cwd"] / "outputs").glob("identity-movie-default/*/run.json")
    assert f"Report: {record.with_name('report.html')}" in said


def test_what_changes_a_checkout_is_refused(installed, user):
    done = subprocess.run([installed / "calm", "new", "mine"], capture_output=True, text=True, check=False, **user)
    assert done.returncode == 2
    assert "expected a checkout of calm" in done.stderr
