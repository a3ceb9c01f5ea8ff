"""The failure vocabulary as data: what was seen, and what it is called. Words are as the programs print them."""

from __future__ import annotations

import pytest

from orchestrator import errors
from orchestrator.engines.failures import Evidence, diagnose, diagnose_words, engine_gone, image_missing

GIB = 2**30
CASES = [
    # A container over its limit: Docker sets State.OOMKilled and the exit code is 128 + SIGKILL.
    ({"code": 137, "memory_limit_hit": True}, "memory limit", errors.OutOfMemory, "2.0 GiB"),
    ({"code": 137, "memory_limit_hit": True, "host_out_of_memory": True}, "memory limit", errors.OutOfMemory, "limit"),
    ({"code": -9, "host_out_of_memory": True}, "host memory", errors.OutOfMemory, "killed by the kernel"),
    ({"code": 1, "host_out_of_memory": True}, "crashed", errors.AlgorithmFailed, "exit code 1"),
    ({"code": -9}, "killed", errors.Interrupted, "SIGKILL"),
    ({"code": 137}, "killed", errors.Interrupted, "SIGKILL"),
    ({"code": 143}, "stopped", errors.Interrupted, "SIGTERM"),
    ({"code": -15}, "stopped", errors.Interrupted, "walltime"),
    ({"code": 129}, "stopped", errors.Interrupted, "SIGHUP"),
    ({"code": -10}, "stopped", errors.Interrupted, "SIGUSR1"),
    ({"code": 132}, "illegal instruction", errors.AlgorithmFailed, "processor"),
    ({"code": -4}, "illegal instruction", errors.AlgorithmFailed, "processor"),
    ({"code": 135}, "shared memory", errors.OutOfMemory, "/dev/shm"),
    ({"code": -7}, "shared memory", errors.OutOfMemory, "/dev/shm"),
    ({"code": 134}, "crashed", errors.AlgorithmFailed, "exit code 134 (SIGABRT)"),
    ({"code": 139}, "crashed", errors.AlgorithmFailed, "SIGSEGV"),
    ({"code": 1, "log": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."}, "gpu memory",
     errors.OutOfMemory, "GPU"),
    ({"code": 1, "log": "RuntimeError: CUDA error: no kernel image is available for execution on the device"},
     "driver too old", errors.DeviceMissing, "driver"),
    ({"code": 1, "log": "RuntimeError: The NVIDIA driver on your system is too old (found version 11040)."},
     "driver too old", errors.DeviceMissing, "driver"),
    ({"code": 1, "log": "RuntimeError: Found no NVIDIA driver on your system."}, "gpu missing", errors.DeviceMissing,
     "cuda"),
    ({"code": 1, "log": "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient "
                        "shared memory (shm)."}, "shared memory", errors.OutOfMemory, "shared memory"),
    ({"code": 1, "log": "OSError: [Errno 28] No space left on device"}, "no space", errors.AlgorithmFailed, "space"),
    ({"code": 1, "log": "OSError: [Errno 122] Disk quota exceeded"}, "no space", errors.AlgorithmFailed, "space"),
    ({"code": 3, "words": "python: cannot open start.py"}, "crashed", errors.AlgorithmFailed, "cannot open start.py"),
    # A program that survived a full disk and was then killed was not ended by the disk.
    ({"code": -9, "log": "No space left on device"}, "killed", errors.Interrupted, "SIGKILL"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "kind", "error", "words"), CASES)
def test_a_death_has_a_name_a_class_and_a_sentence(seen, kind, error, words):
    failure = diagnose(Evidence(job="train", memory_bytes=2 * GIB, **seen))
    assert failure.kind == kind
    assert failure.error is error
    assert failure.sentence.startswith("train: ")
    assert words in failure.sentence
    assert failure.hint.endswith(".")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ('docker: could not select device driver "" with capabilities: [[gpu]]', "gpu missing"),
        ("podman: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all", "gpu missing"),
        ("docker: nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8", "driver too old"),
        ("docker: write /var/lib/docker/tmp: no space", None),
        # The engines are written in Go, whose words for errno 28 and 122 begin with a small letter.
        ("docker: mkdir /var/lib/docker/overlay2/x: no space left on device", "no space"),
        ("podman: write /var/lib/containers/storage/x: disk quota exceeded", "no space"),
        # Errors of algorithms, as torch 2.13 for CPU, torch for CUDA without a GPU, and torch on an old GPU raise them.
        ("RuntimeError: Cannot get CUDA generator without ATen_cuda library. PyTorch splits its", "gpu missing"),
        ("AssertionError: Torch not compiled with CUDA enabled", "gpu missing"),
        ("RuntimeError: No CUDA GPUs are available", "gpu missing"),
        ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "driver too old"),
        ("ValueError: expected 3 axes, got 2", None),
    ],
)
def test_what_engines_and_algorithms_say_themselves_is_named_too(words, kind):
    failure = diagnose_words(words)
    assert (failure and failure.kind) == kind


def test_an_engine_that_went_away_and_an_image_that_was_deleted_keep_the_run_and_can_be_repeated():
    for error in (engine_gone("docker", "('Connection aborted.', )"), image_missing("podman", "calm-n2v:cpu-1")):
        assert error.exit_code == errors.EngineFailed.exit_code == 6
        assert not isinstance(error, errors.BadInput)  # a refused job deletes its folder; these must not
        assert "same command" in error.hint
