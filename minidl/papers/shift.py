"""Shift: move channels about, and let 1x1 convolutions do all the arithmetic.

Wu, Wan, Yue, Jin, Zhao, Golmant, Gholaminejad, Gonzalez, Keutzer, "Shift: A Zero FLOP,
Zero Parameter Alternative to Spatial Convolutions", CVPR 2018, arXiv 1711.08141.

A 3x3 convolution does two things: it looks at a pixel's neighbours, and it mixes the
channels. Shift does the first alone, by moving every channel by one of the K x K
offsets, and a 1x1 convolution does the second:

    y[n, c, i, j] = x[n, c, i + dh[c], j + dw[c]]        zero outside of the image

    x:  a b c     channel 0  . . .     1  . . .     ...  4  a b c     ...  8  e f .
        d e f     (-1, -1)   . a b        a b c             d e f             h i .
        g h i     (dh, dw)   . d e        d e f             g h i             . . .

It is a depthwise convolution whose kernels hold a single one: no weights, no products.
All (K^2)^C ways to deal out the offsets are equal but for the order of channels, which
the 1x1 convolutions before and after absorb. So channels take them in turn.

    CSC:  y = W2 * shift(W1 * x)                W1 (e C', C), W2 (C', e C'); * is 1x1
    SC2:  y = W2 * shift(W1 * shift(x))         two shifts see 5x5 pixels where K = 3

    parameters  C e C' + e C' C'                  of CSC, expansion e
    MAdds       H W (C e C' + e C' C' / s^2)      of CSC, stride s in the second 1x1

Shapes: x (N, C, H, W), y (N, C', H / s, W / s).

Deviations: a batch norm follows each 1x1 convolution, as in the authors' networks. CSC
stands in their two orders: "resnet" (1x1, norm, ReLU, shift, 1x1, norm, ReLU) in
ShiftResNet, "preactivation" (norm, ReLU, 1x1, shift, norm, ReLU, 1x1) in ShiftNet.
ShiftNet-C is our guess, B with fewer blocks and 3x3 shifts only: 0.90 million
parameters, where the paper reports 0.78 for a layout that we could not confirm.
"""

from .. import functional as F
from .. import nn
from ..errors import ArgumentError, unknown_name
from ..nn._arguments import whole
from ..tensor import Tensor
from ..zoo import check_image, register_model


def offsets(channels: int, kernel_size: int = 3, dilation: int = 1):
    """The offsets (dh, dw) of each channel, two tuples: the K x K square in turn.

    ``dw[c] = (c % K - K // 2) d``, ``dh[c] = (c // K % K - K // 2) d``; channels
    beyond the last whole round of K^2 stay in the centre.

    Raises: ArgumentError unless kernel_size is odd.
    """
    whole("shift", "channels", channels)
    k = whole("shift", "kernel_size", kernel_size)
    d = whole("shift", "dilation", dilation)
    if k % 2 == 0:
        raise ArgumentError(
            f"shift: kernel_size must be odd, to have a centre; got {kernel_size}"
        )
    rounds = range(channels // k**2 * k**2)
    rest = (0,) * (channels % k**2)
    dh = tuple((c // k % k - k // 2) * d for c in rounds)
    dw = tuple((c % k - k // 2) * d for c in rounds)
    return dh + rest, dw + rest


class Shift2d(nn.Module):
    """Every channel moved by its own offset; no parameters.

    Shapes: x, y (N, channels, H, W).
    Raises: ArgumentError unless kernel_size is odd; ShapeError for other channels.
    """

    def __init__(self, channels: int, kernel_size: int = 3, dilation: int = 1):
        super().__init__()
        self.dh, self.dw = offsets(channels, kernel_size, dilation)
        self.channels, self.kernel_size = channels, kernel_size
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        # F.shift says where a pixel goes, the paper where it comes from.
        return F.shift(x, dy=[-d for d in self.dh], dx=[-d for d in self.dw])

    def extra_repr(self):
        return (
            f"{self.channels}, kernel_size={self.kernel_size}, dilation={self.dilation}"
        )


def csc(
    channels: int,
    out: int,
    expansion: float = 1,
    stride: int = 1,
    kernel_size: int = 3,
    dilation: int = 1,
    order: str = "resnet",
) -> nn.Sequential:
    """1x1 convolution, shift, 1x1 convolution.

    Shapes: x (N, channels, H, W), y (N, out, H / stride, W / stride), rounded up.
    Between the two convolutions there are ``expansion * out`` channels, with order
    "preactivation" ``expansion * channels``. The stride is the second convolution's,
    behind the shift: before it, most of what is shifted in would never have been seen.

    Raises: ArgumentError.
    """
    if not expansion >= 1:
        raise ArgumentError(f"csc: expansion must be >= 1; got {expansion!r}")
    if order not in ("resnet", "preactivation"):
        raise unknown_name("order", order, ("resnet", "preactivation"))
    if order == "resnet":
        mid = int(expansion * out)
        move = Shift2d(mid, kernel_size, dilation)
        second = nn.conv_bn(mid, out, 1, stride)
        return nn.Sequential(*nn.conv_bn(channels, mid, 1), move, *second)
    mid = int(expansion * channels)
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, mid, 1, bias=False),
        Shift2d(mid, kernel_size, dilation),
        nn.BatchNorm2d(mid),
        nn.ReLU(),
        nn.Conv2d(mid, out, 1, stride, bias=False),
    )


def sc2(
    channels: int, out: int, expansion: float = 1, stride: int = 1, kernel_size: int = 3
) -> nn.Sequential:
    """Shift, 1x1 convolution, shift, 1x1 convolution: as cheap as CSC, but sees more.

    Raises: ArgumentError.
    """
    first = Shift2d(channels, kernel_size)
    return nn.Sequential(first, *csc(channels, out, expansion, stride, kernel_size))


def csc_cost(channels: int, out: int, expansion: float, size, stride: int = 1):
    """(weights, multiply-adds) of CSC's convolutions on an image of ``size`` (H, W)."""
    mid, (height, width) = int(expansion * out), size
    behind = -(-height // stride) * -(-width // stride)
    first, second = channels * mid, mid * out
    return first + second, height * width * first + behind * second


def _residual(channels, out, expansion, stride):
    """A block of ShiftResNet; where the shape changes, a 1x1 convolution stands by."""
    same = stride == 1 and channels == out
    shortcut = nn.conv_bn(channels, out, 1, stride, relu=False)
    body = csc(channels, out, expansion, stride)
    return nn.Residual(body, None if same else nn.Sequential(*shortcut))


def shift_resnet(
    depth: int = 20, expansion: float = 1, in_channels: int = 3, classes: int = 10
) -> nn.Sequential:
    """ResNet for small images with a CSC module in place of each pair of 3x3.

    A 3x3 stem of 16 channels, three stages of (depth - 2) / 6 blocks with 16, 32 and
    64 channels, stride 2 before the last two; global average; linear.

    Raises: ArgumentError unless depth = 6 n + 2.
    """
    blocks, rest = divmod(whole("shift_resnet", "depth", depth, 8) - 2, 6)
    if rest:
        raise ArgumentError(f"shift_resnet: depth must be 6 n + 2; got {depth}")
    layers, channels = nn.conv_bn(in_channels, 16, 3), 16
    for out in (16, 32, 64):
        for i in range(blocks):
            stride = 2 if i == 0 and out > 16 else 1
            layers.append(_residual(channels, out, expansion, stride))
            channels = out
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(channels, classes))


# Of each group of ShiftNet: channels, kernel size, expansion of the first block and of
# the others, blocks. Before them, the channels of the stem.
SHIFT_NETS = {
    "A": (
        32,
        (64, 5, 4, 4, 5),
        (128, 5, 4, 3, 6),
        (256, 3, 3, 2, 7),
        (512, 3, 2, 1, 3),
    ),
    "B": (16, (32, 5, 4, 4, 5), (64, 5, 4, 3, 6), (128, 3, 3, 2, 7), (256, 3, 2, 1, 3)),
    "C": (16, (32, 3, 4, 4, 1), (64, 3, 4, 3, 4), (128, 3, 3, 2, 4), (256, 3, 2, 1, 3)),
}


def _group(channels, out, kernel_size, first, expansion, blocks):
    """A group of ShiftNet: the first block halves the image and widens it.

    What it adds stands beside the averaged input, so that nothing is lost.
    """
    options = dict(kernel_size=kernel_size, order="preactivation")
    body = csc(channels, out - channels, first, 2, **options)
    layers = [nn.Concat(body, nn.AvgPool2d(3, 2, 1))]
    for _ in range(blocks - 1):
        layers.append(nn.Residual(csc(out, out, expansion, **options)))
    return layers


def shift_net(variant: str = "A", in_channels: int = 3, classes: int = 1000):
    """ShiftNet-A, B or C for large images: a 7x7 stem, four groups of CSC blocks.

    Raises: ArgumentError for another variant.
    """
    if variant not in SHIFT_NETS:
        raise unknown_name("ShiftNet variant", variant, SHIFT_NETS)
    stem, *groups = SHIFT_NETS[variant]
    first = nn.Conv2d(in_channels, stem, 7, 2, 3, bias=False)
    return _shift_net([first], stem, groups, classes)


def _shift_net(layers, channels, groups, classes):
    for out, *options in groups:
        layers += _group(channels, out, *options)
        channels = out
    end = nn.BatchNorm2d(channels), nn.ReLU(), nn.GlobalAvgPool2d()
    return nn.Sequential(*layers, *end, nn.Linear(channels, classes))


@register_model("shiftnet", lr=3e-3)
def shift_net_small(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """ShiftNet for small images: a 3x3 stem, two groups of CSC blocks."""
    check_image("shiftnet", shape, 4)
    stem = nn.Conv2d(shape[0], 16, 3, padding=1, bias=False)
    return _shift_net([stem], 16, [(32, 3, 4, 4, 3), (64, 3, 3, 3, 3)], classes)


@register_model("shiftresnet", lr=3e-3)
def shift_resnet_small(shape=(3, 32, 32), classes: int = 10) -> nn.Sequential:
    """ShiftResNet-20 with expansion 3: CSC modules instead of pairs of 3x3."""
    check_image("shiftresnet", shape, 4)
    return shift_resnet(20, 3, shape[0], classes)
