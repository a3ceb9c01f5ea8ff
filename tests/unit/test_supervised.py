"""Targets go to supervised algorithms, and to no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from contract.job import to_document
from orchestrator.algorithms.folders import load_algorithms
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import described_source
from orchestrator.domain import Image, Movie
from orchestrator.errors import BadInput
from orchestrator.paths import layout
from orchestrator.records.record import Choice
from orchestrator.runs.plan import make_plan
from orchestrator.runs.settings import Settings

IMAGE = Image(
    algorithm="any", variant="cpu", digest="d" * 64, lock=Path("/l"), wheelhouse=Path("/w"), context=Path("/c")
)
ALGORITHMS = load_algorithms(layout().containers)
SUPERVISED = [name for name, one in ALGORITHMS.items() if one.supervised]
OTHERS = [name for name, one in ALGORITHMS.items() if not one.supervised and one.prior is None]
SPLITS = ("train", "val", "test")


@pytest.fixture
def source(tmp_path):
    """Return a movie and its target in every split."""
    movies = []
    for number, split in enumerate(SPLITS):
        for role in ("noisy", "target"):
            path = tmp_path / split / role / f"{split}.tif"
            path.parent.mkdir(parents=True)
            movie = np.full((8, 16, 16), number, np.uint16)
            movie[:, ::2] += 1  # no target is of one grey value
            tifffile.imwrite(path, movie, photometric="minisblack", metadata={"axes": "TYX"})
        folder = tmp_path / split
        movies.append(Movie(split=split, noisy=folder / "noisy" / path.name, target=folder / "target" / path.name))
    return described_source("pairs", movies, Choice(), replace(layout(), home=tmp_path / "home"))


def _plan(name, source, tmp_path):
    return make_plan(
        ALGORITHMS[name],
        IMAGE,
        source=source,
        settings=Settings(preset="smoke", overrides={}, seed=1, threads=1),
        layout=replace(layout(), outputs=tmp_path / "outputs"),
        checksums=Checksums(tmp_path / "checksums.json"),
    )


def test_care_is_supervised_and_its_twin_is_not():
    assert SUPERVISED == ["care"]
    assert ALGORITHMS["n2v-tf"].kind == "algorithm"


@pytest.mark.parametrize("name", SUPERVISED)
def test_training_is_given_the_targets_of_train_then_of_val_and_prediction_none(name, source, tmp_path):
    plan = _plan(name, source, tmp_path)
    train, *predictions = plan.jobs()
    assert train.inputs.target == tuple(tmp_path / split / "target" / f"{split}.tif" for split in ("train", "val"))
    assert to_document(train)["contract"] == 2
    assert [job.inputs.target for job in predictions] == [(), (), ()]


@pytest.mark.parametrize("name", OTHERS)
def test_no_job_of_any_other_algorithm_names_a_target(name, source, tmp_path):
    documents = [to_document(job) for job in _plan(name, source, tmp_path).jobs()]
    assert not any("target" in document["inputs"] for document in documents)
    assert {document["contract"] for document in documents} == {1}


def test_another_target_is_another_run_of_a_supervised_algorithm_only(source, tmp_path):
    names = (SUPERVISED[0], OTHERS[0])
    before = [_plan(name, source, tmp_path).key for name in names]
    changed = tmp_path / "changed.tif"
    tifffile.imwrite(changed, np.full((8, 16, 16), 9, np.uint16), photometric="minisblack", metadata={"axes": "TYX"})
    source = replace(source, movies=(replace(source.movies[0], target=changed), *source.movies[1:]))
    after = [_plan(name, source, tmp_path).key for name in names]
    assert before[0] != after[0]
    assert before[1] == after[1]


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_movie_to_learn_from_without_a_target_is_refused_by_name(source, tmp_path, split):
    movies = tuple(replace(one, target=None) if one.split == split else one for one in source.movies)
    with pytest.raises(BadInput, match=f"care: expected a clean target for every movie .* got none for .*{split}.tif"):
        _plan("care", replace(source, movies=movies), tmp_path)


def test_a_movie_to_predict_needs_no_target(source, tmp_path):
    movies = tuple(replace(one, target=None) if one.split == "test" else one for one in source.movies)
    assert len(_plan("care", replace(source, movies=movies), tmp_path).jobs()) == 4


def test_the_command_refuses_an_own_movie_in_one_sentence_and_writes_nothing(calm, source):
    done = calm("run", "care", "--input", source.movies[0].noisy)
    assert done.returncode == 2
    assert "Error: care: expected a clean target" in done.stderr
    assert "Hint: It is a ceiling for datasets with targets" in done.stderr
    assert not calm.outputs.exists()


def test_supervised_algorithms_are_listed_apart(calm):
    kinds = [line.split()[1] for line in calm("list").stdout.splitlines()]
    assert kinds[-len(SUPERVISED) :] == ["supervised"] * len(SUPERVISED)
    assert "supervised" not in kinds[: -len(SUPERVISED)]
