"""What the doctor reads, from texts as the programs and the kernel print them, and that it speaks of everything."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from orchestrator.algorithms.folders import load_algorithms
from orchestrator.cli import main
from orchestrator.doctor import checks as doctor
from orchestrator.doctor.known_faults import faults_of, faulty_locks, known_faults
from orchestrator.doctor.nvidia import ARCHITECTURES, CudaBuild, Gpu, cuda_build, misfit, read_gpus, runs_on
from orchestrator.doctor.old_images import leftovers
from orchestrator.engines.image import image_of
from orchestrator.engines.locks import read_lock
from orchestrator.engines.machine import processor_flags, subordinate_ids
from orchestrator.engines.sif import sif_path
from orchestrator.paths import layout

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
    ("driver", "capability", "cuda", "torch", "words"),
    [
        ("580.95.05", (9, 0), "13.0.96", "2.13.0", None),
        ("575.57.08", (9, 0), "13.0.96", "2.13.0", "CUDA 13 needs driver 580"),
        ("525.60.13", (9, 0), "12.8.90", "2.13.0", None),
        ("470.182.03", (8, 0), "12.8.90", "2.13.0", "CUDA 12 needs driver 525"),
        ("580.95.05", (7, 0), "13.0.96", "2.13.0", "no code for GPU 0 (GPU, compute capability 7.0)"),
        ("600.10", (13, 0), "13.0.96", "2.13.0", "no code for GPU 0 (GPU, compute capability 13.0)"),
        ("580.95.05", None, "13.0.96", "2.13.0", None),
        ("580.95.05", (7, 0), "13.0.96", "0.1", None),
        ("580.95.05", (9, 0), "14.0.1", "2.13.0", None),
    ],
)
def test_a_driver_or_gpu_that_does_not_fit_is_named(driver, capability, cuda, torch, words):
    gpu = Gpu(index=0, name="GPU", driver=driver, memory_bytes=GIB, capability=capability)
    found = misfit(gpu, CudaBuild(cuda=cuda, torch=torch))
    assert found is None if words is None else words in found


@pytest.mark.parametrize(
    ("architectures", "fitting", "others"),
    [
        # Machine code runs on GPUs of its major version from its minor version on.
        (("sm_75", "sm_86"), [(7, 5), (8, 6), (8, 9)], [(6, 1), (7, 0), (8, 0), (9, 0), (12, 0)]),
        # PTX is compiled by the driver for whatever is as new or newer.
        (("sm_80", "compute_90"), [(8, 0), (8, 9), (9, 0), (10, 3), (13, 0)], [(7, 5)]),
        ((), [], [(9, 0)]),
    ],
)
def test_machine_code_runs_within_its_generation_and_ptx_on_all_that_follow(architectures, fitting, others):
    """The rules of the CUDA programming guide, section on application compatibility."""
    assert [one for one in (*fitting, *others) if runs_on(one, architectures)] == fitting


def test_it_is_known_which_gpus_the_torch_of_every_cuda_lock_is_compiled_for():
    """Who pins another torch asks its wheel: torch.cuda.get_arch_list(); compute capability 9.0 is that of H100."""
    locks = sorted(layout().containers.glob("*/requirements*-cuda.lock"))
    builds = {lock.parent.name: cuda_build({pin.name: pin.version for pin in read_lock(lock)}) for lock in locks}
    torch = {"cellmincer", "deepcad", "hdn", "n2n", "n2v"}
    assert torch == {name for name, build in builds.items() if build and build.torch}
    for build in (builds[name] for name in torch):
        assert runs_on((9, 0), ARCHITECTURES[build.torch])


def test_the_first_processor_tells_the_instruction_sets():
    text = "processor\t: 0\nflags\t\t: fpu sse4_2 avx2\nbugs\t\t: none\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    assert processor_flags(text) == {"fpu", "sse4_2", "avx2"}
    assert processor_flags("processor : 0\n") == set()


def test_subordinate_ids_are_summed_by_name_and_number():
    text = "ana:100000:65536\nbob:165536:65536\n1000:300000:1000\nbroken\n"
    assert subordinate_ids(text, "ana", 1000) == 66536
    assert subordinate_ids(text, "bob", 1001) == 65536
    assert subordinate_ids("", "ana", 1000) == 0


@pytest.mark.slow
def test_the_doctor_looks_at_everything_and_says_what_to_do_where_something_is_wrong():
    done = CliRunner().invoke(main, ["doctor", "--json"])
    findings = json.loads(done.stdout)
    assert [finding["check"] for finding in findings] == [
        "python", "docker", "podman", "apptainer", "venv", "user ids", "namespaces", "processor", "memory",
        "shared memory", "disk", "old images", "clock", "gpu", "cuda", "cdi", "known faults",
    ]  # fmt: skip
    assert [one["check"] for one in findings if one["severity"] in {"error", "warning"} and not one["remedy"]] == []
    assert done.exit_code == int(any(finding["severity"] == "error" for finding in findings))


def _findings(where):
    return {finding.check: finding for finding in doctor.examine(where)}


@pytest.fixture
def no_server(tmp_path, monkeypatch):
    """Name sockets that nobody serves."""
    for name in ("DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.setenv(name, f"unix://{tmp_path}/none.sock")


@pytest.fixture
def gpu_machine(tmp_path, monkeypatch, no_server):  # noqa: ARG001 - fixtures are asked for by name
    """Return a function that makes this a machine with a GPU whose nvidia-smi prints a text, or is not there."""
    monkeypatch.setattr(doctor, "gpus", lambda: ("/dev/nvidia0",))
    monkeypatch.setattr(doctor, "_CDI_FOLDERS", (str(tmp_path / "cdi"),))
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def made(printed, code=0):
        if printed is not None:
            program = programs / "nvidia-smi"
            program.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\nexit {code}\n")
            program.chmod(0o755)
        return _findings(layout())

    return made


@pytest.mark.parametrize(
    ("printed", "code", "severities", "words"),
    [
        ("0, NVIDIA H200, 580.95.05, 143771, 9.0", 0, ("ok", "ok"), "CUDA 13.0.96 with torch 2.13.0 for sm_75 sm_80"),
        ("0, NVIDIA A40, 580.95.05, 46068, 8.6", 0, ("ok", "ok"), "n2n, n2n@study, n2v, n2v@study"),
        # sm_86 runs on 8.9, sm_120 on 12.1.
        (
            "0, NVIDIA RTX 5880 Ada Generation, 580.95.05, 49140, 8.9\n1, NVIDIA GB10, 580.95.05, [N/A], 12.1",
            0, ("ok", "ok"), "sm_90 sm_100 sm_120: cellmincer",
        ),
        ("0, NVIDIA H200, 570.86.15, 143771, 9.0", 0, ("ok", "warning"), "CUDA 13 needs driver 580"),
        (
            "0, NVIDIA GeForce GTX 1080 Ti, 580.95.05, 11264, 6.1",
            0, ("ok", "warning"), "no code for GPU 0 (NVIDIA GeForce GTX 1080 Ti, compute capability 6.1)",
        ),
        (
            "0, NVIDIA H200, 600.10, 143771, 9.0\n1, Successor, 600.10, 500000, 13.0",
            0, ("ok", "warning"), "no code for GPU 1 (Successor, compute capability 13.0)",
        ),
        ("No devices were found", 6, ("warning", "warning"), "no driver answers"),
        (None, 0, ("warning", "warning"), "no driver answers"),
    ],
)  # fmt: skip
def test_gpu_and_driver_are_compared_with_the_cuda_of_the_locks(gpu_machine, printed, code, severities, words):
    """The locks hold CUDA 13.0 and torch 2.13.0; what nvidia-smi cannot tell is never called well."""
    found = gpu_machine(printed, code)
    assert (found["gpu"].severity, found["cuda"].severity) == severities
    assert words in found["cuda"].message
    assert all(one.remedy for one in (found["gpu"], found["cuda"]) if one.severity == "warning")


def test_a_gpu_without_a_cdi_specification_has_the_command_that_makes_one(gpu_machine, tmp_path):
    without = gpu_machine("0, NVIDIA H200, 580.95.05, 143771, 9.0")["cdi"]
    assert (without.severity, without.remedy.partition(": ")[2].partition(" --")[0]) == (
        "warning",
        "nvidia-ctk cdi generate",
    )
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi" / "nvidia.yaml").touch()
    assert gpu_machine(None)["cdi"].severity == "ok"


@pytest.mark.usefixtures("no_server")
def test_a_small_old_or_closed_machine_is_told_what_to_do(monkeypatch, tmp_path):
    """Each number is one below what is asked for; the processor is one before x86-64-v2."""
    texts = {"/proc/cpuinfo": "flags\t: fpu sse4_1 ssse3\n"}
    monkeypatch.setattr(doctor, "_text", lambda path: texts.get(path, ""))
    monkeypatch.setattr(doctor, "allows_user_namespaces", lambda: False)
    monkeypatch.setattr(doctor.os, "sysconf", lambda name: 1 if name == "SC_PAGE_SIZE" else 4 * GIB - 1)
    space = SimpleNamespace(free=5 * 10**9 - 1, total=2**26 - 1)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: space)
    monkeypatch.setattr(doctor.os, "getuid", lambda: 2**31 - 7)  # nobody's
    monkeypatch.setattr(doctor.time, "time", lambda: 0.0)
    found = _findings(replace(layout(), home=tmp_path))
    severities = {
        "disk": "error", "processor": "error", "memory": "warning", "shared memory": "warning", "clock": "warning",
        "namespaces": "note", "user ids": "note", "docker": "note", "podman": "note",
    }  # fmt: skip
    assert {name: found[name].severity for name in severities} == severities
    assert [name for name in severities if not found[name].remedy] == []
    assert "cx16, popcnt, sse4_2" in found["processor"].message


@pytest.mark.usefixtures("no_server")
def test_a_user_without_enough_subordinate_ids_is_told_the_command(monkeypatch):
    monkeypatch.setattr(doctor.os, "getuid", lambda: 1)  # daemon, on every Debian
    monkeypatch.setattr(doctor, "_text", lambda _: "daemon:100000:65535\n")
    found = _findings(layout())["user ids"]
    assert found.severity == "note"
    assert found.remedy.endswith("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 daemon")


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


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("torch==2.9.1+cpu", "3D convolutions in bfloat16 and float16 run without cuDNN"),
        ("nvidia-cudnn-cu12==9.10.2.21", "3D convolutions in bfloat16 give wrong results"),
        ("torch==2.13.0", None),
        ("nvidia-cudnn-cu13==9.20.0.48", None),
    ],
)
def test_a_lock_with_a_release_of_known_faults_is_named(tmp_path, line, expected):
    lock = tmp_path / "requirements-cuda.lock"
    lock.write_text(f"{line} --hash=sha256:{'0' * 64}\n")
    found = list(faults_of(read_lock(lock), known_faults(layout().containers)))
    assert [expected is not None and expected in sentence for sentence in found] == ([True] if expected else [])


def test_no_lock_of_this_repository_holds_a_release_with_a_known_fault():
    assert faulty_locks(layout().containers) == {}
