"""The card itself: what it is, whether its bfloat16 and TF32 convolutions are right, how fast memory and layers are.

Usage: kernels.py PART DEVICE TINY FILE; started by gpu.bench. Needs torch only.
"""

from __future__ import annotations

import platform
import subprocess
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import torch
from clock import seconds
from figure_file import SOUND, VERDICT, main
from torch.nn import functional

from contract.pooling import LargestOfEight

if TYPE_CHECKING:
    from figure_file import Told

_GIB = 2**30
_LIMIT = {torch.bfloat16: 0.02, torch.float32: 0.005}  # of the largest value; bfloat16 has 8 bits, TF32 11
_FLOAT32 = 1e-5  # of the largest value; only float32 is as close
_LAYERS = ((16, 16), (48, 16), (32, 64))  # channels in and out, of DeepCAD-RT's network
_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}


def machine(told: Told, device: str, tiny: bool) -> None:  # noqa: ARG001, FBT001 - one form for all parts
    """Tell what this is measured on."""
    told.tell("machine", "card", torch.cuda.get_device_name() if device == "cuda" else "none")
    told.tell("machine", "python", platform.python_version())
    told.tell("machine", "torch", torch.__version__)
    told.tell("machine", "cpu", _cpu())
    if device != "cuda":
        return
    free, total = torch.cuda.mem_get_info()
    told.tell("machine", "driver", _driver())
    told.tell("machine", "CUDA of torch", torch.version.cuda)
    told.tell("machine", "cuDNN", torch.backends.cudnn.version())
    told.tell("machine", "compute capability", ".".join(map(str, torch.cuda.get_device_capability())))
    told.tell("machine", "GPUs", torch.cuda.device_count(), "", "a run uses one; several runs side by side use more")
    told.tell("machine", "GPU memory", total / _GIB, "GiB")
    told.tell("machine", "free of it", free / _GIB, "GiB")


def _kinds(device: str) -> tuple[str, ...]:
    """Return the arithmetics of a device."""
    return ("float32", "bfloat16", "TF32") if device == "cuda" else ("float32", "bfloat16")


def _cpu() -> str:
    with open("/proc/cpuinfo") as stream:  # noqa: PTH123 - not a file of the project
        names = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def _driver() -> str:
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.split("\n")[0]
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def agreement(told: Told, device: str, tiny: bool) -> None:  # noqa: FBT001 - one form for all parts
    """Compare convolutions and their gradients in bfloat16 and TF32 with float64 on the CPU."""
    edge = 8 if tiny else 24
    verdicts: dict[str, set[str]] = {kind: set() for kind in _kinds(device)[1:]}
    for dimensions in (2, 3):
        torch.manual_seed(0)
        image = torch.randn(2, 16, *[edge] * dimensions, dtype=torch.float64)
        weight = torch.randn(16, 16, *[3] * dimensions, dtype=torch.float64) / (16 * 3**dimensions) ** 0.5
        expected = _convolved(image, weight)
        for kind in verdicts:
            dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32
            torch.backends.cudnn.allow_tf32 = kind == "TF32"
            found = _convolved(image.to(device, dtype), weight.to(device, dtype))
            pairs = zip(("values", "gradient of the input", "gradient of the weights"), expected, found, strict=True)
            for name, right, got in pairs:
                worst = float((got.double().cpu() - right).abs().max() / right.abs().max())
                verdict = _verdict(kind, worst, dtype)
                told.tell(f"conv{dimensions}d {kind}", f"largest error of {name}", worst, "of the largest", verdict)
                verdicts[kind] |= {verdict}
    for kind, found_all in verdicts.items():
        told.tell(kind, VERDICT, min(found_all, key=lambda verdict: verdict == SOUND))


def _verdict(kind: str, error: float, dtype: torch.dtype) -> str:
    if not error < _LIMIT[dtype]:
        return "convolutions are WRONG on this card"
    if kind == "TF32" and error < _FLOAT32:
        return "torch computes in float32 instead"
    if kind == "bfloat16" and torch.__version__.startswith("2.9."):  # pytorch/pytorch#166122
        return "torch 2.9 computes 3D convolutions in bfloat16 without cuDNN"
    return SOUND


def _convolved(image: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    image, weight = image.clone().requires_grad_(), weight.clone().requires_grad_()
    convolve = functional.conv2d if image.dim() == 4 else functional.conv3d  # noqa: PLR2004 - N, C and two axes
    output = convolve(image, weight, padding=1)
    output.square().sum().backward()
    return output.detach(), image.grad, weight.grad


def roofline(told: Told, device: str, tiny: bool) -> None:  # noqa: FBT001 - one form for all parts
    """Time copies and the layers of a 3D network in each arithmetic and layout."""
    torch.backends.cudnn.allow_tf32 = False
    count = 2**22 if tiny else 2**30
    source, target = torch.empty(2, count, dtype=torch.uint8, device=device)
    told.tell("memory", "copy", 2 * count / seconds(lambda: target.copy_(source), device) / 1e9, "GB/s")
    if device == "cuda":
        _transfers(told, count)
    edge = 12 if tiny else 128
    for (into, out), kind, layout in product(_LAYERS, _kinds(device), _LAYOUTS):
        dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32
        torch.backends.cudnn.allow_tf32 = kind == "TF32"
        case, arithmetic = f"conv3d {into} to {out}, {kind}, {layout}", "" if kind == "float32" else kind
        image = torch.randn(1, into, edge, edge, edge, device=device, dtype=dtype)
        image = image.to(memory_format=_LAYOUTS[layout])
        weight = torch.randn(out, into, 3, 3, 3, device=device, dtype=dtype).to(memory_format=_LAYOUTS[layout])
        took_s = seconds(lambda i=image, w=weight: functional.conv3d(i, w, padding=1), device)
        teraflop = 2 * 27 * into * out * edge**3 / 1e12
        told.tell(case, "speed", teraflop / took_s, "TFLOP/s", arithmetic=arithmetic)
        traffic = (into + out) * edge**3 * image.element_size()
        told.tell(case, "traffic", traffic / took_s / 1e9, "GB/s", arithmetic=arithmetic)
    torch.backends.cudnn.allow_tf32 = False
    _poolings(told, device, edge)


def _transfers(told: Told, count: int) -> None:
    for kind in ("pageable", "pinned"):
        host = torch.empty(count, dtype=torch.uint8, pin_memory=kind == "pinned")
        card = torch.empty(count, dtype=torch.uint8, device="cuda")
        for name, copy in {"to": partial(card.copy_, host), "from": partial(host.copy_, card)}.items():
            told.tell(f"memory, {kind}", f"{name} the card", count / seconds(copy, "cuda") / 1e9, "GB/s")


def _poolings(told: Told, device: str, edge: int) -> None:
    for dtype, layout in product((torch.float32, torch.bfloat16), _LAYOUTS):
        image = torch.randn(1, 16, edge, edge, edge, device=device, dtype=dtype).to(memory_format=_LAYOUTS[layout])
        calls = {
            "max_pool3d": lambda i=image: functional.max_pool3d(i, 2),
            "maximum of 8 views": lambda i=image: LargestOfEight()(i),
            "nearest upsampling": lambda i=image: functional.interpolate(i, scale_factor=2, mode="nearest"),
            "trilinear upsampling": lambda i=image: functional.interpolate(i, scale_factor=2, mode="trilinear"),
        }
        for name, call in calls.items():
            kept = call().is_contiguous(memory_format=_LAYOUTS[layout])
            note = "keeps the layout" if kept else "changes the layout"
            kind = str(dtype)[6:]
            arithmetic = "" if kind == "float32" else kind
            told.tell(f"{name}, {kind}, {layout}", "time", 1e3 * seconds(call, device), "ms", note, arithmetic)


if __name__ == "__main__":
    main({"machine": machine, "agreement": agreement, "roofline": roofline})
