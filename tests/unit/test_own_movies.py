"""Commands on a user's own movies, on tiny movies and with controls, which need no training."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

ENGINE = ("--engine", "venv", "--threads", 1)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two small movies, and a file that is none."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for seed, name in enumerate(("a.tif", "b.tiff")):
        frames = np.random.default_rng(seed).poisson(50, (12, 24, 24)).astype(np.uint16)
        tifffile.imwrite(folder / name, frames)
    (folder / "notes.txt").write_text("no movie")
    return folder


def test_denoise_says_costs_first_and_ends_with_the_lights_and_the_path_of_the_denoised_movie(calm, movie, tmp_path):
    target = tmp_path / "new" / "denoised.tif"
    done = calm("denoise", movie, "--algorithm", "mean", "-o", target, *ENGINE)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "One movie: it is trained on itself."
    assert lines[1].split() == ["experiment", "algorithm", "seed", "jobs", "state", "time", "memory", "disk"]
    assert lines[-1] == f"Denoised: {target}"
    assert all(f"{topic}:" in done.stdout for topic in ("amplitude", "time", "invented structure"))
    run = calm.run_folder("mean-movie-default")
    assert target.read_bytes() == (run / "predictions" / "train" / "movie.tif").read_bytes()


def test_denoise_writes_its_own_file_again_and_refuses_one_that_was_changed(calm, movie, tmp_path):
    target = tmp_path / "denoised.tif"
    arguments = ("denoise", movie, "-o", target, *ENGINE)
    assert calm(*arguments, "--algorithm", "mean").returncode == 0
    first = target.read_bytes()
    assert calm(*arguments, "--algorithm", "identity").returncode == 0
    assert target.read_bytes() != first
    target.write_bytes(first)
    done = calm(*arguments, "--algorithm", "identity")
    assert done.returncode == 2
    assert f"Error: {target}: expected no file, or one as calm wrote it, got another one" in done.stderr
    assert target.read_bytes() == first


def test_denoise_never_writes_over_the_movie_itself(calm, movie):
    before = movie.read_bytes()
    assert calm("denoise", movie, "--algorithm", "mean", "-o", movie.parent, *ENGINE).returncode == 2
    assert movie.read_bytes() == before
    assert not calm.outputs.exists()


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("/dev/null", "expected a file named .tif or .tiff, or a folder"),
        ("denoised.avi", "expected a name that ends in .tif or .tiff, or a folder, got denoised.avi"),
        ("movie.tif/denoised.tif", "got the file"),
    ],
)
def test_denoise_refuses_an_output_that_is_no_place_for_a_movie_before_it_starts(calm, movie, output, told):
    done = calm("denoise", movie, "--algorithm", "mean", "-o", movie.parent / output, *ENGINE)
    assert done.returncode == 2
    assert told in done.stderr
    assert not calm.outputs.exists()


def test_a_folder_gives_a_run_for_each_movie_and_a_line_for_each_in_one_table(calm, folder, tmp_path):
    done = calm("denoise", folder, "--algorithm", "mean", "-o", tmp_path / "denoised", *ENGINE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 movies, each trained on itself; --together trains once on all.\n")
    assert [line.split()[0] for line in done.stdout.splitlines()[-3:]] == ["movie", "a.tif", "b.tiff"]
    assert {path.name for path in calm.outputs.glob("mean-*")} == {"mean-a-default", "mean-b-default"}
    assert {path.name for path in (tmp_path / "denoised").iterdir()} == {"a.tif", "b.tiff"}


def test_movies_together_are_one_run(calm, folder, tmp_path):
    done = calm("denoise", folder, "--algorithm", "mean", "--together", "-o", tmp_path / "denoised", *ENGINE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 movies together: one training sees them all.\n")
    run = calm.run_folder("mean-a-default")
    assert {path.name for path in (run / "predictions" / "train").iterdir()} == {"a.tif", "b.tiff"}


def test_a_folder_without_movies_and_a_file_for_several_are_refused(calm, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    done = calm("denoise", tmp_path / "empty", *ENGINE)
    assert (done.returncode, "with files named .tif or .tiff, got none" in done.stderr) == (2, True)
    done = calm("denoise", folder, "-o", tmp_path / "one.tif", *ENGINE)
    assert (done.returncode, "-o: expected a folder for 2 movies" in done.stderr) == (2, True)
