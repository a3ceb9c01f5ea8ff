"""The keys of upstream's three YAML files, and which parameter each of them sets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["flag", "int", "number", "text", "ints", "numbers"]
EXPECTED: dict[Kind, str] = {
    "flag": "true or false",
    "int": "a whole number",
    "number": "a number",
    "text": "a text",
    "ints": "a list of whole numbers",
    "numbers": "a list of numbers",
}
NETWORK = "spatial-unet-2d-temporal-denoiser"


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One key of an upstream file.

    Parameters
    ----------
    kind : Kind
        Type of its value.
    params : tuple of str
        Parameters it sets; none for a key without effect here.
    choices : tuple of str
        Texts allowed; empty for any.
    null : bool
        Whether null is allowed.
    convert : callable, optional
        Value to the tuple of parameter values; by default the value itself.
    only : object
        The single value supported; None for any.
    """

    kind: Kind
    params: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    null: bool = False
    convert: Callable[[Any], tuple[Any, ...]] | None = None
    only: object = None


def _same(kind: Kind, *names: str, null: bool = False) -> dict[str, Key]:
    return {name: Key(kind=kind, params=(name,), null=null) for name in names}


def _prefixed(prefix: str, kind: Kind, *names: str, null: bool = False) -> dict[str, Key]:
    return {name: Key(kind=kind, params=(prefix + name,), null=null) for name in names}


def _ignored(kind: Kind, *names: str, null: bool = True) -> dict[str, Key]:
    return {name: Key(kind=kind, null=null) for name in names}


def _lr_type(value: str) -> tuple[str]:
    """Take the first word: upstream's schedules are "constant" and a cosine with a longer name."""
    return (re.split("[-_ ]", value)[0],)


def _joined(value: list[int]) -> tuple[str]:
    return (",".join(map(str, value)),)


_MANIFEST: dict[str, Any] = {
    **_same("int", "n_frames_per_segment", "n_segments", null=True),
    **_same("number", "sampling_rate", null=True),
    **_same("flag", "infer_active_t_range"),
    "order": Key(kind="text", choices=("tyx",)),
    **_ignored("int", "n_frames", "width", "height"),
    **_ignored("text", "key"),
    "stim": _prefixed("stim_", "int", "segment_start", "segment_end", "frame_start", "frame_end"),
}
_PREPROCESS: dict[str, Any] = {
    "bfgs": {
        **_ignored("number", "lr", "tolerance_grad", "tolerance_change"),
        **_ignored("int", "max_iter", "max_eval", "history_size"),
        **_ignored("text", "line_search_fn"),
    },
    "dejitter": {
        **_prefixed("dejitter_", "flag", "enabled"),
        "detrending_method": Key(
            kind="text", params=("dejitter_detrending_method",), choices=("mean", "median", "stft")
        ),
        **_prefixed("dejitter_", "int", "detrending_order", "ignore_first_n_frames"),
        **_prefixed("dejitter_", "number", "ccd_dc_offset", null=True),
        **_prefixed("dejitter_", "int", "stft_nperseg", "stft_noverlap"),
        **_prefixed("dejitter_", "number", "stft_lp_slope", "stft_lp_cutoff"),
        **_ignored("number", "stft_fs"),
        **_ignored("flag", "show_diagnostic_plots"),
    },
    "detrend": {
        "smoothing": Key(kind="text", params=("smoothing",), choices=("none", "median")),
        **_same("int", "smoothing_window", "poly_order"),
        "trend_model": Key(kind="text", params=("trend_model",), choices=("polynomial", "exponential")),
        **_ignored("number", "init_unc_decay_rate"),
        **_ignored("int", "max_iters_per_segment"),
        **_ignored("flag", "plot_segments"),
    },
    **_ignored("text", "device", "log_dir"),
    **_same("int", "feature_depth"),
    "noise_estimation": {
        **_same("int", "n_bootstrap", "stationarity_window"),
        **_ignored("flag", "plot_example"),
        **_ignored("int", "plot_subsample"),
    },
    "trim": _same("int", "n_frames_fit_left", "n_frames_fit_right", "trim_left", "trim_right"),
}
MODEL: dict[str, Any] = {
    "type": Key(kind="text", choices=(NETWORK, NETWORK.replace("-", "_"))),
    **_same("flag", "occlude_padding", "spatial_unet_batch_norm"),
    "padding_mode": Key(kind="text", params=("padding_mode",), choices=("reflect", "constant")),
    **_same("number", "clip", null=True),
    **_same("text", "spatial_unet_activation", "spatial_unet_feature_mode", "temporal_denoiser_activation"),
    **_same("int", "spatial_unet_depth", "spatial_unet_first_conv_channels", "spatial_unet_kernel_size"),
    **_same("int", "spatial_unet_n_conv_layers", "temporal_denoiser_conv_channels"),
    **_same("int", "temporal_denoiser_kernel_size", "temporal_denoiser_n_conv_layers"),
    "temporal_denoiser_hidden_dense_layer_dims": Key(
        kind="ints", params=("temporal_denoiser_hidden_dense_layer_dims",), convert=_joined
    ),
    "spatial_unet_attention": Key(kind="flag", only=False),
    "spatial_unet_padding": Key(kind="flag", only=False),
    **_ignored("int", "spatial_unet_readout_kernel_size"),
}
_TRAIN: dict[str, Any] = {
    "model": MODEL,
    "train": {
        **_same("int", "n_batch", "n_iters", "t_tandem"),
        **_same("number", "norm_p", "occlusion_prob"),
        **_same("int", "occlusion_radius", null=True),
        "output_min_size_lims": Key(kind="ints", params=("output_min_size", "output_max_size"), convert=tuple),
        "optim_params": {
            "type": Key(kind="text", params=("optim_type",), choices=("adamw", "sgd")),
            "betas": Key(kind="numbers", params=("optim_beta1", "optim_beta2"), convert=tuple),
            **_prefixed("optim_", "number", "weight_decay", "momentum"),
        },
        "lr_params": {
            "type": Key(kind="text", params=("lr_type",), convert=_lr_type),
            **_prefixed("lr_", "number", "max", "min", "warmup"),
        },
        "importance": {
            **_prefixed("importance_", "number", "pivot", null=True),
            **_prefixed("importance_", "int", "n_sample"),
            "n_samples": Key(kind="int", params=("importance_n_sample",)),
        },
    },
}
FILES: dict[str, dict[str, Any]] = {"manifest": _MANIFEST, "preprocess": _PREPROCESS, "train": _TRAIN}
