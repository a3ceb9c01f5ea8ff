"""The parameters of a job as data; every field bears the name of its parameter.

Names are upstream's YAML keys; a key whose name says too little alone carries its section as prefix
(`dejitter.enabled` is `dejitter_enabled`), and a list of two numbers became two parameters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from contract.errors import JobRefused
from contract.params import declared, misfits
from padding import Valid
from upstream_yaml import overrides

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contract.params import Param

_Part = TypeVar("_Part")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What upstream's manifest says about a movie: segments, rate (Hz), stimulus and active frames."""

    n_frames_per_segment: int | None
    n_segments: int | None
    sampling_rate: float | None
    infer_active_t_range: bool
    stim_segment_start: int | None
    stim_segment_end: int | None
    stim_frame_start: int | None
    stim_frame_end: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocess:
    """Upstream's preprocess keys that have an effect: dejitter, noise estimation, detrend, trim, features."""

    dejitter_enabled: bool
    dejitter_detrending_method: str
    dejitter_detrending_order: int
    dejitter_ignore_first_n_frames: int
    dejitter_ccd_dc_offset: float | None
    dejitter_stft_nperseg: int
    dejitter_stft_noverlap: int
    dejitter_stft_lp_slope: float
    dejitter_stft_lp_cutoff: float
    n_bootstrap: int
    stationarity_window: int
    smoothing: str
    smoothing_window: int
    trend_model: str
    poly_order: int
    n_frames_fit_left: int | None
    n_frames_fit_right: int | None
    trim_left: int
    trim_right: int
    feature_depth: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """Upstream's model keys."""

    occlude_padding: bool
    padding_mode: str
    clip: float | None
    spatial_unet_activation: str
    spatial_unet_batch_norm: bool
    spatial_unet_depth: int
    spatial_unet_feature_mode: str
    spatial_unet_first_conv_channels: int
    spatial_unet_kernel_size: int
    spatial_unet_n_conv_layers: int
    temporal_denoiser_activation: str
    temporal_denoiser_conv_channels: int
    temporal_denoiser_hidden_dense_layer_dims: str
    temporal_denoiser_kernel_size: int
    temporal_denoiser_n_conv_layers: int

    @property
    def hidden_dims(self) -> tuple[int, ...]:
        """Channels of the hidden layers of the temporal read-out."""
        return tuple(int(text) for text in self.temporal_denoiser_hidden_dense_layer_dims.split(",") if text.strip())

    @property
    def t_order(self) -> int:
        """Frames that one denoised frame is made from."""
        return 1 + self.temporal_denoiser_n_conv_layers * (self.temporal_denoiser_kernel_size - 1)

    @property
    def valid(self) -> Valid:
        """Sizes of the spatial network."""
        return Valid(
            depth=self.spatial_unet_depth,
            n_conv_layers=self.spatial_unet_n_conv_layers,
            kernel_size=self.spatial_unet_kernel_size,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitting:
    """Upstream's train keys, and `occlusion_frames`, which upstream lacks."""

    n_batch: int
    n_iters: int
    norm_p: float
    occlusion_prob: float
    occlusion_radius: int | None
    occlusion_frames: int | None
    optim_type: str
    optim_beta1: float
    optim_beta2: float
    optim_weight_decay: float
    optim_momentum: float
    lr_type: str
    lr_max: float
    lr_min: float
    lr_warmup: float
    output_min_size: int
    output_max_size: int
    t_tandem: int
    importance_pivot: float | None
    importance_n_sample: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything a job says.

    Parameters
    ----------
    manifest, preprocess, architecture, fitting
        See there.
    upstream : bool
        Keep upstream's behaviour where a fix changes numbers.
    require_convergence : bool
        End as "did not converge" where the evidence says so, instead of only reporting it.
    settle : bool
        Bring the mean of predictions to that of the movie after training.
    trend_only : bool
        Write the control that consists of the trend alone beside the predictions.
    without_effect : tuple of str
        YAML keys that were accepted but change nothing here.
    """

    manifest: Manifest
    preprocess: Preprocess
    architecture: Architecture
    fitting: Fitting
    upstream: bool
    require_convergence: bool
    settle: bool
    trend_only: bool
    without_effect: tuple[str, ...]


def settings_of(params: Mapping[str, Any]) -> Settings:
    """Read the parameters of a job; keys of the YAML texts win over parameters.

    Parameters
    ----------
    params : mapping
        Complete parameters, see algorithm.yaml.

    Raises
    ------
    JobRefused
        For an unknown or mistyped YAML key, and for values that do not fit together.
    """
    texts = {name: str(params[f"{name}_yaml"]) for name in ("manifest", "preprocess", "train")}
    found, without_effect = overrides(texts)
    merged = _fitting({**params, **found}, "params")
    settings = Settings(
        manifest=_part(Manifest, merged),
        preprocess=_part(Preprocess, merged),
        architecture=_part(Architecture, merged),
        fitting=_part(Fitting, merged),
        upstream=merged["compat"] == "upstream",
        require_convergence=merged["convergence"] == "required",
        settle=merged["settle"] and merged["compat"] != "upstream",
        trend_only=merged["trend_only"],
        without_effect=without_effect,
    )
    wrong = [sentence for holds, sentence in _rules(settings) if not holds]
    if wrong:
        raise JobRefused("params: " + "; ".join(wrong))
    return settings


def architecture_of(params: Mapping[str, Any], where: str) -> Architecture:
    """Read the parameters of the network alone.

    Parameters
    ----------
    params : mapping
        Complete parameters.
    where : str
        Name for messages.

    Raises
    ------
    JobRefused
        For a value out of range or not among the choices.
    """
    return _part(Architecture, _fitting(params, where))


def _fitting(params: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    if wrong := list(misfits(params, _declared())):
        raise JobRefused(f"{where}: " + "; ".join(wrong))
    return params


@cache
def _declared() -> dict[str, Param]:
    """Read algorithm.json, which images hold, or algorithm.yaml, of which it is made."""
    made = Path(__file__).with_name("algorithm.json")
    document = json.loads(made.read_text()) if made.exists() else yaml.safe_load(made.with_suffix(".yaml").read_text())
    return declared(document["params"])


def _part(kind: type[_Part], params: Mapping[str, Any]) -> _Part:
    return kind(**{field.name: params[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def _rules(settings: Settings) -> Iterator[tuple[bool, str]]:
    """Yield what must hold of the values beyond their ranges, each with the sentence that says so."""
    network, fitting, preprocess = settings.architecture, settings.fitting, settings.preprocess
    dims = network.temporal_denoiser_hidden_dense_layer_dims
    numbers = all(text.strip().isdigit() and int(text) > 0 for text in dims.split(",") if text.strip())
    yield numbers, f"temporal_denoiser_hidden_dense_layer_dims: expected positive numbers and commas, got {dims!r}"
    low, high = fitting.output_min_size, fitting.output_max_size
    yield high // 2 * 2 >= low, f"output_min_size: expected at most the even number below output_max_size, got {low}"
    even = fitting.importance_pivot is None or fitting.n_batch % 2 == 0
    yield even, "n_batch: expected an even number for importance sampling"
    odd = preprocess.smoothing == "none" or preprocess.smoothing_window % 2 == 1
    yield odd, f"smoothing_window: expected an odd number, got {preprocess.smoothing_window}"
    overlap = preprocess.dejitter_stft_noverlap
    yield overlap < preprocess.dejitter_stft_nperseg, "dejitter_stft_noverlap: expected less than dejitter_stft_nperseg"
