"""Commands on a user's own movies, on tiny movies and with controls, which need no training."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
import tifffile
from command import CalmHere

from orchestrator.cli.work import Work, run_works
from orchestrator.errors import BadInput

FRAMES = np.random.default_rng(0).poisson(100, (20, 32, 40)).astype(np.uint16)
ENGINE = ("--engine", "venv", "--threads", 1)


@pytest.fixture
def here(tmp_path):
    """Return the command for what starts no job, so that it is not called slow."""
    return CalmHere(outputs=tmp_path / "outputs", data=tmp_path / "data")


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


def test_denoise_never_writes_over_the_movie_itself(here, movie):
    before = movie.read_bytes()
    assert here("denoise", movie, "--algorithm", "mean", "-o", movie.parent, *ENGINE).returncode == 2
    assert movie.read_bytes() == before
    assert not here.outputs.exists()


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("/dev/null", "expected a file named .tif or .tiff, or a folder"),
        ("denoised.avi", "expected a name that ends in .tif or .tiff, or a folder, got denoised.avi"),
        ("movie.tif/denoised.tif", "got the file"),
    ],
)
def test_denoise_refuses_an_output_that_is_no_place_for_a_movie_before_it_starts(here, movie, output, told):
    done = here("denoise", movie, "--algorithm", "mean", "-o", movie.parent / output, *ENGINE)
    assert done.returncode == 2
    assert told in done.stderr
    assert not here.outputs.exists()


def test_every_movie_gets_a_run_and_a_line_in_one_table(calm, folder, tmp_path):
    done = calm(
        "denoise", folder / "a.tif", folder / "b.tiff", "--algorithm", "mean", "-o", tmp_path / "denoised", *ENGINE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 movies, each trained on itself; --together trains once on all")
    assert [line.split()[0] for line in done.stdout.splitlines()[-3:]] == ["movie", "a.tif", "b.tiff"]
    assert {path.name for path in calm.outputs.glob("mean-*")} == {"mean-a-default", "mean-b-default"}
    assert {path.name for path in (tmp_path / "denoised").iterdir()} == {"a.tif", "b.tiff"}


def test_movies_together_are_one_run(calm, folder, tmp_path):
    movies = (folder / "a.tif", folder / "b.tiff")
    done = calm("denoise", *movies, "--algorithm", "mean", "--together", "-o", tmp_path / "denoised", *ENGINE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 movies together: one training sees them all.\n")
    run = calm.run_folder("mean-a-default")
    assert {path.name for path in (run / "predictions" / "train").iterdir()} == {"a.tif", "b.tiff"}


def test_a_file_for_several_movies_is_refused(here, folder, tmp_path):
    done = here("denoise", folder / "a.tif", folder / "b.tiff", "-o", tmp_path / "one.tif", *ENGINE)
    assert (done.returncode, "-o: expected a folder for 2 movies" in done.stderr) == (2, True)


def test_five_files_of_a_folder_are_five_runs_and_what_is_no_movie_is_left_alone(calm, tmp_path):
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for seed in range(5):
        frames = np.random.default_rng(seed).poisson(50, (12, 24, 24)).astype(np.uint16)
        tifffile.imwrite(recordings / f"mouse{seed}.tif", frames)
    (recordings / "notes.txt").write_text("no movie")
    done = calm("denoise", recordings, "--algorithm", "identity", "-o", tmp_path / "denoised", *ENGINE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 movies, each trained on itself")
    assert len(list(calm.outputs.glob("identity-mouse*-default/*/run.json"))) == 5
    for seed in range(5):
        name = f"mouse{seed}.tif"
        assert np.array_equal(tifffile.imread(tmp_path / "denoised" / name), tifffile.imread(recordings / name))


def test_several_algorithms_and_seeds_are_a_run_and_a_line_each_with_controls_once(calm, movie, tmp_path):
    done = calm(
        *("denoise", movie, "--algorithm", "identity,mean", "--seed", "1,2", "-o", tmp_path / "denoised", *ENGINE)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("One movie: it is trained on itself; 4 trainings in all.\n")
    labels = [f"{name}-seed{seed}" for name in ("identity", "mean") for seed in (1, 2)]
    assert [line.split()[1] for line in done.stdout.splitlines()[-4:]] == labels
    assert {path.name for path in (tmp_path / "denoised").iterdir()} == {f"movie-{one}.tif" for one in labels}
    assert len(list(calm.outputs.glob("svd-movie-default/*/run.json"))) == 1


def test_a_run_that_fails_leaves_the_others_alone():
    def run(plan):
        if plan.experiment == "short":
            msg = "too short"
            raise BadInput(msg, "Give more frames.")
        return SimpleNamespace(run=plan.experiment)

    plans = [SimpleNamespace(experiment=name) for name in ("short", "long")]
    source = SimpleNamespace(movies=())
    works = [Work(source=source, plans=(plan,), label="one", targets={}) for plan in plans]
    done = list(run_works(works, SimpleNamespace(run=run)))
    assert [(one.run, one.error and one.error.message) for one in done] == [(None, "too short"), ("long", None)]
    with pytest.raises(BadInput):  # alone, it is the error of the command
        list(run_works(works[:1], SimpleNamespace(run=run)))


def test_of_several_movies_one_that_is_none_and_one_whose_run_fails_are_a_line_each(calm, folder, tmp_path):
    (folder / "c.tif").write_text("no movie")
    calm.outputs.mkdir()
    (calm.outputs / "identity-b-default").write_text("in the way of the run")
    done = calm("denoise", folder, "--algorithm", "identity", "-o", tmp_path / "denoised", *ENGINE)
    assert done.returncode == 2
    assert "Warning: c.tif is left out: " in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()[-4:]]
    assert [line[0] for line in lines] == ["movie", "a.tif", "b.tiff", "c.tif"]
    assert (lines[2][2], lines[3][1:]) == ("failed", ["left", "out"])
    assert {path.name for path in (tmp_path / "denoised").iterdir()} == {"a.tif"}
    reasons = done.stderr.splitlines()[-4:]
    assert reasons[0].startswith("c.tif: ")
    assert reasons[1].startswith("b.tiff, identity: ")
    assert reasons[2] == "Error: 2 of 3 runs did not end well; the reasons are above"


def test_an_algorithm_that_cannot_use_a_movie_leaves_the_others_to_it(calm, movie, tmp_path):
    done = calm("denoise", movie, "--algorithm", "care,identity", "-o", tmp_path / "denoised", *ENGINE)
    assert done.returncode == 2
    assert "Warning: movie.tif, CARE is left out: " in done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[-2:]] == [
        ["movie.tif", "identity"],
        ["movie.tif", "CARE"],
    ]
    assert [path.name for path in (tmp_path / "denoised").iterdir()] == ["movie-identity.tif"]


def test_a_folder_of_one_recording_is_joined_on_request_into_one_movie_named_like_the_folder(calm, tmp_path):
    recording = tmp_path / "day1"
    recording.mkdir()
    frames = np.random.default_rng(0).poisson(50, (12, 24, 24)).astype(np.uint16)
    for index, half in enumerate(np.split(frames, 2)):
        tifffile.imwrite(recording / f"{index}.tif", half)
    done = calm("denoise", recording, "--join", "--algorithm", "identity", "-o", tmp_path / "denoised", *ENGINE)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(tifffile.imread(tmp_path / "denoised" / "day1.tif"), frames)


def test_a_folder_of_single_images_is_one_movie(calm, tmp_path):
    images = tmp_path / "day2"
    images.mkdir()
    frames = np.random.default_rng(0).poisson(50, (12, 24, 24)).astype(np.uint16)
    for index, frame in enumerate(frames):
        tifffile.imwrite(images / f"{index}.tif", frame)
    done = calm("denoise", images, "--algorithm", "identity", "-o", tmp_path / "denoised.tif", *ENGINE)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(tifffile.imread(tmp_path / "denoised.tif"), frames)


@pytest.fixture(scope="module")
def mean_run(tmp_path_factory):
    """Return a finished run of control mean on FRAMES, with identity beside it."""
    folder = tmp_path_factory.mktemp("mean")
    tifffile.imwrite(folder / "movie.tif", FRAMES)
    calm = CalmHere(outputs=folder / "outputs", data=folder / "data")
    done = calm("run", "mean", "--input", folder / "movie.tif", "--frame-rate", 10, *ENGINE)
    assert done.returncode == 0, done.stderr
    return calm.run_folder("mean-movie-default")


def _exported(here, run, target):
    done = here("export", run, "--to", target)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(target)
    return target


@pytest.mark.slow
def test_every_export_opens_in_another_library_and_holds_what_the_movies_hold(here, mean_run, tmp_path):
    with _exported(here, mean_run, tmp_path / "new" / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    scores = json.loads((mean_run / "scores.json").read_text())["splits"]["train"]
    found = {row["metric"]: float(row["mean"]) for row in rows if row["row"] == "mean"}
    assert found == {name: one["mean"] for name, one in scores.items() if one["mean"] is not None}
    with _exported(here, mean_run, tmp_path / "my-traces.csv").open() as stream:
        traces = [row for row in csv.DictReader(stream) if (row["region"], row["stack"]) == ("0", "noisy")]
    assert [float(row["value"]) for row in traces] == pytest.approx(FRAMES.mean(axis=(1, 2)))
    assert [float(row["time_s"]) for row in traces[:3]] == pytest.approx([0.0, 0.1, 0.2])
    figure = imagecodecs.png_decode(_exported(here, mean_run, tmp_path / "figure.png").read_bytes())
    assert figure.shape[1] >= 2 * FRAMES.shape[2]
    for name, decode in (("preview.gif", imagecodecs.gif_decode), ("preview.webp", imagecodecs.webp_decode)):
        preview = _exported(here, mean_run, tmp_path / name).read_bytes()
        first, last = (decode(preview, index=index) for index in (0, len(FRAMES) - 1))
        assert (first.shape == last.shape, np.array_equal(first, last)) == (True, False)


def test_regions_given_once_are_where_page_traces_and_checks_look_from_then_on(calm, here, movie, tmp_path):
    regions = tmp_path / "cells.json"
    regions.write_text(json.dumps([{"id": "soma", "coordinates": [[3, 4], [3, 5], [4, 4]]}]))
    done = calm(
        *("denoise", movie, "--algorithm", "mean", "--regions", regions, "-o", tmp_path / "denoised.tif", *ENGINE)
    )
    assert done.returncode == 0, done.stderr
    run = calm.run_folder("mean-movie-default")
    page = (run / "report.html").read_text()
    assert "The most active of 1 region of cells.json" in page
    assert "Region soma, brightest in frame" in page
    assert json.loads((run / "checks.json").read_text())["basis"]["regions"]
    done = here("export", run, "--to", tmp_path / "traces.csv")
    assert "Regions: 1 region of cells.json.\n" in done.stderr
    with (tmp_path / "traces.csv").open() as stream:
        assert {row["name"] for row in csv.DictReader(stream)} == {"", "soma"}
    regions.write_text(json.dumps([{"id": "glia", "coordinates": [[8, 8]]}] * 2))
    assert here("report", run, "--regions", regions).returncode == 0
    assert "The most active of 2 regions of cells.json" in (run / "report.html").read_text()


def test_regions_that_do_not_fit_the_movie_are_refused_before_anything_runs(here, movie, tmp_path):
    regions = tmp_path / "cells.json"
    regions.write_text(json.dumps([{"coordinates": [[500, 4]]}]))
    done = here(
        *("denoise", movie, "--algorithm", "mean", "--regions", regions, "-o", tmp_path / "denoised.tif", *ENGINE)
    )
    assert (done.returncode, "expected pixels (y, x) within 32 x 40" in done.stderr) == (2, True)
    assert not here.outputs.exists()


def test_traces_are_those_of_given_regions_with_their_names_and_relative_change(here, mean_run, tmp_path):
    regions = tmp_path / "regions.json"
    regions.write_text(json.dumps([{"id": "soma", "coordinates": [[3, 4], [3, 5], [4, 4]]}]))
    target = tmp_path / "traces.csv"
    done = here("export", mean_run, "--to", target, "--regions", regions, "--dff", 10)
    assert done.returncode == 0, done.stderr
    with target.open() as stream:
        rows = [row for row in csv.DictReader(stream) if (row["name"], row["stack"]) == ("soma", "noisy")]
    expected = np.mean([FRAMES[:, 3, 4], FRAMES[:, 3, 5], FRAMES[:, 4, 4]], axis=0)
    assert [float(row["value"]) for row in rows] == pytest.approx(expected)
    base = np.percentile(expected, 20)
    assert [float(row["dff"]) for row in rows] == pytest.approx((expected - base) / (base - 10))
    assert {row["pixels"] for row in rows} == {"3"}


@pytest.mark.parametrize("name", ["scores.csv", "figure.svg", "table"])
def test_export_refuses_a_name_whose_format_it_does_not_know(here, mean_run, tmp_path, name):
    done = here("export", mean_run, "--to", tmp_path / name)
    assert done.returncode == 2
    assert f"--to: expected a name that ends in table.csv, traces.csv, .png, .gif, .webp, got {name}" in done.stderr
    assert not (tmp_path / name).exists()


def test_export_without_a_form_or_a_file_says_what_to_give(here, mean_run):
    done = here("export", mean_run)
    assert (done.returncode, "expected --form or --to, got neither" in done.stderr) == (2, True)


def test_export_in_a_form_writes_to_the_run_or_to_a_folder(here, mean_run, tmp_path):
    for option in ((), ("--to", tmp_path / "forms")):
        done = here("export", mean_run, "--form", "imagej", *option)
        assert done.returncode == 0, done.stderr
    written = (tmp_path / "forms" / "train" / "movie.tif").read_bytes()
    assert (mean_run / "exports" / "train" / "movie.tif").read_bytes() == written


def test_export_leaves_a_file_of_somebody_else_alone(here, mean_run, tmp_path):
    foreign = tmp_path / "table.csv"
    foreign.write_text("mine\n")
    done = here("export", mean_run, "--to", foreign)
    assert (done.returncode, foreign.read_text()) == (2, "mine\n")


def test_predict_gives_what_the_same_run_would_have_predicted_and_names_its_training(calm, mean_run, folder, tmp_path):
    target = tmp_path / "denoised.tif"
    done = calm("predict", mean_run, folder / "a.tif", "-o", target, "--engine", "venv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Denoised: {target}"
    assert calm("run", "mean", "--input", folder / "a.tif", "--frame-rate", 10, *ENGINE).returncode == 0
    (same,) = calm.outputs.glob("mean-a-default/*/predictions/train/a.tif")
    assert target.read_bytes() == same.read_bytes()
    records = [json.loads(path.read_text()) for path in calm.outputs.glob("mean-a-default/*/run.json")]
    (record,) = [one for one in records if "trained" in one]
    assert record["trained"] == str(mean_run)
    assert record["jobs"]["train"] == json.loads((mean_run / "run.json").read_text())["jobs"]["train"]


def test_predict_warns_of_other_noise_and_another_rate_and_calls_the_movie_by_its_name(calm, mean_run, tmp_path):
    noisier = np.random.default_rng(1).poisson(900, (20, 32, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "noisier.tif", noisier)
    done = calm(
        *("predict", mean_run, tmp_path / "noisier.tif", "--frame-rate", 30),
        *("-o", tmp_path / "denoised.tif", "--engine", "venv"),
    )
    assert done.returncode == 0, done.stderr
    assert "Warning: noisier.tif: trained on noise of 9.7" in done.stderr
    assert "Warning: noisier.tif: trained on 10 frames per second, applied to 30 frames per second" in done.stderr
    page = (calm.run_folder("mean-noisier-default") / "report.html").read_text()
    assert "test movies" not in page


def test_a_prediction_can_be_verified_and_reported(calm, mean_run, folder, tmp_path):
    done = calm("predict", mean_run, folder / "a.tif", "-o", tmp_path / "denoised.tif", "--engine", "venv")
    assert done.returncode == 0, done.stderr
    run = calm.run_folder("mean-a-default")
    verified = calm("verify", run, "--engines", "venv")
    assert verified.returncode == 0, verified.stderr
    assert "venv: the same predictions, byte for byte" in verified.stdout


def test_compare_writes_one_page_that_begins_with_what_to_take_and_a_second_call_runs_nothing(calm, movie, tmp_path):
    page = tmp_path / "compared.html"
    arguments = ("compare", movie, "--algorithm", "mean,svd", "--to", page, *ENGINE)
    done = calm(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"Report: {page}" == done.stdout.splitlines()[-1]
    text = page.read_text()
    assert "What to take" in text
    assert all(f"{title} (control), default" in text for title in ("Running mean", "Truncated SVD"))
    before = {path: path.stat().st_mtime_ns for path in calm.outputs.rglob("run.json")}
    assert calm(*arguments).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in calm.outputs.rglob("run.json")} == before


@pytest.fixture
def lively(tmp_path):
    """Return a movie in which two cells flash, long enough for every check."""
    light = np.full((64, 48, 48), 40.0)
    for start in range(5, 60, 18):
        light[start : start + 8, 10:18, 10:18] += 60
        light[start + 6 : start + 14, 30:38, 30:38] += 60
    path = tmp_path / "lively.tif"
    tifffile.imwrite(path, np.random.default_rng(3).poisson(light).astype(np.uint16))
    return path


@pytest.mark.slow
def test_full_checks_join_the_lights_and_are_made_once(here, lively, tmp_path):
    arguments = ("denoise", lively, "--algorithm", "mean", "--checks", "full", "-o", tmp_path / "out.tif", *ENGINE)
    done = here(*arguments)
    assert done.returncode == 0, done.stderr
    run = here.run_folder("mean-lively-default")
    assert "Full checks of mean-lively-default" in done.stderr
    assert "3 predictions more" in done.stderr  # nothing is trained
    kept = json.loads((run / "checks-full.json").read_text())
    names = [check["name"] for check in kept["movies"]["train/lively.tif"]["checks"]]
    assert names == ["injected height", "injected delay", "injected decay", "injected seen", "events in noise"]
    assert not (run / "trials").exists()
    before = (run / "checks-full.json").stat().st_mtime_ns
    again = here(*arguments)
    assert "Full checks" not in again.stderr
    assert (run / "checks-full.json").stat().st_mtime_ns == before
    assert again.stdout.splitlines()[-12:] == done.stdout.splitlines()[-12:]


@pytest.mark.slow
def test_full_checks_of_other_predictions_are_not_believed(here, lively, tmp_path):
    arguments = ("denoise", lively, "--algorithm", "mean", "-o", tmp_path / "out.tif", *ENGINE)
    assert here(*arguments, "--checks", "full").returncode == 0
    run = here.run_folder("mean-lively-default")
    full = (run / "checks-full.json").read_bytes()
    assert here("run", "identity", "--input", lively, *ENGINE).returncode == 0
    other = here.run_folder("identity-lively-default")
    (other / "checks-full.json").write_bytes(full)  # of another run
    done = here("report", other)
    assert done.returncode == 0, done.stderr
    assert "random order" not in done.stdout


@pytest.mark.slow
def test_a_movie_too_short_for_full_checks_is_said_to_be(here, movie, tmp_path):
    done = here("denoise", movie, "--algorithm", "mean", "--checks", "full", "-o", tmp_path / "out.tif", *ENGINE)
    assert done.returncode == 0, done.stderr
    assert "no movie is long enough for full checks" in done.stderr
