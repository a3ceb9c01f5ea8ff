"""One case of benchmarks/deepcad.py in a process of its own, as what ours asks of torch must not reach upstream's.

Usage: deepcad_case.py CASE, a JSON object; prints CPU seconds and peak memory of the case as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

FOLDER = Path(__file__).resolve().parents[1] / "containers" / "deepcad"
# In place of this script's own folder, in which upstream's package would be a file of ours.
sys.path[:1] = [str(FOLDER.parent), str(FOLDER), str(FOLDER / "tests")]

import oracle  # noqa: E402 - found only once the path is set
import torch  # noqa: E402
from movies import PARAMS, do, make_job  # noqa: E402

import learning  # noqa: E402
import run  # noqa: E402
import tiling  # noqa: E402
from allocation import prepare_allocation  # noqa: E402
from checkpoints import new_network  # noqa: E402
from contract.errors import Interrupted  # noqa: E402
from settings import settings_of  # noqa: E402

if TYPE_CHECKING:
    import numpy as np

    from contract.job import Job

_WARM_PIXELS = 16  # edge of a cube that is computed before anything is measured
_STEPS = 2  # after which the memory of training no longer grows


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What is measured.

    Parameters
    ----------
    kind : str
        Name of a function of this file.
    work : str
        Folder for what it writes.
    threads : int
        Threads of torch.
    movie, checkpoint : str
        Paths of its input and of trained weights.
    params : dict
        Parameters of the job, where they differ from those of the tests.
    precision : {"float32", "bfloat16"}
        Of the job.
    halo : int
        Context of the tiles of fast mode, frames and pixels.
    edge : int
        Edge of the cube whose activations are measured.
    """

    kind: str
    work: str
    threads: int
    movie: str = ""
    checkpoint: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    halo: int = tiling.HALO
    edge: int = 0


def main() -> None:
    """Do the case and print what it took."""
    case = Case(**json.loads(sys.argv[1]))
    torch.set_num_threads(case.threads)
    tiling.HALO = case.halo
    if not case.kind.startswith("upstream"):
        prepare_allocation()  # takes effect before the first tensor only
    with torch.inference_mode():
        new_network(16)(torch.zeros(1, 1, *[_WARM_PIXELS] * 3))
    before_bytes, began_s = peak_bytes(), time.process_time()
    KINDS[case.kind](case)
    seconds, peak = time.process_time() - began_s, peak_bytes()
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "above_bytes": peak - before_bytes}))


def peak_bytes() -> int:
    """Return the peak of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def upstream_train(case: Case) -> None:
    """Train with upstream's class."""
    oracle.train(Path(case.movie).parent, PARAMS | case.params, 3, case.threads, Path(case.work) / "upstream")


def upstream_predict(case: Case) -> None:
    """Predict with upstream's class."""
    weights = max(Path(case.checkpoint).glob("*.pth"))
    oracle.predict(Path(case.movie).parent, weights, PARAMS | case.params, case.threads, Path(case.work) / "upstream")


def job_of(case: Case, command: str) -> Job:
    """Return the job of a case."""
    return make_job(
        Path(case.work) / command, command, [Path(case.movie)], case.params,
        checkpoint=Path(case.checkpoint), threads=case.threads, precision=case.precision,
    )  # fmt: skip


def train(case: Case) -> None:
    """Train as the image does, saving and checks included."""
    do(job_of(case, "train"))


def predict(case: Case) -> None:
    """Predict as the image does."""
    do(job_of(case, "predict"))


def two_steps(case: Case) -> None:
    """Look at every frame of a movie, as a whole epoch would, and do two training steps."""

    class Seen(run.Centred):
        def __init__(self, pixels: np.memmap, mean: np.float32) -> None:
            super().__init__(pixels, mean)
            for start in range(0, len(pixels), 16):
                self[start : start + 16, :, :]

    run.Centred = Seen
    step, calls = learning.Learner.step, []

    def counted(self: learning.Learner, *pair: torch.Tensor) -> torch.Tensor:
        calls.append(pair)
        if len(calls) > _STEPS:
            raise Interrupted
        return step(self, *pair)

    learning.Learner.step = counted
    with suppress(Interrupted):
        train(case)


def one_pass(case: Case) -> None:
    """Apply the network to a cube of zeros."""
    learner, cube = _learner(case)
    with torch.inference_mode():
        learner.loss(cube, cube)


def one_step(case: Case) -> None:
    """Apply the network to a cube of zeros and compute the gradients."""
    learner, cube = _learner(case)
    learner.loss(cube, cube).backward()


def _learner(case: Case) -> tuple[learning.Learner, torch.Tensor]:
    job = job_of(case, "train")
    return learning.Learner(new_network(16), job, settings_of(job)), torch.zeros(1, 1, *[case.edge] * 3)


KINDS = {
    kind.__name__: kind for kind in (upstream_train, upstream_predict, train, predict, two_steps, one_pass, one_step)
}

if __name__ == "__main__":
    main()
