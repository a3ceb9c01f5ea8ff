"""Upstream's own training_class and testing_class on a CPU, changed only where they could not run at all."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch

from upstream import upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHARED = ("patch_t", "patch_y", "patch_x", "fmap")
_TRAINING = ("overlap_factor", "train_datasets_size", "select_img_num", "n_epochs", "lr", "b1", "b2")
_ALL_FRAMES = 10**9


def _silent(*_: object, **__: object) -> None:
    """Print nothing."""


def train(  # noqa: PLR0913, PLR0917 - one argument per role
    movies: Path, params: dict[str, Any], seed: int, threads: int, work: Path, tell: Callable[..., None] = _silent
) -> list[dict[str, torch.Tensor]]:
    """Run upstream's training and return the weights of every epoch.

    Parameters
    ----------
    movies : Path
        Folder of TIFFs.
    params : dict
        Parameters of a job.
    seed, threads : int
        Seed of Python's and torch's generator before upstream's run, and torch's threads.
    work : Path
        Empty folder for what upstream writes.
    tell : callable
        Called in place of upstream's print, which it does at every step.
    """
    collection = upstream("train_collection")
    weights: list[dict[str, torch.Tensor]] = []

    def keep(self: Any, epoch: int, iteration: int) -> None:  # upstream also exports ONNX here, which needs onnxscript
        del epoch, iteration
        weights.append({name: value.clone() for name, value in self.local_model.state_dict().items()})

    with _runnable(collection, work, tell), patch.object(collection.training_class, "save_model", keep):
        training = collection.training_class(_dictionary(movies, params, _TRAINING))
        training.batch_size = params["batch_size"]  # upstream overwrites it with the number of GPUs
        training.save_yaml_train = lambda: None
        torch.set_num_threads(threads)
        random.seed(seed)
        torch.manual_seed(seed)
        training.run()
    return weights


def predict(  # noqa: PLR0913, PLR0917 - one argument per role
    movies: Path, weights: Path, params: dict[str, Any], threads: int, work: Path, tell: Callable[..., None] = _silent
) -> list[np.ndarray]:
    """Run upstream's prediction and return what it would store for each file, in the order of their names."""
    collection = upstream("test_collection")
    stored: list[np.ndarray] = []
    with _runnable(collection, work, tell), patch.object(collection, "io") as io:
        io.imsave = lambda _name, image, **_: stored.append(image)
        test_params = params | {"overlap_factor": params["test_overlap_factor"]}
        dictionary = _dictionary(movies, test_params, ("overlap_factor",))
        dictionary |= {"pth_dir": str(weights.parent.parent), "denoise_model": weights.parent.name}
        testing = collection.testing_class(dictionary | {"test_datasize": _ALL_FRAMES})
        testing.save_yaml_test = lambda: None
        torch.set_num_threads(threads)
        with np.errstate(all="ignore"):
            testing.run()
    return stored


def training_grid(movie: np.ndarray, params: dict[str, Any], movies: int) -> list[dict[str, int]]:
    """Return upstream's training patches of one of several movies of the same shape."""
    collection = upstream("train_collection")
    training = collection.training_class(_dictionary(Path("movies"), params, _TRAINING))
    training.datasets_name = "movies"
    names = [f"{number}.tif" for number in range(movies)]
    with patch("os.walk", lambda *_, **__: [("", [], names)]), patch.object(collection.tiff, "imread", lambda _: movie):
        training.train_preprocess_lessMemoryMulStacks()
    return [training.coordinate_list[name] for name in training.name_list]


def _dictionary(movies: Path, params: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    chosen = {name: params[name] for name in (*_SHARED, *names)}
    return chosen | {"datasets_path": str(movies), "GPU": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}


@contextmanager
def _runnable(collection: Any, work: Path, tell: Callable[..., None]) -> Iterator[None]:
    """Let upstream run, on a CPU too, quietly, in a folder of its own, with files in the order of their names."""
    work.mkdir(parents=True)
    before = Path.cwd()
    walk = os.walk

    def sorted_walk(top: str, **options: Any) -> list[Any]:
        return [(folder, folders, sorted(files)) for folder, folders, files in walk(top, **options)]

    with ExitStack() as changes:
        for owner in (torch.Tensor, torch.nn.Module) if not torch.cuda.is_available() else ():
            changes.enter_context(patch.object(owner, "cuda", lambda self, *_, **__: self))
        changes.enter_context(patch("os.walk", sorted_walk))
        changes.enter_context(patch.object(collection, "print", tell, create=True))
        changes.enter_context(patch.dict(os.environ))
        os.chdir(work)
        try:
            yield
        finally:
            os.chdir(before)
