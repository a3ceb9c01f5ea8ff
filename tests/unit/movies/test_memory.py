"""Memory of describing and copying a movie does not grow with the number of its frames, whatever the format."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FEW, MANY = 32, 160  # frames of 256 x 256, uint16: 4 MB and 21 MB
ALLOWED_BYTES = 10 * 2**20  # blocks are of 8 MB, and their allocation is not the same each time
SCRIPT = """
import json, sys
from pathlib import Path
from orchestrator.data.checksums import Checksums
from orchestrator.data.inspect import Inspector
from orchestrator.data.stacks import make_stacks
from orchestrator.records.record import Choice

def peak_bytes(movie, cache):
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak until now
    recording = Inspector(stacks=cache, checksums=Checksums(cache / "sums.json")).describe(Path(movie), Choice())
    make_stacks([recording], lambda _: None)
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024

cache, first = map(Path, sys.argv[1:])
movies = json.load(sys.stdin)
for both in movies.values():  # what is loaded and allocated once belongs to no movie
    peak_bytes(both[0], first)
print(json.dumps({name: [peak_bytes(movie, cache) for movie in both] for name, both in movies.items()}))
"""


def _benchmark():
    spec = importlib.util.spec_from_file_location("movies_benchmark", ROOT / "benchmarks" / "movies.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORMATS = _benchmark().FORMATS


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    """Return the peak bytes of a few and of many frames of each format, all read by one process."""
    movies = {}
    for name, write in FORMATS.items():
        folders = [tmp_path_factory.mktemp("movie") for _ in range(2)]
        movies[name] = [str(write(folder, count)) for folder, count in zip(folders, (FEW, MANY), strict=True)]
    caches = [str(tmp_path_factory.mktemp("cache")) for _ in range(2)]
    command = [sys.executable, "-c", SCRIPT, *caches]
    done = subprocess.run(command, input=json.dumps(movies), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_memory_of_a_reader_does_not_grow_with_the_number_of_frames(peaks, name):
    few, many = peaks[name]
    assert many - few < ALLOWED_BYTES
