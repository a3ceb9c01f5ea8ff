"""Reach the parts of careamics that are used here without importing all of it.

Its packages import, on load, everything beneath them: lightning, torchmetrics, zarr, bioimageio and torchvision, which
pins torch. The network, the pixel manipulation, the loss and the tiling need torch and pydantic. Two versions are
known: that of the current environment, and that of the study (environment `study` in algorithm.yaml).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from contract.errors import AlgorithmFailed

if TYPE_CHECKING:
    from torch import Tensor

CURRENT, STUDY = "0.3.5", "0.0.5"
_BARE = {  # packages whose __init__ is left out, by version; the modules below them load as upstream wrote them
    CURRENT: (
        # packages whose __init__ is left out; the modules below them load as upstream wrote them
        "careamics",  # imports CAREamist: lightning and the rest
        "careamics.config",  # imports every configuration, TrainingConfig imports lightning
        "careamics.config.algorithms",  # imports every algorithm's configuration, and bioimageio with it
        "careamics.dataset",  # imports the dataset: zarr
        "careamics.dataset.patching",  # imports the dataset configuration
        "careamics.lightning",  # imports lightning
        "careamics.lightning.modules",  # imports lightning
        "careamics.losses",  # imports the losses of the LVAE
        "careamics.models",  # imports the model factory: the LVAE and torchvision
        "careamics.models.lvae",  # imports the LVAE: torchvision
        "careamics.utils",  # imports psutil
    ),
    STUDY: (
        "careamics",  # imports CAREamist: lightning and the rest
        "careamics.config",  # imports every configuration, and bioimageio with it
        "careamics.dataset",  # imports the dataset: zarr
        "careamics.dataset.tiling",  # imports the collation of tiles
        "careamics.losses",  # imports the losses of the LVAE
        "careamics.models",  # imports the model factory: the LVAE and torchvision
        "careamics.transforms",  # imports every transform and its configuration
        "careamics.utils",  # imports psutil
    ),
}

_FROM_UTILS = {  # module and name that others take from careamics.utils, where upstream's __init__ puts it
    CURRENT: ("careamics.utils.get_device", "get_device"),
    STUDY: ("careamics.utils.base_enum", "BaseEnum"),
}


def bare_careamics() -> str:
    """Put the packages of careamics into `sys.modules` without running their `__init__`; repeating it does nothing.

    Import from full module names afterwards, for instance `from careamics.models.unet.unet import UNet` or
    `from careamics.models.lvae.lvae import LadderVAE`.

    Returns
    -------
    str
        The version of careamics: `CURRENT` or `STUDY`.

    Raises
    ------
    AlgorithmFailed
        When careamics is missing, or not one of the versions this was written for.
    """
    if "careamics" in sys.modules:
        return metadata.version("careamics")
    folder, version = _installed()
    for name in _BARE[version]:
        module = ModuleType(name)
        module.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    module, given = _FROM_UTILS[version]
    setattr(sys.modules["careamics.utils"], given, getattr(importlib.import_module(module), given))
    return version


def torchvision_stand_in() -> None:
    """Give the LVAE the one function of torchvision it calls, `center_crop`; repeating it does nothing.

    torchvision built for another torch fails on import, and the one careamics allows pins torch to 2.11.
    """
    if "torchvision" in sys.modules:
        return
    functional = ModuleType("torchvision.transforms.functional")
    functional.center_crop = center_crop
    transforms = ModuleType("torchvision.transforms")
    transforms.functional = functional
    torchvision = ModuleType("torchvision")
    torchvision.transforms = transforms
    for module in (torchvision, transforms, functional):
        sys.modules[module.__name__] = module


def center_crop(image: Tensor, output_size: int | tuple[int, int]) -> Tensor:
    """Cut the centre out of an image, rounding half a pixel to even as torchvision documents it.

    Parameters
    ----------
    image : Tensor of shape (..., Y, X)
        At least as large as `output_size`.
    output_size : int or (int, int)
        Rows and columns to keep.

    Returns
    -------
    Tensor of shape (..., *output_size)
        A view.
    """
    rows, columns = (output_size, output_size) if isinstance(output_size, int) else output_size
    top = round((image.shape[-2] - rows) / 2)
    left = round((image.shape[-1] - columns) / 2)
    return image[..., top : top + rows, left : left + columns]


def _installed() -> tuple[Path, str]:
    known = " or ".join(_BARE)
    spec = importlib.util.find_spec("careamics")
    if spec is None or not spec.submodule_search_locations:
        message = f"environment: expected careamics {known}, got none"
        raise AlgorithmFailed(message)
    version = metadata.version("careamics")
    if version not in _BARE:
        message = f"environment: expected careamics {known}, got {version}"
        raise AlgorithmFailed(message)
    return Path(spec.submodule_search_locations[0]), version
