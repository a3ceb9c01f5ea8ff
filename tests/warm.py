"""Jobs in an environment as its image starts them, each in a process of its own, but for what all of them import.

They are children of a process that has imported the code of the folder and computed nothing: torch alone takes seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.engines import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SERVE = """
import importlib, json, os, signal, sys
from pathlib import Path
folder = Path(sys.argv[1]) / "algorithm"
sys.path[:0] = [str(folder.parent), str(folder)]
os.environ["ALGORITHM_DIR"] = str(folder)
from contract.__main__ import main
names = [path.stem for path in sorted(folder.glob("*.py"))]
for name in [*names, *(["torch._dynamo"] if "torch" in sys.modules else [])]:  # which an optimiser imports
    importlib.import_module(name)
for line in sys.stdin:
    arguments, variables, change = json.loads(line)
    child = os.fork()
    if not child:
        os.environ.update(variables)
        os.chdir(os.environ["HOME"])
        exec(change)
        sys.exit(main(arguments))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Warm:
    """The environment of an image at work, waiting for jobs."""

    server: subprocess.Popen[str]

    def run(self, *arguments: str | Path, variables: Mapping[str, str], change: str = "") -> int:
        """Run the command of the image in HOME of some variables, with a change before it; return the exit code."""
        print(json.dumps([[*map(str, arguments)], dict(variables), change]), file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline())


@contextmanager
def warm(python: Path, context: Path, **variables: str) -> Iterator[Warm]:
    """Yield the environment of a Python and of what its image holds, `contract/` and `algorithm/`."""
    command = [python, "-I", "-B", "-c", _SERVE, context]
    environment = {"PATH": os.defpath, **variables}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        yield Warm(server=server)


@contextmanager
def warm_venv() -> Iterator[None]:
    """Let the venv engine of this process start its jobs so."""
    servers: dict[tuple[str, str], Warm] = {}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        def run_watched(command, *, environment, cwd, watch):  # noqa: ARG001 - HOME is the folder, too
            python, *_, start, verb, job = command
            if (python, start) not in servers:
                servers[python, start] = stack.enter_context(warm(Path(python), Path(start).parents[1]))
            code = servers[python, start].run(verb, job, variables=environment)
            watch()
            return code, ""

        patch.setattr(process, "run_watched", run_watched)
        yield
