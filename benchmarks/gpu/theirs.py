"""DeepCAD-RT's own program on this card: what ours is compared with.

Usage: theirs.py PART DEVICE TINY FILE; started by gpu.bench with containers/deepcad and its tests on the path.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import oracle
import tifffile
import torch
from figure_file import main

from checkpoints import new_network
from upstream import upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from figure_file import Told

_THREADS = 8
_SEED = 1


def both(told: Told, device: str, tiny: bool) -> None:  # noqa: FBT001, ARG001 - one form for all parts
    """Train and predict with upstream's classes, patches of 150 and an overlap of 0.6 as in its demo."""
    edge, shape, patches = (16, (40, 32, 32), 20) if tiny else (150, (301, 490, 490), 40)
    params = {"fmap": 16, "patch_t": edge, "patch_y": edge, "patch_x": edge, "batch_size": 1}
    training = {"overlap_factor": 0.25, "train_datasets_size": patches, "select_img_num": 10**6, "n_epochs": 1}
    training |= {"lr": 5e-5, "b1": 0.5, "b2": 0.999}
    with tempfile.TemporaryDirectory() as scratch:
        movies = Path(scratch) / "movies"
        movies.mkdir()
        frames = np.random.default_rng(0).normal(300, 20, shape).astype(np.uint16)
        tifffile.imwrite(movies / "m.tif", frames, photometric="minisblack")
        steps = _Steps("[Epoch")
        oracle.train(movies, params | training, _SEED, _THREADS, Path(scratch) / "train", steps)
        told.tell(f"upstream, patches of {edge}", "steps a second", steps.rate(), "1/s", f"{len(steps.at_s)} steps")
        weights = Path(scratch) / "pth" / "network" / "E_01_Iter_0001.pth"
        weights.parent.mkdir(parents=True)
        torch.save(new_network(16).state_dict(), weights)
        steps, began_s, tiling = _Steps("[Model"), time.monotonic(), {"test_overlap_factor": 0.6}
        with _single_precision():
            oracle.predict(movies, weights, params | tiling, _THREADS, Path(scratch) / "test", steps)
        case = f"upstream, {edge}/0.6"
        voxels = edge**3 / 1e6
        told.tell(case, "voxels through the network a second", voxels * (steps.rate() or 0), "million/s")
        told.tell(case, "frames a second of the whole job", shape[0] / (time.monotonic() - began_s), "1/s")


@contextmanager
def _single_precision() -> Iterator[None]:
    """Give upstream's network float32: since NumPy 2 its prediction cuts tiles in float64, which it cannot take."""
    network = upstream("network").Network_3D_Unet
    forward = network.forward
    with patch.object(network, "forward", lambda self, tiles: forward(self, tiles.float())):
        yield


class _Steps:
    """Stands in for upstream's print and notes when it tells of a step, which it waits for to print its loss."""

    def __init__(self, sign: str) -> None:
        self.at_s: list[float] = []
        self._sign = sign

    def __call__(self, *words: object, **_: object) -> None:
        if words and self._sign in str(words[0]):
            self.at_s.append(time.monotonic())

    def rate(self) -> float | None:
        """Return steps a second, without the first."""
        took_s = self.at_s[-1] - self.at_s[0] if self.at_s else 0.0
        return (len(self.at_s) - 1) / took_s if took_s else None


if __name__ == "__main__":
    main({"both": both})
