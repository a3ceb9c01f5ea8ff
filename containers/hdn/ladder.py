"""The ladder VAE of careamics 0.3.5, built from the parameters of a job."""

from __future__ import annotations

from functools import partial, partialmethod
from typing import TYPE_CHECKING, Any

from contract.errors import JobRefused
from without_init import bare_careamics, torchvision_stand_in

if TYPE_CHECKING:
    from collections.abc import Mapping

bare_careamics()
torchvision_stand_in()

from careamics.models.lvae.lvae import LadderVAE  # noqa: E402 - importable only after the two lines above
from careamics.models.lvae.stochastic import NormalStochasticBlock  # noqa: E402 - as above

# Upstream crops latents to an even size, which leaves nothing of the 1 x 1 latent of six layers over a 64 pixel patch.
NormalStochasticBlock.process_q_params = partialmethod(NormalStochasticBlock.process_q_params, allow_oddsizes=True)


def build_ladder(params: Mapping[str, Any]) -> LadderVAE:
    """Build a network with random weights, from the global generator of torch.

    Parameters
    ----------
    params : mapping
        The parameters of algorithm.yaml: patch_size, n_layers, z_dim, blocks_per_layer, encoder_n_filters,
        decoder_n_filters, encoder_dropout, decoder_dropout, nonlinearity, analytical_kl, use_uncond_mode_at.

    Returns
    -------
    LadderVAE
        Takes and returns standardised intensities of shape (B, 1, Y, X), Y and X multiples of `multiple_of(params)`.

    Raises
    ------
    JobRefused
        When the patch is no multiple of what the layers need, or a layer is named that is not there.
    """
    size, multiple = params["patch_size"], multiple_of(params)
    if size % multiple:
        message = f"patch_size: expected a multiple of {multiple} for n_layers {params['n_layers']}, got {size}"
        raise JobRefused(message)
    network = _class_with_blocks(params["blocks_per_layer"])(
        input_shape=(size, size),
        output_channels=1,
        multiscale_count=1,
        z_dims=[params["z_dim"]] * params["n_layers"],
        encoder_n_filters=params["encoder_n_filters"],
        decoder_n_filters=params["decoder_n_filters"],
        encoder_conv_strides=[2, 2],
        decoder_conv_strides=[2, 2],
        encoder_dropout=params["encoder_dropout"],
        decoder_dropout=params["decoder_dropout"],
        nonlinearity=params["nonlinearity"],
        predict_logvar=None,
        analytical_kl=params["analytical_kl"],
    )
    for layer in _unconditional_layers(params):
        # Upstream's layers can do without the encoder, its network has no way to say so.
        block = network.top_down_layers[layer]
        block.forward = partial(block.forward, use_uncond_mode=True)
    return network


def multiple_of(params: Mapping[str, Any]) -> int:
    """Return what height and width must be a multiple of: every layer halves them."""
    return int(2 ** params["n_layers"])


def _unconditional_layers(params: Mapping[str, Any]) -> list[int]:
    text = params["use_uncond_mode_at"]
    layers = text.split(",") if text else []
    top = params["n_layers"] - 1
    if not all(layer.strip().isdigit() and int(layer) < top for layer in layers):
        message = f"use_uncond_mode_at: expected layers below {top} like '0,1', or nothing, got {text!r}"
        raise JobRefused(message)
    return [int(layer) for layer in layers]


def _class_with_blocks(blocks: int) -> type[LadderVAE]:
    """Return the network with more than the one residual block per layer that upstream's constructor writes down."""
    fixed = property(lambda _: blocks, lambda _, __: None)
    return type("LadderVAE", (LadderVAE,), {"encoder_blocks_per_layer": fixed, "decoder_blocks_per_layer": fixed})
