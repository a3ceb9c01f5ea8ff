"""What unit tests share: the command in their own process."""

from __future__ import annotations

import pytest
from command import CalmHere


@pytest.fixture
def calm(tmp_path):
    """Return the command `calm` with outputs and data of its own."""
    return CalmHere(outputs=tmp_path / "outputs", data=tmp_path / "data")
