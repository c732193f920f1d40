"""The runs of layers that papers build their blocks of."""

from ..errors import ArgumentError
from ._arguments import number
from .activation import ReLU
from .conv import Conv2d
from .module import Module
from .norm import BatchNorm2d


def conv_bn(
    channels: int,
    out: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> list[Module]:
    """Convolution without bias, batch norm and, if ``relu``, ReLU: layers in a list.

    The image is padded by kernel_size // 2, so stride 1 and an odd kernel keep its
    size. Raises: ArgumentError.
    """
    pad = kernel_size // 2
    conv = Conv2d(channels, out, kernel_size, stride, pad, groups=groups, bias=False)
    return [conv, BatchNorm2d(out), *([ReLU()] if relu else [])]


def scaled(where: str, channels: int, width: float) -> int:
    """``int(width * channels)``: channels under a width multiplier.

    Raises: ArgumentError unless 0 < width <= 1000 and at least one channel is left.
    Source: Howard et al. 2017, "MobileNets", section 3.3.
    """
    number(where, "width", width, 0, 1000)
    count = int(width * channels)
    if count < 1:
        raise ArgumentError(
            f"{where}: width must leave at least one of {channels} channels; "
            f"got {width}"
        )
    return count
