"""What the doctor reads, from texts as the programs and the kernel print them, and that it speaks of everything."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.engines.sif import sif_path
from orchestrator.images import image_of
from orchestrator.layout import layout
from orchestrator.leftovers import leftovers
from orchestrator.load import load_algorithms
from orchestrator.machine import processor_flags, subordinate_ids
from orchestrator.nvidia import Gpu, misfit, read_gpus

GIB = 2**30
H200 = Gpu(index=0, name="NVIDIA H200", driver="580.95.05", memory_bytes=143771 * 2**20, capability=(9, 0))


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("0, NVIDIA H200, 580.95.05, 143771, 9.0\n", (H200,)),
        (
            "0, NVIDIA TITAN V, 570.86.15, 12288, 7.0\n1, NVIDIA RTX 5880 Ada Generation, 570.86.15, 49140, 8.9\n",
            (
                Gpu(index=0, name="NVIDIA TITAN V", driver="570.86.15", memory_bytes=12 * GIB, capability=(7, 0)),
                Gpu(
                    index=1,
                    name="NVIDIA RTX 5880 Ada Generation",
                    driver="570.86.15",
                    memory_bytes=49140 * 2**20,
                    capability=(8, 9),
                ),
            ),
        ),
        # A GPU that shares the memory of the machine has no size of its own.
        (
            "0, NVIDIA GB10, 580.95.05, [N/A], 12.1\n",
            (Gpu(index=0, name="NVIDIA GB10", driver="580.95.05", memory_bytes=None, capability=(12, 1)),),
        ),
        # Older drivers say so in other words.
        (
            "0, Tesla K80, 470.182.03, 11441, [Not Supported]\n",
            (Gpu(index=0, name="Tesla K80", driver="470.182.03", memory_bytes=11441 * 2**20, capability=None),),
        ),
        ("No devices were found\n", ()),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", ()),
        ('Field "compute_cap" is not a valid field to query.\n', ()),
        ("", ()),
    ],
)
def test_every_gpu_that_nvidia_smi_prints_is_read(printed, expected):
    assert read_gpus(printed) == expected


@pytest.mark.parametrize(
    ("driver", "capability", "cuda", "words"),
    [
        ("580.95.05", (9, 0), "13.0.96", None),
        ("575.57.08", (9, 0), "13.0.96", "CUDA 13 needs driver 580"),
        ("525.60.13", (9, 0), "12.8.90", None),
        ("470.182.03", (8, 0), "12.8.90", "CUDA 12 needs driver 525"),
        ("580.95.05", (7, 0), "13.0.96", "no code for compute capability 7.0"),
        ("580.95.05", (7, 0), "12.8.90", None),
        ("580.95.05", None, "13.0.96", None),
        ("580.95.05", (9, 0), "14.0.1", None),
    ],
)
def test_a_driver_or_gpu_that_does_not_fit_is_named(driver, capability, cuda, words):
    gpu = Gpu(index=0, name="GPU", driver=driver, memory_bytes=GIB, capability=capability)
    found = misfit(gpu, cuda)
    assert found is None if words is None else words in found


def test_the_first_processor_tells_the_instruction_sets():
    text = "processor\t: 0\nflags\t\t: fpu sse4_2 avx2\nbugs\t\t: none\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    assert processor_flags(text) == {"fpu", "sse4_2", "avx2"}
    assert processor_flags("processor : 0\n") == set()


def test_subordinate_ids_are_summed_by_name_and_number():
    text = "ana:100000:65536\nbob:165536:65536\n1000:300000:1000\nbroken\n"
    assert subordinate_ids(text, "ana", 1000) == 66536
    assert subordinate_ids(text, "bob", 1001) == 65536
    assert subordinate_ids("", "ana", 1000) == 0


def test_the_doctor_looks_at_everything_and_says_what_to_do_where_something_is_wrong():
    done = CliRunner().invoke(main, ["doctor", "--json"])
    findings = json.loads(done.stdout)
    assert [finding["check"] for finding in findings] == [
        "python", "docker", "podman", "apptainer", "venv", "user ids", "namespaces", "processor", "memory",
        "shared memory", "disk", "old images", "clock", "gpu", "cuda", "cdi",
    ]  # fmt: skip
    assert [one["check"] for one in findings if one["severity"] in {"error", "warning"} and not one["remedy"]] == []
    assert done.exit_code == int(any(finding["severity"] == "error" for finding in findings))


@pytest.fixture
def no_server(tmp_path, monkeypatch):
    """Name sockets that nobody serves."""
    for name in ("DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.setenv(name, f"unix://{tmp_path}/none.sock")


@pytest.mark.usefixtures("no_server")
def test_a_sif_of_another_version_is_old_and_that_of_this_one_is_not(tmp_path):
    where = replace(layout(), home=tmp_path / "a home")
    now = sif_path(where.sifs, image_of(load_algorithms(where.containers)["identity"], "cpu", where))
    old = now.with_name("identity-cpu-000000000000.sif")
    where.sifs.mkdir(parents=True)
    now.touch()
    assert leftovers(where) == ()
    old.touch()
    (found,) = leftovers(where)
    assert (found.engine, found.names, found.command) == ("apptainer", (str(old),), f"rm '{old}'")
