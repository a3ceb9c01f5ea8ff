"""The command `calm` in tests: as a process of its own, or in that of the tests."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from orchestrator.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Calm:
    """The command, in a world of its own but for the shared cache of wheels and environments."""

    outputs: Path
    data: Path

    def __call__(self, *arguments, **environment):
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, env=self.environment(**environment)
        )

    def command(self, *arguments):
        return [sys.executable, "-c", "from orchestrator.cli import main; main()", *map(str, arguments)]

    def environment(self, **more):
        return os.environ | {"CALM_OUTPUTS": str(self.outputs), "CALM_DATA": str(self.data)} | more

    def run_folder(self, experiment, seed=42):
        """Return the one finished run of an experiment with a seed; other seeds lie beside it in shared outputs."""
        records = sorted((self.outputs / experiment).glob("*/run.json"))
        (folder,) = [path.parent for path in records if json.loads(path.read_text())["seed"] == seed]
        return folder


class CalmHere(Calm):
    """The command in the process of the tests, which has imported already what each process would import again."""

    def __call__(self, *arguments, **environment):
        kept = signal.getsignal(signal.SIGTERM)  # the command sets its own
        out, err = io.StringIO(), io.StringIO()
        try:
            with (
                pytest.MonkeyPatch.context() as patch,
                warnings.catch_warnings(),
                redirect_stdout(out),
                redirect_stderr(err),
            ):
                warnings.simplefilter("default")
                for name, value in self.environment(**environment).items():
                    patch.setenv(name, value)
                main([*map(str, arguments)])
        except SystemExit as ended:
            code = ended.code
        except Exception:  # noqa: BLE001 - a process would end so, with any
            traceback.print_exc(file=err)
            code = 1
        finally:
            signal.signal(signal.SIGTERM, kept)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
