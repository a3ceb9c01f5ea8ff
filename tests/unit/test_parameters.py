"""What a user types for a parameter becomes a value of its type, or is refused."""

from __future__ import annotations

import pytest

from orchestrator.errors import BadInput
from orchestrator.layout import layout
from orchestrator.load import load_algorithms, resolve_params

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
    ("name", "text"),
    [("lr", "nan"), ("lr", "inf"), ("lr", ".inf"), ("lr", "fast"), ("lr", "{a"), ("num_epochs", "2.5"), ("lr", "")],
)
def test_text_that_is_no_such_value_is_refused_with_the_name_and_what_was_given(name, text):
    with pytest.raises(BadInput, match=f"n2v: {name}: expected .*, got "):
        resolve_params(N2V, "default", {name: text})
