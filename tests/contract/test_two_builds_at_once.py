"""Jobs of a sweep start together on a machine where nothing is built yet."""

from __future__ import annotations

import subprocess


def test_two_commands_that_need_the_same_environment_share_one(calm, tmp_path):
    environment = calm.environment(CALM_HOME=str(tmp_path / "home"))
    command = calm.command("build", "identity", "--engine", "venv")
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    assert printed[0][0] == printed[1][0]
    assert [path.name for path in (tmp_path / "home" / "wheels").iterdir() if path.name.startswith(".")] == []
