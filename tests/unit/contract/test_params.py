"""An image holds the parameters of a job to their declaration too: job.json may be written by anybody."""

from __future__ import annotations

import pytest

from contract.errors import JobRefused
from contract.params import check, declared

PARAMS = declared(
    {
        "rate": {"type": "float", "default": 0.1, "unit": None, "range": [0.0, 1.0], "help": "-"},
        "size": {"type": "int", "default": 8, "range": [8, 64], "form": "power of two", "help": "-"},
        "window": {"type": "int", "default": 5, "form": "odd", "nullable": True, "help": "-"},
        "loss": {"type": "str", "default": "mse", "choices": ["mse", "mae"], "help": "-"},
        "flip": {"type": "bool", "default": True, "help": "-"},
    }
)
DEFAULTS = {name: param.default for name, param in PARAMS.items()}


@pytest.mark.parametrize("values", [{}, {"rate": 1}, {"window": None}, {"window": -3}, {"size": 64}, {"flip": False}])
def test_a_value_that_fits_its_declaration_is_taken(values):
    check(DEFAULTS | values, PARAMS)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rate": 1.5}, "rate: expected 0.0 to 1.0, got 1.5"),
        ({"rate": float("nan")}, "rate: expected a finite number, got nan"),
        ({"rate": True}, "rate: expected float, got True"),
        ({"size": 9}, "size: expected a power of two from 8 to 64, got 9"),
        ({"size": 4}, "size: expected a power of two from 8 to 64, got 4"),
        ({"size": 8.0}, "size: expected int, got 8.0"),
        ({"size": None}, "size: expected int, got None"),
        ({"window": 4}, "window: expected an odd number, got 4"),
        ({"loss": "huber"}, "loss: expected one of mse, mae, got 'huber'"),
        ({"flip": 1}, "flip: expected bool, got 1"),
        ({"patch_z": 3}, "patch_z: expected a parameter of algorithm.yaml, got another"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_was_expected(values, sentence):
    with pytest.raises(JobRefused) as refused:
        check(DEFAULTS | values, PARAMS)
    assert str(refused.value) == f"params: {sentence}"


def test_a_parameter_that_is_missing_is_refused():
    with pytest.raises(JobRefused, match="rate: expected a value, got none"):
        check({name: value for name, value in DEFAULTS.items() if name != "rate"}, PARAMS)
