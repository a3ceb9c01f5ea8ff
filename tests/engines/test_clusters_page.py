"""Every command of the way to a cluster in docs/clusters.md, in its order: a bundle, a login node, Slurm.

What the page names is replaced where a test cannot have it: `n2v`, whose SIF takes minutes, by an algorithm that trains
for a moment; the four threads by one, as a node of the tests may have two cores; three seeds by one; the shared disk by
a folder; and in the bundle, calm's packages for developers by those that `make setup` installs.
The network is taken away from installing and loading; sweeps need it to reach Slurm, so there pip and proxies lead
nowhere, and no daemon answers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.paths import layout

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"
BLOCK = re.compile(r"^   ```(sh|yaml)\n(.*?)^   ```", re.DOTALL | re.MULTILINE)
NOWHERE = "http://127.0.0.1:9"
FIRST_TASK = "$(calm status sweep | grep --only-matching '^tiny-[^ ]*')"
pytestmark = [pytest.mark.engine("slurm"), pytest.mark.engine("apptainer"), pytest.mark.slow]


def _blocks(shared):
    """Return the commands of the page, which are shell but for one file, with what is replaced in them."""
    way = PAGE.read_text("utf-8").partition("\n## From a workstation")[2].partition("\n## ")[0]
    replaced = {
        "n2v": "tiny",
        "threads: 4": "threads: 1",
        "seeds: [1, 2, 3]": "seeds: [1]",
        "/shared/lab": str(shared),
        "logs TASK": f"logs {FIRST_TASK}",
    }
    found = []
    for kind, text in BLOCK.findall(way):
        for old, new in replaced.items():
            text = text.replace(old, new)  # noqa: PLW2901 - one after the other
        found.append((kind, re.sub(r"^   ", "", text, flags=re.MULTILINE)))
    return found


def _run(commands, where, environment, *before):
    """Run commands of the page as a user would type them, and return what they printed."""
    command = [*before, "bash", "-c", f"set -eux\n{commands}"]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def _workstation(checkout, folder):
    """Return the environment of a machine with a cache, in which `calm` is that of the checkout."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "calm"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from orchestrator.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    return os.environ | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{checkout}:{checkout / 'containers'}",
        "CALM_HOME": str(layout().home),
        "CALM_DATA": str(folder / "data"),
    }


def _login_node():
    """Return the environment of a machine that knows no index of packages and no daemon."""
    own = ("CALM_", "PIP_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    daemon = "unix:///nowhere.sock"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    return (
        kept
        | proxies
        | {
            "PYTHON": sys.executable,  # the one that the bundle is made with
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "DOCKER_HOST": daemon,
            "CONTAINER_HOST": daemon,
        }
    )


@pytest.fixture
def cluster(checkout, tmp_path):
    """Return the checkout as it is carried to a cluster."""
    shutil.copytree(checkout, tmp_path / "cluster", ignore=shutil.ignore_patterns("__pycache__"))
    lock = tmp_path / "cluster" / "requirements.lock"
    shutil.copyfile(lock, lock.with_name("requirements-dev.lock"))
    return tmp_path / "cluster"


def test_the_way_from_a_workstation_to_a_cluster_without_internet_works_as_it_is_printed(cluster, tmp_path):
    pack, export, install, file, start, look = _blocks(tmp_path / "shared")
    assert [kind for kind, _ in (pack, export, install, file, start, look)] == ["sh", "sh", "sh", "yaml", "sh", "sh"]
    desk = tmp_path / "desk"
    _run(pack[1], tmp_path, _workstation(cluster, desk))
    (tmp_path / "calm.tar").rename(cluster / "calm.tar")

    environment = _login_node()
    _run(export[1] + install[1], cluster, environment, "unshare", "--map-root-user", "--net")
    (cluster / "sweep.yaml").write_text(file[1])
    swept = _run(export[1] + start[1], cluster, environment)
    assert "GPU hours: at most 0.0" in swept
    assert "4 runs: 0 finished" in swept
    assert "4 tasks: 4 finished" in swept

    shared = tmp_path / "shared"
    looked = _run(export[1] + look[1], cluster, environment)
    assert "4 tasks: 4 finished" in looked
    assert "tiny: train" in looked
    (record,) = (shared / "outputs").glob("tiny-*/*/run.json")
    assert json.loads(record.read_text())["engine"]["name"] == "apptainer"
    assert (shared / "outputs" / "sweep-sweep.html").exists()
