"""The UNet of CSBDeep, without the rest of the package.

Its `csbdeep.utils` imports matplotlib on load, for plots; the network needs two functions from there.
Shared with n2v-tf.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tensorflow_start import keras

if TYPE_CHECKING:
    import numpy as np

_2D = 2
_BARE = ("csbdeep", "csbdeep.utils")  # packages whose __init__ is left out
_FROM_UTILS = ("_raise", "backend_channels_last")
_TORCH_MOMENTUM, _TORCH_EPSILON = 0.9, 1e-5  # of batch normalisation; those of Keras need a thousand steps to settle


@dataclass(frozen=True, kw_only=True, slots=True)
class UNetShape:
    """What a network looks like.

    Parameters
    ----------
    n_dim : {2, 3}
        Frame by frame, or time as depth.
    n_depth, kern_size, n_first : int
        Levels below the first, width of the convolutions, filters of the first level.
    residual : bool
        Whether the network adds its output to its input.
    batch_norm : bool
        Whether every convolution but the last is normalised, as in Noise2Void. Then first weights are drawn as torch
        draws them: with the larger ones of Keras, the first 200 steps learn far less (docs/verdicts.md).
    """

    n_dim: int
    n_depth: int
    kern_size: int
    n_first: int
    residual: bool
    batch_norm: bool = False

    @property
    def multiple(self) -> int:
        """Length along each axis that the network can handle a multiple of, pixels."""
        return int(2**self.n_depth)

    @property
    def halo(self) -> int:
        """Context each way beyond which nothing changes a pixel, rounded up to a multiple, pixels."""
        reach = 2 * (self.kern_size // 2)  # of the two convolutions of a level
        levels = sum((2 * reach + 2) * 2**level for level in range(self.n_depth))  # down, pooling, up, copying
        return -(-(levels + reach * self.multiple) // self.multiple) * self.multiple

    def batch_of(self, patches: np.ndarray) -> np.ndarray:
        """Bring patches of shape (B, t, y, x) to the axes of the network: (B, y, x, 1) or (B, t, y, x, 1)."""
        return patches[:, 0, ..., None] if self.n_dim == _2D else patches[..., None]

    @property
    def document(self) -> dict[str, Any]:
        """As fields of a JSON document."""
        return asdict(self)


def build_unet(shape: UNetShape) -> keras.Model:
    """Return upstream's network for one channel and inputs of any size, with random weights."""
    _bare_csbdeep()
    from csbdeep.internals.nets import custom_unet  # noqa: PLC0415 - found once its package is bare

    network = custom_unet(
        (None,) * shape.n_dim + (1,),
        last_activation="linear",
        n_depth=shape.n_depth,
        n_filter_base=shape.n_first,
        kernel_size=(shape.kern_size,) * shape.n_dim,
        pool_size=(2,) * shape.n_dim,
        residual=shape.residual,
        batch_norm=shape.batch_norm,
    )
    if shape.batch_norm:
        _begin_as_torch(network)
    return network


def _begin_as_torch(network: keras.Model) -> None:
    """Give batch normalisation the settings of torch, and convolutions first weights as large as those of torch."""
    for layer in network.layers:
        if hasattr(layer, "moving_variance"):
            layer.momentum, layer.epsilon = _TORCH_MOMENTUM, _TORCH_EPSILON
        elif hasattr(layer, "kernel"):  # evenly within 1 / sqrt(inputs); biases stay 0
            draw = keras.initializers.VarianceScaling(scale=1 / 3, mode="fan_in", distribution="uniform")
            layer.kernel.assign(draw(layer.kernel.shape))


def _bare_csbdeep() -> None:
    """Put the packages of csbdeep into `sys.modules` without running their `__init__`; repeating it does nothing."""
    if "csbdeep" in sys.modules:
        return
    spec = importlib.util.find_spec("csbdeep")
    folder = Path(spec.submodule_search_locations[0])
    for name in _BARE:
        module = ModuleType(name)
        module.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module
    utils = importlib.import_module("csbdeep.utils.utils")
    for name in _FROM_UTILS:
        setattr(sys.modules["csbdeep.utils"], name, getattr(utils, name))
