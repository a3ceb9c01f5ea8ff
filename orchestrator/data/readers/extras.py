"""Packages that only some formats need: asked for when such a movie is opened, with how to install them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path


def imported(module: str, extra: str, path: Path) -> Any:  # noqa: ANN401 - packages without types
    """Import a package of an optional extra of calm.

    Raises
    ------
    BadInput
        When it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = f"{path}: expected the package {module}, which reads this format, got none"
        raise BadInput(message, f"Install it: pip install 'calm[{extra}]' (from a checkout: '.[{extra}]').") from error
