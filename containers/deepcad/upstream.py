"""Import deepcad 1.2.0 without the packages it imports but does not need to train or predict.

Upstream's own code is not changed; its two driver classes, which need more than this, are not used (see README.md).
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

_STAND_INS = {
    "gdown": (),  # deepcad.utils downloads demo movies with it; gdown 4.2.0 needs the removed pkg_resources
    "matplotlib": (),  # parent of the next
    "matplotlib.pyplot": ("ioff", "switch_backend"),  # deepcad.utils sets a backend and draws nothing
    "yaml": (),  # deepcad.utils writes a para.yaml with it that upstream never reads back
    "skimage": (),  # parent of the next
    "skimage.io": (),  # deepcad.data_process imports it and never calls it
    "cv2": (),  # deepcad.movie_display opens windows with it; it needs libGL, which a slim image lacks
    "csbdeep": (),  # parent of the next
    "csbdeep.utils": ("normalize",),  # deepcad.movie_display scales pictures with it
}


def upstream(name: str) -> ModuleType:
    """Import a module of deepcad; the stand-ins are visible only while it is imported.

    Parameters
    ----------
    name : str
        Module inside the package, for instance "network".

    Returns
    -------
    module
        `deepcad.<name>`, unchanged.
    """
    added = [module for module in _STAND_INS if module not in sys.modules]
    for module in added:
        sys.modules[module] = _stand_in(module)
    try:
        return importlib.import_module(f"deepcad.{name}")
    finally:
        for module in added:
            del sys.modules[module]


def _stand_in(name: str) -> ModuleType:
    """Make an empty module with the functions that deepcad calls while it is imported; they do nothing."""
    module = importlib.util.module_from_spec(ModuleSpec(name, None, is_package="." not in name))
    for function in _STAND_INS[name]:
        setattr(module, function, _nothing)
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)
    return module


def _nothing(*_: Any, **__: Any) -> None:  # noqa: ANN401 - takes what deepcad gives
    """Do nothing."""
