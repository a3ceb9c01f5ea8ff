"""Bad input: exit code 2 (4 for a missing device), what, where, expected, got, a hint, and nothing written."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess

import numpy as np
import pytest
import tifffile

from orchestrator.data.checksums import Checksums
from orchestrator.data.inspect import Inspector
from orchestrator.data.stacks import make_stacks
from orchestrator.engines.hardware import gpus
from orchestrator.records.record import Choice

MOVIE = np.random.default_rng(0).poisson(100, (20, 32, 40)).astype(np.uint16)


def _refused(calm, done, *sentences, code=2):
    """Check the exit code, the form of the message, and that no run was started."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-2].startswith("Error: "), done.stderr
    assert lines[-1].startswith("Hint: ")
    assert "Traceback" not in done.stderr
    for sentence in sentences:
        assert sentence in done.stderr
    assert not calm.outputs.exists() or not any(calm.outputs.rglob("*")), sorted(calm.outputs.rglob("*"))


def _nan(path):
    movie = MOVIE.astype(np.float32)
    movie[7, 3, 3] = np.nan
    tifffile.imwrite(path, movie)


def _truncated(path):
    tifffile.imwrite(path, MOVIE)
    path.write_bytes(path.read_bytes()[:20000])


BAD_FILES = {
    "missing": (lambda _: None, "got nothing"),
    "empty": (lambda path: path.touch(), "got an empty file"),
    "truncated": (_truncated, "truncated"),
    "no TIFF": (lambda path: path.write_text("hello"), "cannot be read"),
    "RGB": (lambda path: tifffile.imwrite(path, np.zeros((40, 50, 3), np.uint8), photometric="rgb"), "colour image"),
    "4-D": (lambda path: tifffile.imwrite(path, np.zeros((3, 4, 32, 32), "u2"), photometric="minisblack"), "one axis"),
    "NaN": (_nan, "NaN or infinity in frame 7"),
    "one frame": (lambda path: tifffile.imwrite(path, MOVIE[0]), "at least 2 frames"),
    "tiny frames": (lambda path: tifffile.imwrite(path, MOVIE[:, :8, :8]), "at least 11 pixels"),
    "float64": (lambda path: tifffile.imwrite(path, MOVIE / 3), "expected values that float32 can hold"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_no_movie_is_refused(calm, tmp_path, kind):
    make, sentence = BAD_FILES[kind]
    make(tmp_path / "bad.tif")
    _refused(calm, calm("run", "mean", "--input", tmp_path / "bad.tif", "--engine", "venv"), sentence, "bad.tif")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--param", "windw=3"], "got windw"),
        (["--param", "window=1000"], "expected an odd number from 1 to 999, got 1000"),
        (["--param", "window=many"], "expected int, got 'many'"),
        (["--param", "window={a"], "expected int, got '{a'"),
        (["--param", "window"], "expected NAME=VALUE"),
        (["--preset", "best"], "expected a preset of"),
        (["--data", "demo"], "got both"),
        (["--axes", "TZYX"], "expected 3 axes"),
        (
            ["--earlier", "/nowhere/prior.tif"],
            "mean: expected no earlier result, as it uses none, got /nowhere/prior.tif",
        ),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(calm, movie, arguments, sentence):
    _refused(calm, calm("run", "mean", "--input", movie, "--engine", "venv", *arguments), sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--earlier", "/nowhere/prior.tif"], "prior.tif: expected a prediction or a noise model, got no such file"),
        (["--earlier", "/no:where/prior.tif"], "container engines cannot mount"),
        (
            ["--param", "noise_model=gmm"],
            "hdn: expected an earlier result, which it needs with noise_model=gmm, got none",
        ),
    ],
)
def test_a_prior_that_cannot_be_used_or_is_missing_is_refused_before_anything_is_built(
    calm, movie, tmp_path, arguments, sentence
):
    home = tmp_path / "home"  # with no environment in it
    done = calm("run", "hdn", "--input", movie, "--engine", "venv", *arguments, CALM_HOME=str(home))
    _refused(calm, done, sentence)
    assert not (home / "environments").exists()


@pytest.mark.parametrize("name", ["n2v", "n2v@study", "n2n", "deepcad"])
def test_an_algorithm_that_uses_no_prior_refuses_one(calm, movie, name):
    done = calm("run", name, "--input", movie, "--engine", "venv", "--earlier", movie)
    _refused(calm, done, f"{name.partition('@')[0]}: expected no earlier result, as it uses none, got {movie}")


@pytest.mark.parametrize(
    "arguments",
    [["--frame-rate", "nan"], ["--frame-rate", "inf"], ["--frame-rate", "0"], ["--memory", "nan"], ["--threads", "0"]],
    ids=" ".join,
)
def test_a_number_that_is_out_of_range_is_refused(calm, movie, arguments):
    done = calm("run", "mean", "--input", movie, "--engine", "venv", *arguments)
    assert done.returncode == 2
    assert f"Error: Invalid value for '{arguments[0]}'" in done.stderr
    assert arguments[1] in done.stderr
    assert not calm.outputs.exists()


def test_axes_may_be_written_in_small_letters(calm, tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", MOVIE[0])
    done = calm("run", "identity", "--input", tmp_path / "image.tif", "--engine", "venv", "--axes", "yx")
    assert done.returncode == 0, done.stderr


def test_a_parameter_of_the_wrong_form_leaves_nothing_either(calm, movie):
    done = calm("run", "mean", "--input", movie, "--engine", "venv", "--param", "window=4")
    _refused(calm, done, "expected an odd number from 1 to 999, got 4")
    assert not calm.outputs.exists()


def test_frames_smaller_than_the_patch_are_refused_and_leave_nothing(calm, movie):
    done = calm("run", "n2v", "--input", movie, "--engine", "venv", "--preset", "quick")
    _refused(calm, done, "movie.tif: expected at least 64 rows, the size of a patch, got 32")


def test_a_frame_that_cannot_be_decoded_is_named_and_leaves_nothing(calm, tmp_path):
    path = tmp_path / "damaged.tif"
    tifffile.imwrite(path, MOVIE, compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[9]
        start, count = page.dataoffsets[0], page.databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start + 20 : start + count - 20] = b"U" * (count - 40)
    path.write_bytes(content)
    _refused(calm, calm("run", "mean", "--input", path, "--engine", "venv"), "damaged.tif: frame 9 cannot be decoded")


@pytest.mark.parametrize("name", ["a,b.tif", "a:b.tif"])
def test_a_path_that_an_engine_cannot_mount_is_refused(calm, movie, tmp_path, name):
    shutil.copy(movie, tmp_path / name)
    _refused(
        calm, calm("run", "mean", "--input", tmp_path / name, "--engine", "venv"), "container engines cannot mount"
    )


def test_an_unknown_algorithm_dataset_or_engine_is_refused(calm, movie):
    _refused(calm, calm("run", "magic", "--input", movie), "expected an algorithm of", "got magic")
    _refused(calm, calm("run", "mean", "--data", "nothing"), "expected a dataset of", "got nothing")
    done = calm("run", "mean", "--input", movie, "--engine", "rocket")
    assert done.returncode == 2
    assert "rocket" in done.stderr


def test_a_dataset_with_other_bytes_than_the_manifest_says_is_refused(calm):
    assert calm("data", "simulate", "demo").returncode == 0
    path = calm.data / "demo" / "train" / "demo_train.tif"
    content = bytearray(path.read_bytes())
    content[100_000] ^= 0xFF  # one pixel
    path.write_bytes(content)
    done = calm("run", "mean", "--data", "demo", "--engine", "venv")
    _refused(calm, done, "demo_train.tif: expected sha256:b42d340831c7", "got sha256:")
    assert "calm data verify demo" in done.stderr
    assert calm("data", "verify", "demo").returncode == 2
    assert calm("data", "fetch", "demo").returncode == 0  # which replaces it
    assert calm("data", "verify", "demo").returncode == 0


def test_a_restricted_dataset_that_is_not_here_says_where_its_files_belong(calm):
    _refused(calm, calm("run", "mean", "--data", "refined"), str(calm.data / "refined"))


def test_a_daemon_that_does_not_answer_is_named(calm, movie):
    done = calm("run", "mean", "--input", movie, "--engine", "docker", DOCKER_HOST="unix:///nowhere.sock")
    _refused(calm, done, "expected a daemon that answers at unix:///nowhere.sock")


@pytest.mark.parametrize("engine", ["docker", "podman", "apptainer"])
def test_an_engine_that_is_not_installed_is_named(calm, movie, tmp_path, engine):
    nowhere = dict.fromkeys(("DOCKER_HOST", "CONTAINER_HOST"), f"unix://{tmp_path}/none.sock")
    done = calm("run", "mean", "--input", movie, "--engine", engine, PATH=str(tmp_path), **nowhere)
    _refused(calm, done, f"{engine}: expected")


@pytest.mark.skipif(bool(gpus()), reason="this machine has a GPU")
def test_device_cuda_without_a_gpu_is_exit_code_4_and_never_the_cpu(calm, movie):
    _refused(calm, calm("run", "n2v", "--input", movie, "--device", "cuda"), "no NVIDIA GPU device", code=4)


def test_an_output_folder_that_cannot_be_written_is_refused_before_anything_is_built(calm, movie, tmp_path):
    target = tmp_path / "readonly"
    target.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", target], capture_output=True, check=False)
    if mounted.returncode != 0:
        target.chmod(0o555)
        if os.access(target, os.W_OK):
            pytest.skip("this user can write anywhere and may not mount")
    try:
        done = calm("run", "mean", "--input", movie, "--engine", "venv", CALM_OUTPUTS=str(target / "outputs"))
        _refused(calm, done, "expected a folder that can be written to")
    finally:
        subprocess.run(["umount", target], capture_output=True, check=False)


def test_a_disk_too_small_for_the_predictions_is_refused_with_both_sizes(calm, movie, tmp_path):
    target = tmp_path / "small"
    target.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", target], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small disk")
    try:
        done = calm("run", "mean", "--input", movie, "--engine", "venv", CALM_OUTPUTS=str(target / "outputs"))
        _refused(calm, done, "of free disk for this run")
    finally:
        subprocess.run(["umount", target], check=False)


def _inspector(folder):
    return Inspector(stacks=folder / "stacks", checksums=Checksums(folder / "checksums.json"))


@pytest.mark.parametrize(("compression", "copy_bytes"), [(None, 0), ("zlib", 20 * 32 * 40 * 2)])
def test_the_stack_of_a_compressed_movie_counts_as_disk_until_it_is_made(tmp_path, compression, copy_bytes):
    tifffile.imwrite(tmp_path / "movie.tif", MOVIE, compression=compression)
    recording = _inspector(tmp_path).describe(tmp_path / "movie.tif", Choice())
    assert recording.copy_bytes == copy_bytes
    make_stacks([recording], lambda _: None)
    assert recording.copy_bytes == 0


def test_the_pixels_of_a_float_movie_are_scanned_once_for_each_content(tmp_path, monkeypatch):
    path = tmp_path / "movie.tif"
    _nan(path)
    assert _inspector(tmp_path).describe(path, Choice()).gap_frame == 7
    tifffile.imwrite(path, MOVIE.astype(np.float32))
    _inspector(tmp_path).describe(path, Choice())
    with monkeypatch.context() as context:
        context.setattr("orchestrator.data.inspect.values_of", lambda *_: pytest.fail("scanned again"))
        _inspector(tmp_path).describe(path, Choice())
    _nan(path)
    assert _inspector(tmp_path).describe(path, Choice()).gap_frame == 7


def test_a_control_that_another_process_runs_is_waited_for_and_used(calm, movie):
    command = ("run", "identity", "--input", movie, "--engine", "venv")
    assert calm(*command).returncode == 0
    folder = calm.run_folder("identity-movie-default")
    record = (folder / "run.json").read_bytes()
    (folder / "run.json").unlink()  # as if the other process were still at work
    with folder.with_name(f".{folder.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = subprocess.Popen(calm.command(*command), stderr=subprocess.PIPE, text=True, env=calm.environment())
        said = next(line for line in second.stderr if "waiting" in line)
        (folder / "run.json").write_bytes(record)
    second.communicate()
    assert "identity: waiting for another process" in said
    assert second.returncode == 0
    assert (folder / "run.json").read_bytes() == record
