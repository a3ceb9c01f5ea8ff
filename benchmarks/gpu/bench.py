"""The workplace of a session: its folder, its clock, the movies it makes and the programs it starts."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import tifffile

from gpu.figure_file import SOUND, VERDICT
from gpu.records import Arithmetic, Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINERS = Path(__file__).resolve().parents[2] / "containers"
_SCRIPTS = Path(__file__).resolve().parent
_BASE_FRAMES = 64  # drawn once and repeated: drawing a long movie would take longer than predicting it
_LAST_WORDS = 400  # characters
_TICK_S = 0.5
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


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
    unsound : dict of str to str
        Why figures of an arithmetic are withheld; those of one that was seen to be right are not.
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
    unsound: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(get_args(Arithmetic)[1:], "not compared with float64 on this machine")
    )

    def publishable(self, figure: Figure) -> Figure:
        """Return a figure, without its value where its arithmetic is not seen to be right; heed a verdict on one."""
        if figure.name == VERDICT:
            self.unsound[figure.case] = "" if figure.value == SOUND else str(figure.value)
        why = self.unsound.get(figure.arithmetic, "")
        return figure.withheld(why) if why else figure

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

    @contextmanager
    def program(self, command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        """Start a program; at the end of the block it and all it started are gone."""
        with (self.folder / "log.txt").open("ab") as log:
            begun = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads here
            )  # fmt: skip
            try:
                yield begun
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(begun.pid, signal.SIGKILL)
                begun.wait()

    def start(self, command: list[str], environment: dict[str, str]) -> int:
        """Run a program until it ends and return its exit code.

        Raises
        ------
        CutOff
            When its time is over.
        """
        with self.program(command, environment) as begun:
            while (code := self.ended(begun)) is None:
                pass
            return code

    def ended(self, begun: subprocess.Popen[bytes]) -> int | None:
        """Wait a moment for a program and return its exit code, None while it runs.

        Raises
        ------
        CutOff
            When its time is over.
        """
        left_s = self.deadline_s - time.monotonic()
        try:
            return begun.wait(max(0.0, min(_TICK_S, left_s)))
        except subprocess.TimeoutExpired:
            if left_s <= _TICK_S:
                raise CutOff from None
            return None

    @contextmanager
    def watching(self, path: Path) -> Iterator[None]:
        """Write to a file, some times a second, for how many percent of the time the card has just worked."""
        if self.device != "cuda" or shutil.which("nvidia-smi") is None:
            yield
            return
        card = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        asked = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--id={card}"]
        again = f"while :; do {shlex.join(asked)} >> {shlex.quote(str(path))}; sleep 0.2; done"
        with self.program(["sh", "-c", again], dict(os.environ)):
            yield

    def script(self, name: str, part: str, *folders: Path) -> Iterator[Figure]:
        """Run one part of a script beside this file and yield every figure as soon as it is found."""
        found, seen = self.folder / f"{name}-{part}.jsonl", 0
        command = [sys.executable, str(_SCRIPTS / f"{name}.py"), part, self.device, str(int(self.tiny)), str(found)]
        with self.program(command, self.environment(*folders)) as begun:
            code: int | None = None
            while code is None:
                code, cut = self._ended_or_cut(begun)
                lines = found.read_text().splitlines() if found.exists() else []
                yield from (Figure(**json.loads(line)) for line in lines[seen:])
                seen = len(lines)
                if cut:
                    raise cut
        if code:
            message = f"{name}.py {part} ended with code {code}: {self.last_words()}"
            raise Failed(message)

    def _ended_or_cut(self, begun: subprocess.Popen[bytes]) -> tuple[int | None, CutOff | None]:
        try:
            return self.ended(begun), None
        except CutOff as error:
            return None, error

    def last_words(self) -> str:
        """Return the end of what programs printed, on one line."""
        text = (self.folder / "log.txt").read_text(errors="replace")
        return self.shown(" ".join(text[-_LAST_WORDS:].split()))

    def shown(self, text: str) -> str:
        """Return a text without the folder of this session, which says nothing to others."""
        return text.replace(f"{self.folder}/", "")


def _die_with_parent() -> None:
    """Let a program be killed with this one, however that ends: it would keep the card busy."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
