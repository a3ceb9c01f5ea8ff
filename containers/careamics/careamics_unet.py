"""The UNet of careamics and its layers, of whichever version is installed, without the rest of careamics."""

from without_init import STUDY, bare_careamics

VERSION = bare_careamics()

if VERSION == STUDY:
    from careamics.models.layers import Conv_Block, MaxBlurPool
    from careamics.models.unet import UNet, UnetDecoder
else:
    from careamics.models.unet.layers import Conv_Block, MaxBlurPool
    from careamics.models.unet.unet import UNet, UnetDecoder

__all__ = ["VERSION", "Conv_Block", "MaxBlurPool", "UNet", "UnetDecoder"]
