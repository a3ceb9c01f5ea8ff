"""An algorithm that writes down what it can see and do, and otherwise predicts its input."""

import ctypes
import mmap
import os
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from contract.files import write_json
from contract.predictions import predictions_of


def train(job, events):
    """Leave an empty checkpoint."""
    job.checkpoint.mkdir(parents=True, exist_ok=True)
    events.step(1, 1)


def predict(job, events):
    """Do what the parameter says, look around, and write every frame as it was read."""
    match job.params["act"]:
        case "allocate":
            events.message("allocating")
            np.ones(job.params["size_bytes"], np.uint8).sum()
        case "sleep":
            events.message("sleeping")
            time.sleep(600)
        case "abort":
            os.abort()
        case "fill":
            _fill(Path(tempfile.gettempdir()) / "fill", job.params["size_bytes"])
        case "illegal":
            _run_machine_code(b"\x0f\x0b")  # ud2, an instruction that is illegal on every x86 processor
        case "shared":
            _touch_pages(Path("/dev/shm") / "calm-probe", job.params["size_bytes"])
    write_json(job.folder / "probe.json", _look(job))
    for stack, prediction in predictions_of(job, events):
        for frames in stack.blocks(16):
            prediction.write(frames)


def _fill(path, size_bytes):
    with path.open("wb") as stream:
        for _ in range(size_bytes >> 20):
            stream.write(bytes(1 << 20))


def _run_machine_code(code):
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()


def _touch_pages(path, size_bytes):
    """Write through a mapping, as shared tensors do: the file is made large first, its pages come when touched."""
    with path.open("w+b") as stream:
        stream.truncate(size_bytes)
        with mmap.mmap(stream.fileno(), size_bytes) as memory:
            for start in range(0, size_bytes, mmap.PAGESIZE):
                memory[start] = 1


def _most_threads():
    """Return how many threads can be started, at most 1200."""
    done = threading.Event()
    started = []
    try:
        for _ in range(1200):
            started.append(threading.Thread(target=done.wait))
            started[-1].start()
    except RuntimeError:
        started.pop()
    finally:
        done.set()
    for thread in started:
        thread.join()
    return len(started)


def _look(job):
    status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "capabilities": status["CapEff"].strip(),
        "environment": sorted(os.environ),
        "gid": os.getgid(),
        "home": os.environ.get("HOME", ""),
        "home_writable": _writable(Path(os.environ.get("HOME", "/nonexistent"))),
        "input_writable": os.access(job.inputs.noisy[0], os.W_OK) and _opens_for_writing(job.inputs.noisy[0]),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "neighbours": sorted(path.name for path in job.inputs.noisy[0].parent.iterdir()),
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "most_threads": _most_threads(),
        "root_writable": _writable(Path("/")) or _writable(Path("/usr")) or _writable(Path("/opt")),
        "secret_in_environment": "CALM_TEST_SECRET" in os.environ,
        "shared_memory": sorted(path.name for path in Path("/dev/shm").iterdir()),
        "shm_bytes": shutil.disk_usage("/dev/shm").total,
        "tmp": sorted(path.name for path in Path(tempfile.gettempdir()).iterdir()),
        "tmp_writable": _writable(Path(tempfile.gettempdir())),
        "uid": os.getuid(),
        "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }


def _writable(folder):
    path = folder / f"calm-probe-{os.getpid()}"
    try:
        path.touch()
        path.unlink()
    except OSError:
        return False
    return True


def _opens_for_writing(path):
    try:
        with path.open("r+b"):
            return True
    except OSError:
        return False
