"""Layers without parameters that change the shape: pooling, flattening, resizing."""

from .. import functional as F
from ..errors import ArgumentError
from ..ops._geometry import image, pair
from ..tensor import Tensor
from ._arguments import whole
from .module import Module


class _Pool(Module):
    """Windows of ``kernel_size`` every ``stride`` pixels (None: the kernel size)."""

    def __init__(self, kernel_size, stride, padding, ceil_mode):
        super().__init__()
        where = type(self).__name__
        kernel = pair(where, "kernel_size", kernel_size, 1)
        pads = pair(where, "padding", padding, 0)
        pair(where, "stride", kernel_size if stride is None else stride, 1)
        if any(2 * p > k for p, k in zip(pads, kernel)):
            raise ArgumentError(
                f"{where}: padding must be at most half of kernel_size "
                f"{kernel_size}; got {padding}"
            )
        self.kernel_size, self.padding, self.ceil_mode = kernel_size, padding, ceil_mode
        self.stride = kernel_size if stride is None else stride

    def extra_repr(self):
        names = ("kernel_size", "stride", "padding")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class MaxPool2d(_Pool):
    """The largest element of each window.

    Shapes: x (N, C, H, W); y (N, C, oh, ow) with
    ``oh = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1``, rounded up instead
    with ``ceil_mode``.
    Raises: ArgumentError.
    """

    def __init__(
        self, kernel_size, stride=None, padding=0, dilation=1, ceil_mode: bool = False
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        pair("MaxPool2d", "dilation", dilation, 1)
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self):
        shown = f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        return f"{super().extra_repr()}, {shown}"


class AvgPool2d(_Pool):
    """The mean of each window; padding counts as zeros if ``count_include_pad``.

    Shapes: x (N, C, H, W); y (N, C, oh, ow) with
    ``oh = (H + 2 padding - kh) // stride + 1``, rounded up instead with ``ceil_mode``.
    Args: divisor_override: divide the sums by it instead of the number of elements.
    Raises: ArgumentError.
    """

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode)
        if divisor_override is not None:
            whole("AvgPool2d", "divisor_override", divisor_override)
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
            divisor_override=self.divisor_override,
        )


class AdaptiveAvgPool2d(Module):
    """The mean over ``output_size`` nearly equal cells; None keeps a side as it is.

    Shapes: x (N, C, H, W); y (N, C, *output_size).
    Raises: ArgumentError.
    """

    def __init__(self, output_size):
        super().__init__()
        sides = (
            output_size if isinstance(output_size, tuple | list) else (output_size,) * 2
        )
        pair(
            "AdaptiveAvgPool2d",
            "output_size",
            tuple(1 if n is None else n for n in sides),
            1,
        )
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class GlobalAvgPool2d(Module):
    """The mean of each channel: x (N, C, H, W), y (N, C).

    Source: Lin, Chen and Yan 2013, "Network In Network", section 3.2.
    """

    def forward(self, x: Tensor) -> Tensor:
        image("GlobalAvgPool2d", "input", x)
        return F.mean(x, dim=(2, 3))


class Flatten(Module):
    """Axes ``start_dim`` to ``end_dim`` merged into one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class ChannelShuffle(Module):
    """Channels dealt out again, see `minidl.functional.channel_shuffle`.

    Shapes: x, y (N, C, H, W).
    Raises: ArgumentError unless groups divides C.
    """

    def __init__(self, groups: int):
        super().__init__()
        self.groups = whole("ChannelShuffle", "groups", groups)

    def forward(self, x: Tensor) -> Tensor:
        return F.channel_shuffle(x, self.groups)

    def extra_repr(self):
        return f"groups={self.groups}"


class Upsample(Module):
    """Images resized to ``size`` or by ``scale_factor``, see `functional.interpolate`.

    Raises: ArgumentError unless exactly one of them is given.
    """

    def __init__(
        self,
        size=None,
        scale_factor=None,
        mode: str = "nearest",
        align_corners: bool = False,
    ):
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                "Upsample: either size or scale_factor must be given; got "
                f"size={size!r}, scale_factor={scale_factor!r}"
            )
        if mode not in ("nearest", "bilinear"):
            raise ArgumentError(
                f"Upsample: mode must be 'nearest' or 'bilinear'; got {mode!r}"
            )
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            x, self.size, self.scale_factor, self.mode, self.align_corners
        )

    def extra_repr(self):
        given = "scale_factor" if self.size is None else "size"
        return f"{given}={getattr(self, given)}, mode={self.mode!r}"
