"""One seed for every random number, and a generator per purpose, so that order and restarts change nothing."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np


def seed_everything(seed: int, threads: int) -> None:
    """Seed python, numpy and (where installed) torch, fix the thread count and ask torch for deterministic algorithms.

    Parameters
    ----------
    seed : int
        Seed, 0 to 2**32 - 1.
    threads : int
        Threads of every pool; a different count gives different bits.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - upstream code draws from the global generator
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS is deterministic only with this setting
    try:
        import torch  # noqa: PLC0415 - only where the image has it
    except ModuleNotFoundError:
        return
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    # MaxPool3d backward on CUDA has no such version. As use_deterministic_algorithms(True, warn_only=True), which takes
    # two seconds longer, as it imports the compiler, too.
    torch.set_deterministic_debug_mode("warn")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def generator(seed: int, *purpose: int) -> np.random.Generator:
    """Return a numpy generator that depends only on the seed and on what it is for.

    Parameters
    ----------
    seed : int
        Seed of the job.
    *purpose : int
        Numbers that name the use, for instance (epoch, step): a resumed run draws what the whole run would have.
    """
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=purpose))


def torch_generator(seed: int, *purpose: int, device: str = "cpu") -> Any:  # noqa: ANN401 - torch is optional here
    """Return a `torch.Generator` seeded like `generator`."""
    import torch  # noqa: PLC0415 - only where the image has it

    state = np.random.SeedSequence(entropy=seed, spawn_key=purpose).generate_state(2, dtype=np.uint32)
    made = torch.Generator(device=device)
    made.manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)
    return made
