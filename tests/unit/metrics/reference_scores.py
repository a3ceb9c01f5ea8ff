"""Score movies with the reference libraries, as the published study did. Runs in the reference environment.

Usage: reference_scores.py INPUT.npz OUTPUT.json

INPUT holds, per case, ``<case>/target`` and ``<case>/prediction`` of shape (T, Y, X), ``<case>/data_range`` and
``<case>/every``. OUTPUT gets, per case, the four scores per frame, the MicroSSIM parameters and the seconds.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np


def _stand_in_for_torch() -> None:
    """Let both packages import without torch: only their multi-scale metrics, not compared here, use it."""
    torch = ModuleType("torch")
    torch.Tensor = torch.tensor = type("Tensor", (), {})
    image = ModuleType("torchmetrics.image")
    image.MultiScaleStructuralSimilarityIndexMeasure = type("Unused", (), {})
    sys.modules.update({"torch": torch, "torchmetrics": ModuleType("torchmetrics"), "torchmetrics.image": image})


def _careamics_metrics() -> ModuleType:
    """Load the metrics module of careamics alone: the package's own import needs all of its dependencies."""
    files = importlib.metadata.files("careamics") or []
    path = next(file.locate() for file in files if str(file) == "careamics/metrics/metrics.py")
    spec = importlib.util.spec_from_file_location("careamics_metrics", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_stand_in_for_torch()
careamics = _careamics_metrics()
from microssim import MicroSSIM  # noqa: E402 - needs the stand-in
from skimage.metrics import structural_similarity  # noqa: E402 - beside its user


def score(target: np.ndarray, prediction: np.ndarray, data_range: float, every: int) -> dict[str, object]:
    """Score one movie with the study's loop."""
    start = time.perf_counter()
    fitted = MicroSSIM().fit(target[::every], prediction[::every])
    columns = {"psnr": [], "si_psnr": [], "ssim": [], "microssim": []}
    for truth, guess in zip(target, prediction, strict=True):
        columns["ssim"].append(structural_similarity(truth, guess, data_range=data_range))
        columns["psnr"].append(careamics.psnr(truth, guess, data_range=data_range))
        columns["si_psnr"].append(careamics.scale_invariant_psnr(truth, guess))
        columns["microssim"].append(fitted.score(truth, guess))
    seconds = time.perf_counter() - start
    parameters = {name: float(value) for name, value in fitted.get_parameters().items()}
    return {name: [float(value) for value in values] for name, values in columns.items()} | {
        "parameters": parameters,
        "seconds": seconds,
    }


def main() -> None:
    """Score every case of the input file."""
    source, destination = map(Path, sys.argv[1:])
    with np.load(source) as arrays:
        cases = sorted({name.rsplit("/", 1)[0] for name in arrays.files})
        results = {
            case: score(
                arrays[f"{case}/target"],
                arrays[f"{case}/prediction"],
                float(arrays[f"{case}/data_range"]),
                int(arrays[f"{case}/every"]),
            )
            for case in cases
        }
    destination.write_text(json.dumps(results, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
