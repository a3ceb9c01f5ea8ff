"""What tests of movies share: an inspector with a cache of its own, and the way of a movie through identity."""

from __future__ import annotations

import numpy as np
import pytest

from contract.predictions import open_prediction
from contract.stacks import open_stack
from orchestrator.data.checksums import Checksums
from orchestrator.data.inspect import Inspector
from orchestrator.data.stacks import make_stacks
from orchestrator.records.record import Choice


@pytest.fixture
def describe(tmp_path):
    """Return a function that describes a movie."""

    def describe_movie(path, **choice):
        cache = tmp_path / "cache"
        return Inspector(stacks=cache / "stacks", checksums=Checksums(cache / "sums.json")).describe(
            path, Choice(**choice)
        )

    return describe_movie


@pytest.fixture
def through_identity(describe, tmp_path):
    """Return a function that gives the description of a movie and its prediction by identity, pixels checked twice."""

    def predict(path, **choice):
        recording = describe(path, **choice)
        make_stacks([recording], lambda _: None)
        target = tmp_path / "predictions" / recording.stack.name
        target.parent.mkdir(exist_ok=True)
        axes = recording.axes if not recording.copied else None
        with open_stack(recording.stack, axes) as stack, open_prediction(target, stack) as prediction:
            for block in stack.blocks(5):
                prediction.write(block)
        with open_stack(target) as stack:
            pixels = stack.frames(0, stack.shape[0])
        assert pixels.dtype == np.float32
        assert pixels.shape == recording.shape
        return recording, pixels, target

    return predict
