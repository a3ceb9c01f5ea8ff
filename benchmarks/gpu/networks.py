"""DeepCAD-RT's network alone: speed and memory in each arithmetic and layout, compiled, as a graph, and by batch size.

Usage: networks.py PART DEVICE TINY FILE; started by gpu.bench with containers/deepcad on the path.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import torch
from clock import seconds, wait
from figure_file import main

from checkpoints import new_network
from lean import lean_forward

if TYPE_CHECKING:
    from collections.abc import Callable

    from figure_file import Told

_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def tile(told: Told, device: str, tiny: bool) -> None:  # noqa: FBT001 - one form for all parts
    """Time upstream's network and the lean one on one tile."""
    edge = 16 if tiny else 208
    kinds = (*_DTYPES, "TF32") if device == "cuda" else _DTYPES
    for precision, layout, kind in product(kinds, _LAYOUTS, ("upstream", "lean")):
        case = f"{kind}, {precision}, {layout}, {edge}^3"
        call = partial(_forward(device, precision, layout, kind), _windows(device, 1, edge, layout))
        before = _peak(device)
        took_s = seconds(call, device)
        told.tell(case, "voxels a second", edge**3 / took_s / 1e6, "million/s", arithmetic=_arithmetic(precision))
        if device == "cuda":
            told.tell(case, "activations", (_peak(device) - before) / edge**3, "bytes a voxel", "cuDNN included")
            torch.cuda.empty_cache()


def _peak(device: str) -> int:
    """Return the peak of GPU memory since the last call, which ends where memory is now."""
    if device != "cuda":
        return 0
    peak = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return peak


def _arithmetic(precision: str) -> str:
    return "" if precision == "float32" else precision


def _forward(device: str, precision: str, layout: str, kind: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a network with random weights, without gradients."""
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = precision == "TF32"
    network = new_network(16).to(device, memory_format=_LAYOUTS[layout]).eval()
    apply = network if kind == "upstream" else partial(lean_forward, network)

    def forward(window: torch.Tensor) -> torch.Tensor:
        half = precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            return apply(window)

    return forward


def _windows(device: str, batch: int, edge: int, layout: str) -> torch.Tensor:
    """Return tiles of noise; the first is the same for every batch."""
    made = torch.randn(batch, 1, edge, edge, edge, generator=torch.Generator().manual_seed(1)) * 100
    return made.to(device, memory_format=_LAYOUTS[layout])


def batches(told: Told, device: str, tiny: bool) -> None:  # noqa: FBT001 - one form for all parts
    """Time several tiles at once, and see whether a tile's values depend on how many there are."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    edge, layout = 16 if tiny else 64, "channels_last_3d"
    for precision in _DTYPES:
        forward = _forward(device, precision, layout, "lean")
        for batch in (1, 2, 4, 8):
            windows = _windows(device, batch, edge, layout)
            case = f"lean, {precision}, {batch} x {edge}^3"
            took_s = seconds(partial(forward, windows), device)
            voxels = batch * edge**3 / 1e6
            told.tell(case, "voxels a second", voxels / took_s, "million/s", arithmetic=_arithmetic(precision))
            difference = float((forward(windows)[:1].float() - forward(windows[:1]).float()).abs().max())
            note = "bitwise equal" if difference == 0 else "not bitwise equal"
            told.tell(case, "largest difference to one tile alone", difference, "grey levels", note)


def host(told: Told, device: str, tiny: bool) -> None:  # noqa: FBT001 - one form for all parts
    """Tell which share of the time of a forward pass the card works, by torch's profiler."""
    edge = 16 if tiny else 208
    layout = "channels_last_3d"
    call = partial(_forward(device, "bfloat16", layout, "lean"), _windows(device, 1, edge, layout))
    took_s = seconds(call, device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        call()
        wait(device)
    busy_s = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    case = f"lean, bfloat16, {edge}^3"
    told.tell(case, "share of time that the card works", busy_s / took_s, arithmetic="bfloat16")


def compiled(told: Told, device: str, tiny: bool) -> None:  # noqa: FBT001 - one form for all parts
    """Time one shape as a CUDA graph and as torch.compile makes it; on a CPU see that it can be compiled."""
    edge = 16 if tiny else 64
    layout = "channels_last_3d"
    call = partial(_forward(device, "bfloat16", layout, "lean"), _windows(device, 1, edge, layout))
    calls = {"eager": call}
    if device == "cuda":
        call()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        calls["CUDA graph"] = graph.replay
    calls["torch.compile"] = torch.compile(call, backend="inductor" if device == "cuda" else "eager")
    for name, one in calls.items():
        took_ms = 1e3 * seconds(one, device)
        told.tell(name, "time of a tile", took_ms, "ms", f"bfloat16, {edge}^3", arithmetic="bfloat16")


if __name__ == "__main__":
    main({"tile": tile, "batches": batches, "host": host, "compiled": compiled})
