"""What tests of the contract share."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile


@pytest.fixture(scope="session")
def tiny_movie(tmp_path_factory):
    """Return a movie that every algorithm can take: 48 frames of 64 x 66 pixels, a drifting pattern and noise."""
    frames, rows, columns = np.meshgrid(np.arange(48), np.arange(64), np.arange(66), indexing="ij")
    clean = 400 + 150 * np.sin(rows / 5 + frames / 20) * np.cos(columns / 7)
    noisy = np.random.default_rng(3).poisson(clean) + np.random.default_rng(4).normal(100, 5, clean.shape)
    path = tmp_path_factory.mktemp("movies") / "tiny.tif"
    tifffile.imwrite(path, noisy.clip(0, 65535).astype(np.uint16), imagej=True, metadata={"axes": "TYX"})
    return path
