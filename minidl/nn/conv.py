"""Convolution and its transpose as layers."""

from .. import functional as F
from ..ops._geometry import padding_pairs, pair
from ..tensor import Tensor
from ._arguments import divides, whole
from .linear import empty, reset
from .module import Module


class _Conv(Module):
    """What both convolutions share: their options, and what they show of them."""

    def __init__(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups
    ):
        super().__init__()
        where = type(self).__name__
        self.in_channels = whole(where, "in_channels", in_channels)
        self.out_channels = whole(where, "out_channels", out_channels)
        self.kernel_size = pair(where, "kernel_size", kernel_size, 1)
        self.stride = pair(where, "stride", stride, 1)
        self.dilation = pair(where, "dilation", dilation, 1)
        pads = padding_pairs(
            where, padding, self.kernel_size, self.stride, self.dilation
        )
        simple = not isinstance(padding, str) and all(a == b for a, b in pads)
        self.padding = tuple(a for a, _ in pads) if simple else padding
        self.groups = divides(
            where, groups, in_channels=in_channels, out_channels=out_channels
        )
        self.output_padding = (0, 0)

    def _add_weights(self, first, second, bias):
        self.weight = empty(first, second // self.groups, *self.kernel_size)
        self.bias = empty(self.out_channels) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values from U(-b, b), b = ``1 / sqrt(fan_in)``, as torch does.

        fan_in is taken from the weight's second axis, also where it is transposed.
        """
        reset(self.weight, self.bias)

    def extra_repr(self):
        shown = (
            f"{self.in_channels}, {self.out_channels}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}"
        )
        for name, default in (
            ("padding", (0, 0)),
            ("dilation", (1, 1)),
            ("output_padding", (0, 0)),
            ("groups", 1),
        ):
            if getattr(self, name) != default:
                shown += f", {name}={getattr(self, name)}"
        return shown if self.bias is not None else f"{shown}, bias=False"


class Conv2d(_Conv):
    """2-D cross-correlation of images, see `minidl.functional.conv2d`.

    Shapes: x (N, in_channels, H, W); weight (out_channels, in_channels / groups, kh,
    kw); bias (out_channels,); y (N, out_channels, oh, ow) with
    ``oh = (H + pads - dilation (kh - 1) - 1) // stride + 1``.
    Args: sizes, an int or (vertical, horizontal); padding: zeros, an int, a pair,
    ``((top, bottom), (left, right))``, "same" or "valid"; groups divides both channels.
    Raises: ArgumentError.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups
        )
        self._add_weights(out_channels, in_channels, bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class ConvTranspose2d(_Conv):
    """The gradient of a convolution as a layer: it enlarges images by ``stride``.

    Shapes: x (N, in_channels, H, W); weight (in_channels, out_channels / groups, kh,
    kw); bias (out_channels,); y (N, out_channels, oh, ow) with
    ``oh = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1``.
    Raises: ArgumentError.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups: int = 1,
        bias: bool = True,
        dilation=1,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups
        )
        self.output_padding = pair(
            "ConvTranspose2d", "output_padding", output_padding, 0
        )
        self._add_weights(in_channels, out_channels, bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )
