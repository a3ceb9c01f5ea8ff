"""The workplace of a session: its folder, its clock, the movies it makes and the programs it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import tifffile

from gpu.records import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINERS = Path(__file__).resolve().parents[2] / "containers"
_SCRIPTS = Path(__file__).resolve().parent
_BASE_FRAMES = 64  # drawn once and repeated: drawing a long movie would take longer than predicting it
_LAST_WORDS = 400  # characters


class CutOff(Exception):
    """The time of a step is over."""


class Failed(Exception):
    """A program ended otherwise than it should; the message holds its last words."""


@dataclass(kw_only=True, slots=True)
class Bench:
    """Where a session works.

    Parameters
    ----------
    folder : Path
        For movies, jobs and checkpoints.
    device : {"cpu", "cuda"}
        Where everything runs.
    threads : int
        Threads of torch.
    tiny : bool
        Sizes for a test of this program instead of a card.
    packages : Path
        Unpacked wheels.
    deadline_s : float
        When the step at work must end, on the monotonic clock.
    """

    folder: Path
    device: Literal["cpu", "cuda"]
    threads: int
    tiny: bool
    packages: Path
    deadline_s: float = 0.0
    checkpoints: dict[str, Path] = field(default_factory=dict)

    def movie(self, shape: tuple[int, int, int]) -> Path:
        """Return a movie of noise around a still pattern, uint16, made where it is not there yet."""
        path = self.folder / "movies" / f"{'x'.join(map(str, shape))}.tif"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            rng = np.random.default_rng(0)
            rows, columns = np.mgrid[: shape[1], : shape[2]]
            pattern = 300 + 100 * np.sin(rows / 9) * np.cos(columns / 7)
            base = rng.normal(pattern, 20, (min(_BASE_FRAMES, shape[0]), *shape[1:])).astype(np.uint16)
            frames = (base[number % len(base)] for number in range(shape[0]))
            tifffile.imwrite(
                path, frames, shape=shape, dtype=np.uint16, photometric="minisblack", metadata={"axes": "TYX"}
            )
        return path

    def environment(self, *folders: Path) -> dict[str, str]:
        """Return the environment of a program that imports from some folders first."""
        paths = [*folders, CONTAINERS, self.packages, *filter(None, [os.environ.get("PYTHONPATH")])]
        return os.environ | {
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
            "OMP_NUM_THREADS": str(self.threads),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
        }

    def start(self, command: list[str], environment: dict[str, str]) -> int:
        """Run a program until it ends and return its exit code.

        Raises
        ------
        CutOff
            When its time is over; the program and all it started are gone by then.
        """
        with (self.folder / "log.txt").open("ab") as log:
            begun = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            try:
                return begun.wait(max(0.0, self.deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise CutOff from None
            finally:
                if begun.poll() is None:
                    os.killpg(begun.pid, signal.SIGKILL)
                    begun.wait()

    def script(self, name: str, part: str, *folders: Path) -> Iterator[Figure]:
        """Run one part of a script beside this file and yield the figures it has written, also when it is cut off."""
        found = self.folder / f"{name}-{part}.jsonl"
        command = [sys.executable, str(_SCRIPTS / f"{name}.py"), part, self.device, str(int(self.tiny)), str(found)]
        cut: CutOff | None = None
        code = 0
        try:
            code = self.start(command, self.environment(*folders))
        except CutOff as error:
            cut = error
        lines = found.read_text().splitlines() if found.exists() else []
        yield from (Figure(**json.loads(line)) for line in lines)
        if cut:
            raise cut
        if code:
            message = f"{name}.py {part} ended with code {code}: {self.last_words()}"
            raise Failed(message)

    def last_words(self) -> str:
        """Return the end of what programs printed, on one line."""
        text = (self.folder / "log.txt").read_text(errors="replace")
        return self.shown(" ".join(text[-_LAST_WORDS:].split()))

    def shown(self, text: str) -> str:
        """Return a text without the folder of this session, which says nothing to others."""
        return text.replace(f"{self.folder}/", "")
