"""What the trainings in the tests reach, over seeds and instruction sets: bounds of tests rest on this table.

    python benchmarks/spread.py [--seeds 1 2 3] [--folders n2v n2n hdn deepcad cellmincer care n2v-tf]

Every test marked `training` of a folder runs with each seed under each limit on the instructions of the processor,
with one thread, and its figures are taken from the report of pytest. A bound should lie at least three standard
deviations below the mean.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
FOLDERS = ("n2v", "n2n", "hdn", "deepcad", "cellmincer", "care", "n2v-tf")
LIMITS = {  # torch's own kernels, and those of oneDNN
    "default": {},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "SSE4.1": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}
Figures = dict[tuple[str, str], float]  # by test and name


def figures(folder: str, seed: int, limit: dict[str, str]) -> Figures:
    """Run the training tests of a folder and return what they recorded; a bound that is missed is measured too."""
    environment = os.environ | {"CALM_TEST_SEED": str(seed), "OMP_NUM_THREADS": "1"} | limit
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        pytest = [
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "training",
            "-o",
            "junit_family=xunit1",
            f"--junitxml={report}",
        ]
        command = [sys.executable, "tests/folder_environment.py", folder, *pytest, f"containers/{folder}/tests"]
        subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=subprocess.DEVNULL)
        cases = ET.parse(report).iter("testcase")  # noqa: S314 - our own report
        return {
            (str(case.get("name")), str(one.get("name"))): float(str(one.get("value")))
            for case in cases
            for one in case.iter("property")
        }


def main() -> None:
    """Print a row for every figure: mean, sd and range over all seeds and limits, and the mean under each limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--folders", nargs="+", choices=FOLDERS, default=FOLDERS)
    chosen = parser.parse_args()
    print(f"seeds {', '.join(map(str, chosen.seeds))}; one thread; dB")
    print(f"| folder | test | figure | mean | sd | lowest | {' | '.join(LIMITS)} |")
    print("|---|---|---|---|---|---|" + "---|" * len(LIMITS), flush=True)
    for folder in chosen.folders:
        found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for name, limit in LIMITS.items():
            for seed in chosen.seeds:
                for key, value in figures(folder, seed, limit).items():
                    found[key][name].append(value)
        for (test, figure), by_limit in found.items():
            values = [value for one in by_limit.values() for value in one]
            means = " | ".join(f"{statistics.fmean(one):.2f}" for one in by_limit.values())
            spread = f"{statistics.fmean(values):.2f} | {statistics.stdev(values):.2f} | {min(values):.2f}"
            print(f"| {folder} | {test} | {figure} | {spread} | {means} |", flush=True)


if __name__ == "__main__":
    main()
