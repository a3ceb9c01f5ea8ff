"""Podman without root, started by an ordinary user: it works, and what a job writes belongs to that user.

tests/engines/provision/podman.sh makes such a user; without one, and where no Python is in reach of that user, nothing
can be tested here.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import site
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.paths import layout

USER = "calm-user"
HERE = Path(__file__).parent


def _may(user, question, path):
    """Say whether a user may do with a path what test(1) asks."""
    return subprocess.run(["runuser", "-u", user.pw_name, "--", "test", question, path], check=False).returncode == 0


@pytest.fixture
def user():
    """Return an ordinary user of this machine who may run containers, and read calm."""
    try:
        found = pwd.getpwnam(USER)
    except KeyError:
        pytest.skip(f"no user {USER}")
    for path in (layout().root / "orchestrator", *site.getsitepackages()):
        if not _may(found, "-r", path):
            pytest.skip(f"{USER} may not read {path}")
    return found


@pytest.fixture
def python(user):
    """Return a Python of this version that the user may start."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if _may(user, "-x", path):
            return path
    return pytest.skip(f"no {version} that {USER} may start")


@pytest.fixture
def place(user):
    """Return a folder of the user, with the base image that root has made; its containers go with it."""
    folder = Path(tempfile.mkdtemp(prefix="calm-rootless-"))
    for name in ("home", "run", "storage", "tmp", "work"):
        (folder / name).mkdir()
    if (layout().home / "base").is_dir():
        shutil.copytree(layout().home / "base", folder / "home" / "base")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    (folder / "run").chmod(0o700)
    yield folder
    for path in folder.rglob("pause.pid"):  # of the process by which Podman keeps its namespace
        with suppress(ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGKILL)
    shutil.rmtree(folder)


@pytest.mark.engine("podman")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_rootless_podman_runs_for_an_ordinary_user_who_then_owns_all_that_was_written(user, python, place):
    checkout = layout().root
    environment = {
        "CALM_HOME": str(place / "home"),
        "HOME": str(place / "storage"),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (checkout, checkout / "containers", HERE, *site.getsitepackages()))),
        "STORAGE_DRIVER": "overlay",  # vfs, the other one that needs no program, copies every layer
        "TMPDIR": str(place / "tmp"),
        "XDG_RUNTIME_DIR": str(place / "run"),
    }
    done = subprocess.run(
        [python, str(HERE / "rootless_look.py"), str(place / "work")],
        env=environment, cwd=place, capture_output=True, text=True, check=False,
        user=user.pw_uid, group=user.pw_gid, extra_groups=[],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    owners = {path.lstat().st_uid for path in (Path(told["run"]), *Path(told["run"]).rglob("*"))}
    assert owners == {user.pw_uid}
    seen = told["seen"]
    assert seen["uid"] == 0  # of its own namespace, without any right of root
    assert int(seen["capabilities"], 16) == 0
    assert seen["interfaces"] == ["lo"]
    assert not seen["root_writable"]
    assert not seen["input_writable"]
