"""Faults of a detector: found where they are, nothing found where there are none, hidden, and put back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from faulty_movies import FAULTS, faulty_movie, scene

from contract.detector import find_faults
from contract.events import Events
from contract.job import Inputs, Job
from contract.repair import without_faults
from contract.stacks import open_stack

KINDS = {
    "saturated": "saturated pixels (y, x)", "spot": "saturated pixels (y, x)", "stuck": "stuck pixels (y, x)",
    "dead": "dead pixels (y, x)", "hot": "hot pixels (y, x)", "flickering": "flickering pixels (y, x)",
    "rays": "cosmic rays (frame, y, x)", "black": "black frames", "shutter": "first frames of a shutter",
    "lines": "dropped lines (frame, y)",
}  # fmt: skip


def written(path, movie):
    tifffile.imwrite(path, movie, metadata={"axes": "TYX"})
    return path


def found_in(path, *, gaps=False):
    with open_stack(path) as stack:
        return find_faults(stack, gaps=gaps)


def job_of(folder, path, **params):
    params = {"detector": "repair", "detector_gaps": "refuse", "detector_back": "predicted"} | params
    return Job(
        folder=folder, job="test", command="predict", axes="TYX", frame_rate_hz=None, inputs=Inputs(noisy=(path,)),
        checkpoint=folder / "checkpoint", predictions=folder / "predictions", params=params, seed=0, device="cpu",
        threads=1, precision="float32",
    )  # fmt: skip


def identity(job):
    """Predict what was given, as the control of that name does."""
    job.predictions.mkdir(exist_ok=True)
    for path in job.inputs.noisy:
        written(job.predictions / path.name, tifffile.imread(path).astype(np.float32))


def run(job):
    """Return the prediction of the identity, and all messages."""
    events = Events(job.folder / "events.jsonl")
    with without_faults(job, events) as given:
        identity(given)
    events.close()
    lines = [json.loads(line) for line in (job.folder / "events.jsonl").read_text().splitlines()]
    return tifffile.imread(job.predictions / job.inputs.noisy[0].name), [line["message"] for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", FAULTS)
def test_faults_are_found_where_they_are_and_nowhere_else(tmp_path, kind, seed):
    movie = faulty_movie(kind, seed=seed)
    parts = found_in(written(tmp_path / "movie.tif", movie.faulty)).parts()
    assert list(parts) == [KINDS[kind]]
    assert sorted(
        map(tuple, np.atleast_1d(parts[KINDS[kind]]).reshape(len(movie.places[kind]), -1).tolist())
    ) == sorted(tuple(np.atleast_1d(one).tolist()) for one in movie.places[kind])


def test_all_kinds_are_found_together(tmp_path):
    movie = faulty_movie(*FAULTS, seed=4)
    assert set(found_in(written(tmp_path / "movie.tif", movie.faulty)).parts()) == set(KINDS.values())


@pytest.mark.parametrize("seed", range(40))
def test_a_movie_without_faults_has_none(tmp_path, seed):
    """Random sizes, dtypes, light from a photon in 300 values to 30 in each, detectors of unequal photon heights."""
    rng = np.random.default_rng(seed)
    frames, height, width = int(rng.choice([12, 30, 100, 300])), *rng.integers(20, 90, 2)
    photons = rng.poisson(scene(frames, height, width, seed) / 8 * 10 ** rng.uniform(-2.5, 1.5))
    heights = rng.lognormal(0, 0.45, photons.shape) if seed % 3 == 0 else 1.0
    movie = rng.choice([0, 100, 1000]) + rng.choice([1, 10]) * photons * heights
    movie = movie + rng.normal(0, rng.choice([0, 0.5, 5]), movie.shape)
    dtype = rng.choice(["uint8", "uint16", "int16", "float32"])
    if dtype != "float32":
        movie = np.rint(movie / (20 if dtype == "uint8" else 1)).clip(*(0, np.iinfo(dtype).max - 1))
    assert not found_in(written(tmp_path / "movie.tif", movie.astype(dtype))).parts()


def test_black_borders_are_no_faults(tmp_path):
    movie = faulty_movie().sound
    movie[:, :3] = movie[:, :, -1:] = 0
    assert not found_in(written(tmp_path / "movie.tif", movie))


def test_a_movie_without_faults_is_given_as_it_is(tmp_path):
    path = written(tmp_path / "movie.tif", faulty_movie().sound)
    job, events = job_of(tmp_path, path), Events(tmp_path / "events.jsonl")
    with without_faults(job, events) as given:
        assert given == replace(job, params={})
    events.close()
    assert not (tmp_path / "figures.json").exists()
    assert not (tmp_path / "events.jsonl").read_text()


@pytest.mark.parametrize("kind", FAULTS)
def test_what_is_given_is_sound_away_from_faults_and_like_its_neighbours_there(tmp_path, kind):
    movie = faulty_movie(kind)
    prediction, (said,) = run(job_of(tmp_path, written(tmp_path / "movie.tif", movie.faulty)))
    assert np.array_equal(prediction[~movie.wrong], movie.sound[~movie.wrong])
    error = prediction[movie.wrong].astype(float) - movie.clean[movie.wrong]
    noise = movie.sound[movie.wrong].astype(float) - movie.clean[movie.wrong]
    assert np.sqrt(np.mean(error**2)) < 3 * np.sqrt(np.mean(noise**2))
    assert said.startswith("movie.tif: faults of the detector (hidden from the network, filled from neighbours): ")
    assert KINDS[kind] in said
    (figure,) = json.loads((tmp_path / "figures.json").read_text())
    assert KINDS[kind] in figure["note"]
    assert not (tmp_path / "repaired").exists()


def test_filled_values_are_put_back_as_they_were_when_asked_for(tmp_path):
    movie = faulty_movie(*FAULTS, seed=2)
    path = written(tmp_path / "movie.tif", movie.faulty)
    prediction, _ = run(job_of(tmp_path, path, detector_back="input"))
    assert np.array_equal(prediction[movie.wrong], movie.faulty[movie.wrong])


@pytest.mark.parametrize("detector", ["named", "ignored"])
def test_faults_are_left_alone_when_asked_for(tmp_path, detector):
    movie = faulty_movie("saturated")
    prediction, said = run(job_of(tmp_path, written(tmp_path / "movie.tif", movie.faulty), detector=detector))
    assert np.array_equal(prediction, movie.faulty)
    assert len(said) == (detector == "named")


def test_borders_without_a_value_are_filled_only_when_asked_for(tmp_path):
    """Borders that move with the frame, as after motion correction."""
    movie = faulty_movie().sound.astype(np.float32)
    gaps = np.zeros(movie.shape, bool)
    gaps[:, :4] = gaps[::2, :, -3:] = gaps[7, 20:30, 20:30] = True
    movie[gaps] = np.nan
    path = written(tmp_path / "movie.tif", movie)
    assert not found_in(path)
    job = job_of(tmp_path, path, detector_gaps="fill")
    prediction, (said,) = run(job)
    assert np.isfinite(prediction).all()
    assert np.array_equal(prediction[~gaps], movie[~gaps])
    assert "pixels without a value" not in said.split("frames with gaps")[0].replace("without a value pixels", "")
    back, _ = run(replace(job, params=job.params | {"detector_back": "input"}))
    assert np.array_equal(np.isnan(back), gaps)


def test_neighbouring_frames_never_share_their_noise(tmp_path):
    movie = faulty_movie("black", "shutter", "rays", seed=5)
    prediction, _ = run(job_of(tmp_path, written(tmp_path / "movie.tif", movie.faulty)))
    assert not (prediction[1:] == prediction[:-1]).all(axis=(1, 2)).any()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_movie(tmp_path):
    import tracemalloc  # noqa: PLC0415 - used here only

    def peak(frames):
        path = written(tmp_path / f"{frames}.tif", np.tile(faulty_movie("hot").faulty, (frames // 120, 1, 1)))
        tracemalloc.start()
        found_in(path)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(120)
    assert peak(1200) < 1.3 * peak(240)
