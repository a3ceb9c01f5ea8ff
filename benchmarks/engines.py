"""What an engine adds to a job: seconds from start to exit, on every engine that answers.

Usage: python benchmarks/engines.py [ROUNDS]

Starts the image of `identity` twice over in ROUNDS (default 7) rounds, each engine once in every round: `describe`,
which reads one file and imports numpy, and a whole run, training and prediction of a movie of 20 x 32 x 40 pixels.
Prints the median of each engine and its ratio to venv in the same rounds. Images are built before the clock starts.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from orchestrator.algorithms.folders import load_algorithms
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import input_source
from orchestrator.domain import Launch
from orchestrator.engines import engine_named
from orchestrator.engines.image import image_of, prepare
from orchestrator.errors import CalmError
from orchestrator.paths import layout
from orchestrator.records.record import Choice
from orchestrator.runs.execute import execute
from orchestrator.runs.plan import make_plan
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.domain import Algorithm, Image
    from orchestrator.engines import Engine
    from orchestrator.records.record import Event

_ENGINES = ("venv", "docker", "podman", "apptainer")
_SHAPE = (20, 32, 40)  # frames, rows, columns


class Silent:
    """A progress that nobody watches."""

    def begin(self, title: str) -> None:
        """Take note of nothing."""

    def event(self, event: Event) -> None:
        """Take note of nothing."""

    def end(self) -> None:
        """Take note of nothing."""


def built(algorithm: Algorithm, image: Image) -> dict[str, Engine]:
    """Return every engine that answers, with the image built."""
    engines = {}
    for name in _ENGINES:
        try:
            engine = engine_named(name, layout())
        except CalmError as error:
            print(f"left out: {error.message}")
            continue
        if engine.find(image) is None:
            prepare(algorithm, image)
            engine.build(image)
        engines[name] = engine
    return engines


def seconds(action: Callable[[], None]) -> float:
    """Return how long something takes, s."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def describe(engine: Engine, image: Image) -> None:
    """Start the image, let it say what it is, and check that it ended well."""
    done = engine.run(Launch(image=image, arguments=("describe",), memory_bytes=2**30), lambda: None)
    if done.code != 0:
        message = f"{engine.name}: expected exit code 0, got {done.code}: {done.output}"
        raise SystemExit(message)


def whole_run(engine: Engine, algorithm: Algorithm, image: Image, movie: Path) -> float:
    """Return how long training and prediction of a movie take in a new run folder, s."""
    with tempfile.TemporaryDirectory() as outputs:
        plan = make_plan(
            algorithm,
            image,
            source=input_source([movie], Choice(), layout()),
            settings=Settings(preset="default", overrides={}, seed=1, threads=1),
            layout=replace(layout(), outputs=Path(outputs)),
            checksums=Checksums(Path(outputs) / "checksums.json"),
        )
        return seconds(lambda: execute(plan, engine, Silent()))


def main() -> None:
    """Time every engine and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    algorithm = load_algorithms(layout().containers)["identity"]
    image = image_of(algorithm, "cpu", layout())
    engines = built(algorithm, image)
    starts: dict[str, list[float]] = {name: [] for name in engines}
    runs: dict[str, list[float]] = {name: [] for name in engines}
    with tempfile.TemporaryDirectory() as folder:
        movie = Path(folder) / "movie.tif"
        tifffile.imwrite(movie, np.random.default_rng(0).poisson(100, _SHAPE).astype(np.uint16))
        for _ in range(rounds):
            for name, engine in engines.items():
                starts[name].append(seconds(lambda engine=engine: describe(engine, image)))
                runs[name].append(whole_run(engine, algorithm, image, movie))
    print(f"{rounds} rounds; median seconds (fastest to slowest), ratio to venv")
    print("| engine | describe | ratio | whole run | ratio |")
    print("|---|---|---|---|---|")
    for name in engines:
        cells = []
        for times in (starts, runs):
            middle = statistics.median(times[name])
            spread = f"{middle:.2f} ({min(times[name]):.2f} to {max(times[name]):.2f})"
            cells += [spread, f"{middle / statistics.median(times['venv']):.2f}"]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
