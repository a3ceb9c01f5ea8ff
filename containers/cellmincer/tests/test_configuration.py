"""Upstream's YAML files and checkpoints, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import yaml

from cellmincer.tests.synthetic import FOLDER, params
from checkpoint import checkpoint_in, load, save
from contract.errors import JobRefused
from correlation import Occlusion
from network import CellMincer
from settings import settings_of
from upstream_keys import NETWORK

MANIFEST = "n_frames_per_segment: 1009\nn_segments: 2\norder: tyx\nsampling_rate: 50\ninfer_active_t_range: true\n"
PREPROCESS = """
bfgs: {lr: 0.1, max_iter: 100, history_size: 100, line_search_fn: strong_wolfe}
dejitter: {enabled: false, detrending_method: mean, detrending_order: 100, show_diagnostic_plots: false}
detrend: {smoothing: none, trend_model: polynomial, poly_order: 0, plot_segments: true, max_iters_per_segment: 3}
device: cuda
feature_depth: 1
noise_estimation: {n_bootstrap: 500, plot_example: true, plot_subsample: 5, stationarity_window: 10}
trim: {n_frames_fit_left: 100, n_frames_fit_right: 250, trim_left: 0, trim_right: 0}
"""
TRAIN = """
model:
  type: spatial-unet-2d-temporal-denoiser
  occlude_padding: true
  padding_mode: reflect
  spatial_unet_depth: 2
  spatial_unet_attention: false
  temporal_denoiser_hidden_dense_layer_dims: [32, 8]
train:
  n_batch: 10
  n_iters: 18000
  occlusion_radius: 1
  optim_params: {type: adamw, betas: [0.9, 0.99], weight_decay: 0.1}
  lr_params: {type: cosine-annealing-warmup, max: 0.0002, min: 0.0, warmup: 0.2}
  output_min_size_lims: [32, 48]
  importance: null
"""


def test_the_keys_of_upstream_set_parameters():
    """Values as written in the texts; those for plots and for L-BFGS are named as without effect."""
    settings = settings_of(params("default", manifest_yaml=MANIFEST, preprocess_yaml=PREPROCESS, train_yaml=TRAIN))
    assert settings.manifest.n_frames_per_segment == 1009
    assert settings.manifest.infer_active_t_range is True
    assert settings.preprocess.poly_order == 0
    assert (settings.preprocess.n_frames_fit_left, settings.preprocess.n_frames_fit_right) == (100, 250)
    assert settings.architecture.hidden_dims == (32, 8)
    assert settings.fitting.occlusion_radius == 1
    assert (settings.fitting.output_min_size, settings.fitting.output_max_size) == (32, 48)
    assert (settings.fitting.optim_beta2, settings.fitting.lr_max, settings.fitting.lr_type) == (0.99, 2e-4, "cosine")
    assert "preprocess_yaml.detrend.plot_segments" in settings.without_effect
    assert "preprocess_yaml.bfgs.max_iter" in settings.without_effect


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("manifest", "infer_active_t_range: trues", "infer_active_t_range: expected true or false, got 'trues'"),
        ("manifest", "n_frames: 10\nframes: 10", "manifest_yaml.frames: unknown key; known are"),
        ("manifest", "order: xyt", "order: expected one of tyx, got 'xyt'"),
        ("preprocess", "trim: {trim_left: 1.5}", "trim_left: expected a whole number, got 1.5"),
        ("preprocess", "detrend: 3", "preprocess_yaml.detrend: expected keys and values, got 3"),
        ("train", "train: {lr_params: {max: 1e-4}}", "max: expected a number, got '1e-4' (YAML needs a dot"),
        ("train", "train: {lr_params: {max_lr: 0.1}}", "max_lr: unknown key; known are max, min, type, warmup"),
        ("train", "train: {output_min_size_lims: [32]}", "expected 2 values, got [32]"),
        ("train", "model: {spatial_unet_attention: true}", "only false is supported, got True"),
        ("train", "train: {n_iters: -5}", "params: n_iters: expected 1 to 100000000, got -5"),
        ("train", "train: {lr_params: {max: .nan}}", "lr_max: expected a finite number, got nan"),
        ("train", "train: {lr_params: {type: linear}}", "lr_type: expected one of cosine, constant, got 'linear'"),
        ("train", "train: {optim_params: {betas: [2.0, 0.9]}}", "optim_beta1: expected 0 to 0.999999, got 2.0"),
        ("train", "model: {spatial_unet_depth: 40}", "spatial_unet_depth: expected 1 to 5, got 40"),
        ("manifest", "n_frames_per_segment: 0", "n_frames_per_segment: expected 2 to 10000000, got 0"),
        (
            "train",
            "model: {spatial_unet_activation: tanh}",
            "expected one of relu, elu, selu, leaky_relu, gelu, softplus, sigmoid, got 'tanh'",
        ),
        ("preprocess", "detrend: {poly_order: -1}", "poly_order: expected 0 to 8, got -1"),
        ("train", "[1, 2", "train_yaml: expected YAML, got"),
        ("train", "just words", "train_yaml: expected keys and values as in upstream's train.yaml, got str"),
    ],
)
def test_a_slip_in_a_file_is_refused_with_a_sentence(file, text, sentence):
    with pytest.raises(JobRefused, match=re.escape(sentence)):
        settings_of(params(**{f"{file}_yaml": text}))


def test_every_parameter_is_used_and_every_preset_holds():
    """Names in algorithm.yaml and fields of the settings are the same; presets change only known parameters."""
    document = yaml.safe_load((FOLDER / "algorithm.yaml").read_text())
    for preset, changes in document["presets"].items():
        assert set(changes) <= set(document["params"]), preset
        settings = settings_of(params(preset))
    parts = (settings.manifest, settings.preprocess, settings.architecture, settings.fitting)
    fields = {name for part in parts for name in part.__slots__}
    ours = {"manifest_yaml", "preprocess_yaml", "train_yaml", "compat", "convergence", "settle", "trend_only"}
    ours |= {"detector", "detector_gaps", "detector_back"}  # read by the contract
    assert fields | ours == set(document["params"])


def test_a_checkpoint_of_upstream_loads_and_gives_the_same_output(tmp_path):
    """Laid out like Lightning's: prefix, numpy integers among the hyper-parameters, optimiser states beside."""
    architecture = settings_of(params()).architecture
    network = CellMincer(architecture, 74).eval()
    config = {name: getattr(architecture, name) for name in architecture.__slots__ if name.startswith("spatial")}
    config |= {"type": "spatial-unet-2d-temporal-denoiser", "n_global_features": np.int64(74), "occlude_padding": True,
               "padding_mode": "reflect", "temporal_denoiser_activation": "relu", "temporal_denoiser_conv_channels": 16,
               "temporal_denoiser_hidden_dense_layer_dims": [16], "temporal_denoiser_kernel_size": 5,
               "temporal_denoiser_n_conv_layers": 3, "spatial_unet_padding": False}  # fmt: skip
    document = {
        "epoch": 9, "global_step": 10, "pytorch-lightning_version": "2.5.6", "callbacks": {}, "loops": {},
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "state_dict": {f"denoising_model.{name}": tensor for name, tensor in network.state_dict().items()},
        "hyper_parameters": {"model_config": config, "train_config": {"x_window": np.int64(62)}},
    }  # fmt: skip
    torch.save(document, tmp_path / "last.ckpt")
    loaded, occlusion = load(checkpoint_in(tmp_path), params("default"))
    assert occlusion == Occlusion()
    assert loaded.architecture.spatial_unet_depth == 2
    frames, features = torch.randn(1, 13, 40, 40), torch.randn(1, 74, 40, 40)
    with torch.no_grad():
        outputs = [
            one.temporal_denoiser(one.embed(frames, one.spatial_unet.contexts(features))) for one in (network, loaded)
        ]
    assert torch.equal(*outputs)


def random_architecture(rng):
    """Return an upstream `model_config` of small sizes and the parameters it sets."""
    activations = ["relu", "elu", "selu", "leaky_relu", "gelu", "softplus", "sigmoid"]
    kernel = int(rng.choice([3, 5]))
    config = {
        "spatial_unet_activation": str(rng.choice(activations)), "spatial_unet_batch_norm": bool(rng.integers(2)),
        "spatial_unet_depth": int(rng.integers(1, 4)), "spatial_unet_kernel_size": 3,
        "spatial_unet_feature_mode": str(rng.choice(["repeat", "once", "none"])),
        "spatial_unet_first_conv_channels": int(rng.integers(2, 6)),
        "spatial_unet_n_conv_layers": int(rng.integers(1, 4)),
        "temporal_denoiser_activation": str(rng.choice(activations)), "temporal_denoiser_kernel_size": kernel,
        "temporal_denoiser_conv_channels": int(rng.integers(2, 6)),
        "temporal_denoiser_n_conv_layers": int(rng.integers(1, 4)),
    }  # fmt: skip
    hidden = rng.integers(2, 6, rng.integers(0, 3)).tolist()
    settings = settings_of(params(**config, temporal_denoiser_hidden_dense_layer_dims=",".join(map(str, hidden))))
    return config | {"temporal_denoiser_hidden_dense_layer_dims": hidden}, settings.architecture


@pytest.mark.parametrize("seed", range(30))
def test_a_checkpoint_of_any_activation_and_readout_kernel_loads_and_gives_the_same_output(tmp_path, seed):
    """Random sizes, activations and read-outs; saved once more, it loads again."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    config, architecture = random_architecture(rng)
    network = CellMincer(architecture, 37).eval()
    state = {f"denoising_model.{name}": tensor for name, tensor in network.state_dict().items()}
    readout = int(rng.choice([1, 3, 5]))
    for name in [name for name in state if "readout" in name and state[name].ndim == 4]:
        if rng.integers(2) or "readout.0" in name:
            state[name] = torch.randn(*state[name].shape[:2], readout, readout)
    config |= {"type": NETWORK, "n_global_features": np.int64(37), "spatial_unet_readout_kernel_size": readout}
    torch.save({"state_dict": state, "hyper_parameters": {"model_config": config}}, tmp_path / "last.ckpt")
    loaded, _ = load(checkpoint_in(tmp_path), params("default"))
    save(tmp_path, loaded, Occlusion(), {})
    again, _ = load(checkpoint_in(tmp_path), params("default"))
    assert sorted(again.state_dict()) == sorted(network.state_dict())
    side = architecture.valid.input_size(8)
    frames, features = torch.randn(1, architecture.t_order + 1, side, side), torch.randn(1, 37, side, side)
    with torch.no_grad():
        outputs = [
            one.temporal_denoiser(one.embed(frames, one.spatial_unet.contexts(features)))
            for one in (network, loaded, again)
        ]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def test_a_checkpoint_of_ours_holds_what_was_hidden(tmp_path):
    network = CellMincer(settings_of(params("smoke")).architecture, 74)
    save(tmp_path, network, Occlusion(x=2, y=1, t=1), {"evidence": {}})
    loaded, occlusion = load(checkpoint_in(tmp_path), params("default"))
    assert occlusion == Occlusion(x=2, y=1, t=1)
    assert loaded.architecture == network.architecture


def test_a_checkpoint_of_a_network_beyond_all_ranges_is_refused(tmp_path):
    """Before any of it is built."""
    config = {"type": "spatial-unet-2d-temporal-denoiser", "n_global_features": 74, "spatial_unet_depth": 40}
    torch.save({"state_dict": {}, "hyper_parameters": {"model_config": config}}, tmp_path / "last.ckpt")
    with pytest.raises(JobRefused, match=r"last.ckpt: model_config: spatial_unet_depth: expected 1 to 5, got 40"):
        load(tmp_path / "last.ckpt", params())


class Harmful:
    """A pickle of this would call print when it is loaded."""

    def __reduce__(self):
        return print, ("called",)


def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys):
    torch.save({"state_dict": Harmful()}, tmp_path / "last.ckpt")
    with pytest.raises(JobRefused, match="expected a checkpoint of tensors and plain values"):
        load(tmp_path / "last.ckpt", params())
    assert capsys.readouterr().out == ""


def test_an_empty_checkpoint_folder_is_refused(tmp_path):
    with pytest.raises(JobRefused, match="got none; has training ended"):
        checkpoint_in(tmp_path)
