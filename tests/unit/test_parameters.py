"""What a user types for a parameter becomes a value of its type, or is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.algorithms.folders import load_algorithm, load_algorithms, resolve_params
from orchestrator.data.checksums import Checksums
from orchestrator.data.movies import input_source
from orchestrator.domain import Image, PriorUse
from orchestrator.errors import BadInput
from orchestrator.paths import layout
from orchestrator.records.record import Choice
from orchestrator.runs.plan import make_plan
from orchestrator.runs.settings import Settings

IMAGE = Image(
    algorithm="any", variant="cpu", digest="d" * 64, lock=Path("/l"), wheelhouse=Path("/w"), context=Path("/c")
)
N2V = load_algorithms(layout().containers)["n2v"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("lr", "1e-4", 0.0001),  # YAML 1.1 takes this for text
        ("lr", "0.5", 0.5),
        ("lr", "1", 1.0),
        ("num_epochs", "20", 20),
        ("patch_size_z", "null", None),
        ("use_n2v2", "true", True),
        ("struct_n2v_axes", "none", "none"),
    ],
)
def test_text_is_read_as_the_type_of_its_parameter(name, text, value):
    given = resolve_params(N2V, "default", {name: text})[name]
    assert given == value
    assert type(given) is type(value)


def test_the_published_preset_of_n2v_keeps_patch_batch_and_tiling_of_the_study():
    params = resolve_params(N2V, "published", {})
    # n2v_train.py and n2v_predict.py of the study by default; overlap 3/4 of a tile
    expected = {"patch_size": 64, "batch_size": 16, "num_epochs": 10, "use_augmentations": False, "num_steps": None}
    expected |= {"predict_tiling": "study", "tile_overlap": 0.75}
    assert {name: params[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("required", "required_with", "when", "why"),
    [
        (False, {}, "optional", None),
        (False, {"lr": (0.1,)}, "needed with lr=0.1", None),
        (False, {"lr": (0.1, 0.5), "size": (8,)}, "needed with lr=0.1 or lr=0.5 or size=8", "with lr=0.5"),
        (True, {}, "needed", "in every run"),
    ],
)
def test_a_prior_is_needed_where_algorithm_yaml_says_so(required, required_with, when, why):
    use = PriorUse(required=required, required_with=required_with, help="a prediction")
    assert use.when() == when
    assert use.why({"lr": 0.5, "size": 4}) == why


def test_the_list_of_parameters_says_what_a_prior_may_be_and_when_it_is_needed(calm):
    assert "--earlier (needed with noise_model=gmm): for noise_model gmm: one prediction" in calm("list", "hdn").stdout
    assert "--earlier (optional): a CellMincer checkpoint" in calm("list", "cellmincer").stdout
    assert "--earlier" not in calm("list", "n2v").stdout


@pytest.mark.parametrize(
    "changed",
    [
        "extra_movies: [missing]",
        "prediction_params: [missing]",
        "prior: {required: false, required_with: {missing: [1]}, help: x}",
    ],
)
def test_an_algorithm_that_names_a_parameter_it_does_not_have_is_refused(tmp_path, changed):
    folder = tmp_path / "identity"
    folder.mkdir()
    text = (layout().containers / "identity" / "algorithm.yaml").read_text()
    (folder / "algorithm.yaml").write_text(f"{text}{changed}\n")
    with pytest.raises(
        BadInput, match="expected names of parameters in extra_movies, prediction_params and prior, got missing"
    ):
        load_algorithm(folder)


@pytest.mark.parametrize(
    ("name", "overrides", "movies"),
    [
        ("n2v", {}, 1),
        ("hdn", {}, 1),
        ("hdn", {"save_sd": True, "save_samples": 99}, 101),  # the mean, the spread and the samples
        ("cellmincer", {"trend_only": True}, 2),
        ("cellmincer", {"trend_only": False}, 1),
    ],
)
def test_every_movie_that_prediction_writes_counts_as_disk(tmp_path, movie, name, overrides, movies):
    plan = make_plan(
        load_algorithms(layout().containers)[name],
        IMAGE,
        source=input_source([movie], Choice(), layout()),
        settings=Settings(preset="default", overrides=overrides, seed=1, threads=1),
        layout=replace(layout(), outputs=tmp_path / "outputs"),
        checksums=Checksums(tmp_path / "sums.json"),
    )
    margin = 64 * 2**20
    assert plan.needed_bytes == margin + movies * 20 * 32 * 40 * 4  # float32


@pytest.mark.parametrize(
    ("algorithm", "name", "text", "sentence"),
    [
        ("n2v", "patch_size", "48", "expected a power of two from 8 to 1024, got 48"),
        ("n2v", "patch_size_z", "12", "expected a power of two from 8 to 1024, got 12"),
        ("n2v", "patch_size", "4", "expected a power of two from 8 to 1024, got 4"),
        ("n2v", "roi_size", "10", "expected an odd number from 3 to 21, got 10"),
        ("n2v", "struct_n2v_span", "4", "expected an odd number from 3 to 15, got 4"),
        ("n2n", "patch_size", "48", "expected a power of two from 8 to 1024, got 48"),
        ("n2n", "patch_size_z", "12", "expected a power of two from 8 to 512, got 12"),
        ("cellmincer", "spatial_unet_kernel_size", "4", "expected an odd number from 1 to 15, got 4"),
        ("deepcad", "patch_t", "null", "expected int, got None"),
    ],
)
def test_a_value_of_another_form_than_declared_is_refused_before_anything_is_built(algorithm, name, text, sentence):
    with pytest.raises(BadInput, match=f"{algorithm}: {name}: {sentence}"):
        resolve_params(load_algorithms(layout().containers)[algorithm], "default", {name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [("lr", "nan"), ("lr", "inf"), ("lr", ".inf"), ("lr", "fast"), ("lr", "{a"), ("num_epochs", "2.5"), ("lr", "")],
)
def test_text_that_is_no_such_value_is_refused_with_the_name_and_what_was_given(name, text):
    with pytest.raises(BadInput, match=f"n2v: {name}: expected .*, got "):
        resolve_params(N2V, "default", {name: text})
