"""How engines are called, as data: pure functions, so that a GPU can be asked for where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain import Image, Launch
from orchestrator.engines import docker, podman
from orchestrator.engines.apptainer import Host, exec_command, exec_environment
from orchestrator.engines.containers import stages_to_delete
from orchestrator.engines.settings import Flavour, container_settings, promises_of

IMAGE = Image(
    algorithm="n2v",
    variant="cpu",
    digest="d" * 64,
    lock=Path("/lock"),
    wheelhouse=Path("/wheels"),
    context=Path("/context"),
)
LAUNCH = Launch(
    image=IMAGE,
    arguments=("train", "/runs/1/train/job.json"),
    read_only=(Path("/data/a movie.tif"),),
    writable=Path("/runs/1"),
    environment={"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0,1"},
    memory_bytes=2**31,
)
GPU = replace(LAUNCH, device="cuda")
PLAIN = Flavour(name="docker", init=True)
HOST = Host(namespaces=True, fuse=True)


def _settings(launch, flavour):
    return container_settings(launch, flavour, uid=1000, gid=1001)


def test_a_container_gets_its_inputs_read_only_its_run_folder_and_nothing_else():
    settings = _settings(LAUNCH, PLAIN)
    mounts = [(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in settings["mounts"]]
    assert mounts == [("/data/a movie.tif", "/data/a movie.tif", True), ("/runs/1", "/runs/1", False)]
    assert settings["network_mode"] == "none"
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges"]
    assert settings["user"] == "1000:1001"
    assert settings["mem_limit"] == settings["memswap_limit"] == 2**31
    assert settings["environment"]["HOME"] == "/tmp"
    assert settings["device_requests"] == []
    assert "devices" not in settings
    assert "privileged" not in settings


def test_docker_hands_in_every_gpu_through_its_own_driver_and_the_variable_chooses():
    (request,) = _settings(GPU, PLAIN)["device_requests"]
    assert (request["Count"], request["Capabilities"]) == (-1, [["gpu"]])
    assert _settings(GPU, PLAIN)["environment"]["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_podman_hands_in_every_gpu_by_cdi():
    flavour = podman.flavour_of({}, {"nofile": 1024, "nproc": 512})
    (request,) = _settings(GPU, flavour)["device_requests"]
    assert (request["Driver"], request["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=all"])


@pytest.mark.parametrize(
    ("info", "cdi"),
    [
        ({"Runtimes": {"runc": {}}}, False),  # Docker 20.10 knows no CDI; the daemon itself then refuses the request
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, False),
        ({"Runtimes": {"runc": {}}, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}, True),
        ({"Runtimes": {"nvidia": {}}, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}, False),
        ({"Runtimes": None, "DiscoveredDevices": None}, False),
    ],
)
def test_docker_uses_cdi_where_only_that_is_there(info, cdi):
    assert docker.flavour_of(info).cdi is cdi


@pytest.mark.parametrize(
    ("hard", "expected"),
    [
        ({"nofile": 1024, "nproc": 512}, {"nofile": 1024, "nproc": 512}),
        ({"nofile": -1, "nproc": 96365}, {"nofile": 20000, "nproc": 32768}),  # Podman 4.3 refused nproc 64000
    ],
)
def test_podman_gets_limits_that_the_caller_may_set(hard, expected):
    flavour = podman.flavour_of({}, hard)
    assert flavour.ulimits == expected
    assert [(one["Name"], one["Hard"]) for one in _settings(LAUNCH, flavour)["ulimits"]] == list(expected.items())


def test_a_server_that_cannot_limit_is_not_asked_to_and_promises_nothing():
    flavour = podman.flavour_of({"MemoryLimit": False, "PidsLimit": False}, {"nofile": 1, "nproc": 1})
    assert not {"mem_limit", "memswap_limit", "pids_limit"} & set(_settings(LAUNCH, flavour))
    assert not promises_of(flavour)["memory_limit"]
    assert not promises_of(flavour)["pids_limit"]


@pytest.mark.parametrize(
    ("info", "user"),
    [
        ({"Rootless": True, "CgroupVersion": "1"}, "0:0"),  # as Podman 4.3 says it
        ({"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}, "0:0"),  # as Docker says it
        ({"Rootless": False, "SecurityOptions": ["name=seccomp,profile=default"]}, "1234:5678"),
        ({"SecurityOptions": None}, "1234:5678"),
    ],
)
def test_without_root_a_job_is_the_first_user_of_its_container_who_is_the_caller_outside(info, user):
    for flavour in (docker.flavour_of(info), podman.flavour_of(info, {"nofile": 1, "nproc": 1})):
        assert container_settings(LAUNCH, flavour, uid=1234, gid=5678)["user"] == user


def test_podman_without_root_promises_no_limits_on_the_first_version_of_cgroups():
    info = {"Rootless": True, "MemoryLimit": True, "PidsLimit": True}
    for version, kept in (("1", False), ("2", True)):
        flavour = podman.flavour_of(info | {"CgroupVersion": version}, {"nofile": 1, "nproc": 1})
        assert (promises_of(flavour)["memory_limit"], promises_of(flavour)["pids_limit"]) == (kept, kept)


def test_the_gigabytes_of_a_cuda_build_stage_go_at_once_and_others_serve_the_next_image_of_the_lock():
    assert "until" not in stages_to_delete(replace(IMAGE, variant="cuda"))
    assert stages_to_delete(IMAGE) == {"dangling": True, "label": "calm.stage=build", "until": "1h"}


def test_podmans_socket_is_looked_for_where_podman_puts_it():
    assert podman.addresses({"CONTAINER_HOST": "unix:///a"}, 0) == ("unix:///a",)
    assert podman.addresses({}, 0) == ("unix:///run/podman/podman.sock",)
    assert podman.addresses({"XDG_RUNTIME_DIR": "/x"}, 5) == ("unix:///x/podman/podman.sock",)
    assert podman.addresses({}, 5) == ("unix:///run/user/5/podman/podman.sock",)


def _command(launch=LAUNCH, host=HOST):
    return exec_command(launch, Path("/sif/n2v.sif"), Path("/scratch"), host)


def test_apptainer_gets_no_network_no_capabilities_and_a_home_of_its_own():
    command = _command()
    assert command[:2] == ["apptainer", "--silent"]
    options = command[command.index("exec") : command.index("/sif/n2v.sif")]
    isolation = {"--containall", "--cleanenv", "--no-eval", "--no-privs", "--userns", "--net"}
    assert isolation <= set(options)
    assert options[options.index("--network") + 1] == "none"
    assert options[options.index("--home") + 1] == "/scratch/home:/home/calm"
    assert "/data/a movie.tif:/data/a movie.tif:ro" in options
    assert "/runs/1:/runs/1" in options
    assert "--nv" not in options
    assert command[-3:] == ["/usr/local/bin/algorithm", "train", "/runs/1/train/job.json"]


def test_apptainer_hands_in_gpus_only_when_asked():
    assert "--nv" in _command(GPU)


def test_apptainer_keeps_the_hosts_network_where_namespaces_are_forbidden():
    command = _command(host=Host(namespaces=False, fuse=True))
    assert not {"--userns", "--net", "--network", "--hostname"} & set(command)


def test_apptainer_unpacks_the_sif_where_it_cannot_be_mounted():
    assert "--unsquash" in _command(host=Host(namespaces=True, fuse=False))
    assert "--unsquash" not in _command()


def test_apptainers_environment_carries_values_with_commas_and_nothing_of_the_callers_own_settings():
    """--env splits its value at commas, so CUDA_VISIBLE_DEVICES=0,1 would lose its second half."""
    caller = {"PATH": "/bin", "APPTAINER_BIND": "/secret", "SINGULARITYENV_X": "1", "APPTAINERENV_LD_PRELOAD": "x.so"}
    environment = exec_environment(LAUNCH, caller)
    assert environment == {
        "PATH": "/bin",
        "APPTAINERENV_CUDA_VISIBLE_DEVICES": "0,1",
        "APPTAINERENV_OMP_NUM_THREADS": "2",
        "APPTAINERENV_TMPDIR": "/tmp",
    }
