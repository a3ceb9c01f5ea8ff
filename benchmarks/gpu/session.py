"""A session: every step in order, bounded in time, its result on disk before the next begins."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpu.wheels import missing, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpu.bench import Bench
    from gpu.records import Outcome, Report, Step

ROOT = Path(__file__).resolve().parents[2]
_LEAST_S = 5.0  # a step with less time left is not begun
_STOPPED = 128 + signal.SIGTERM


def main() -> None:
    """Measure what the command line asks for."""
    options = _options()
    sys.path.insert(0, str(ROOT / "containers"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_STOPPED))  # so that programs and movies are gone afterwards
    with tempfile.TemporaryDirectory(prefix="calm-gpu-", dir=options.scratch) as scratch:
        unpack(tuple(path.resolve() for path in options.wheels), Path(scratch) / "packages")
        if lacking := missing(("yaml", "tifffile")):
            sys.exit(
                f"this Python: expected {' and '.join(lacking)}, got neither; give a folder of wheels with --wheels"
            )
        _measure(options, Path(scratch))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu.py", description="Measure what a card gives, the most valuable first.")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything")
    parser.add_argument("--json", type=Path, help="result; the page lies beside it.  [default: benchmarks/results/]")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda", help="cpu: tiny sizes, a test of this")
    parser.add_argument("--wheels", type=Path, action="append", default=[], help="folder; may be repeated")
    parser.add_argument("--scratch", type=Path, help="disk for movies, 12 GB for a card.  [default: TMPDIR]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--table", type=Path, help="print the table for users from a JSON, and measure nothing")
    parser.add_argument("--dry-run", action="store_true", help="print what would be measured, and measure nothing")
    return parser.parse_args()


def _measure(options: argparse.Namespace, scratch: Path) -> None:
    # These import tifffile and yaml, which may have been unpacked just now.
    from gpu.bench import Bench  # noqa: PLC0415
    from gpu.pages import dry_list, summary  # noqa: PLC0415
    from gpu.records import Outcome, Report, read_report  # noqa: PLC0415
    from gpu.steps import steps_of  # noqa: PLC0415

    if options.table:
        print(summary(read_report(json.loads(options.table.read_text()))))
        return
    tiny = options.device == "cpu"
    steps = steps_of(tiny=tiny)
    if options.dry_run:
        print(dry_list(steps))
        return
    bench = Bench(
        folder=scratch, device=options.device, threads=options.threads, tiny=tiny, packages=scratch / "packages"
    )
    report = Report(
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        device=options.device,
        command=shlex.join(["python3", "benchmarks/gpu.py", *_shown(sys.argv[1:])]),
        outcomes=[Outcome(name=step.name, asks=step.asks) for step in steps],
    )
    run_steps(bench, steps, report, ends_s=time.monotonic() + 60 * options.minutes, to=options.json)


def _shown(arguments: Sequence[str]) -> list[str]:
    """Leave out the folders, which are of one machine."""
    shown = iter(arguments)
    return [word for word in shown if not (word in {"--json", "--wheels", "--scratch"} and next(shown, None))]


def run_steps(bench: Bench, steps: Sequence[Step], report: Report, *, ends_s: float, to: Path | None) -> None:
    """Do one step after the other until the time is over; the report is on disk from the start, and at every figure."""
    keep = partial(_write, report, to)
    keep()
    for step, outcome in zip(steps, report.outcomes, strict=True):
        if bench.device not in step.devices:
            outcome.status, outcome.note = "skipped", f"needs {' or '.join(step.devices)}"
        elif lacking := missing(step.needs):
            outcome.status, outcome.note = "skipped", f"needs {', '.join(lacking)}; give their wheels with --wheels"
        elif ends_s - time.monotonic() > _LEAST_S:
            bench.deadline_s = min(ends_s, time.monotonic() + step.bound_s)
            _do(bench, step, outcome, keep)
        print(f"{outcome.status:12} {outcome.seconds:5.0f} s  {step.name}  {outcome.note}", flush=True)
        print(f"             {keep()}", flush=True)


def _do(bench: Bench, step: Step, outcome: Outcome, keep: Callable[[], Path]) -> None:
    from gpu.bench import CutOff, Failed  # noqa: PLC0415 - as above

    began_s = time.monotonic()
    outcome.status = "under way"
    try:
        for figure in step.measure(bench):
            outcome.figures.append(bench.publishable(figure))
            outcome.seconds = round(time.monotonic() - began_s, 1)
            keep()
        outcome.status = "done"
    except CutOff:
        outcome.status, outcome.note = "cut off", "its time was over"
    except Failed as error:
        outcome.status, outcome.note = "failed", str(error)
    except (KeyboardInterrupt, SystemExit):
        outcome.status, outcome.note = "cut off", "the session was stopped"
        keep()
        raise
    outcome.seconds = round(time.monotonic() - began_s, 1)


def _write(report: Report, to: Path | None) -> Path:
    from contract.files import atomic, write_json  # noqa: PLC0415 - as above
    from gpu.pages import file_stem, page  # noqa: PLC0415

    path = to or ROOT / "benchmarks" / "results" / f"{file_stem(report)}.json"
    write_json(path, report.document())
    with atomic(path.with_suffix(".md")) as part:
        part.write_text(page(report))
    return path
