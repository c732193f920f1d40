"""MobileNet: a whole network of depthwise separable convolutions, and two knobs.

Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam, "MobileNets: Efficient
Convolutional Neural Networks for Mobile Vision Applications", 2017, arXiv 1704.04861.

A full convolution looks at neighbours and mixes channels in one step. Split in two, a
depthwise 3x3 looks and a 1x1 (pointwise) convolution mixes, each with norm and ReLU:

    x (C) -- depthwise 3x3, stride s -- norm, ReLU -- 1x1 -- norm, ReLU -- y (N)

    full       MAdds  9 C N H W                      (equation 2)
    separable  MAdds  9 C H W + C N H W              (equation 5)
    ratio      1 / N + 1 / 9                         H x W: the size of the output

A width multiplier alpha scales all numbers of channels, a resolution multiplier rho the
image; both save by about their square (equations 6 and 7):

    MAdds  (9 alpha C + alpha C alpha N) (rho H) (rho W)

Shapes: x (N, in_channels, H, W), y (N, classes); sides are halved five times, so rho is
no option of the network but only the size of the image it is given.

Deviations: the last block has stride 1, as in public implementations and as its output
size in the paper demands. Channels are int(alpha C), without rounding to multiples of
8. The activation is the paper's ReLU, where Keras has ReLU6.
"""

from typing import NamedTuple

from .. import nn
from ..nn._arguments import whole
from ..zoo import check_image, register_model

# Channels and stride of each block: table 1 of the paper.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)
STEM = 32


class Cost(NamedTuple):
    """Weights without norms and biases; multiply-adds of one image."""

    weights: int
    madds: int


def separable(channels: int, out: int, stride: int = 1) -> list[nn.Module]:
    """A block: depthwise 3x3, norm, ReLU, 1x1, norm, ReLU; layers in a list.

    (N, channels, H, W) to (N, out, H / stride, W / stride), rounded up.

    Raises: ArgumentError.
    Source: Howard et al. 2017, figure 3.
    """
    depthwise = nn.conv_bn(channels, channels, 3, stride, groups=channels)
    return depthwise + nn.conv_bn(channels, out, 1)


def layout(width: float = 1.0, shallow: bool = False) -> list[tuple[int, int, int]]:
    """(channels, out, stride) of every block; the stem gives the first's channels.

    Raises: ArgumentError where width leaves no channel.
    """
    channels, rows = nn.scaled("mobilenet", STEM, width), []
    for out, stride in BLOCKS[:6] + BLOCKS[11:] if shallow else BLOCKS:
        out = nn.scaled("mobilenet", out, width)
        rows.append((channels, out, stride))
        channels = out
    return rows


def mobilenet(
    width: float = 1.0,
    in_channels: int = 3,
    classes: int = 1000,
    shallow: bool = False,
    full: bool = False,
) -> nn.Sequential:
    """MobileNet: a 3x3 stem of stride 2, 13 blocks, global average, linear.

    Args: width: alpha, scales all channels; shallow: without the five equal blocks of
    512 channels (table 5); full: a 3x3 convolution, norm and ReLU in place of each
    separable block (table 4).
    Raises: ArgumentError where width leaves no channel.
    Source: Howard et al. 2017, table 1.
    """
    blocks = layout(width, shallow)
    stem = nn.conv_bn(in_channels, blocks[0][0], 3, 2)
    return _mobilenet(stem, blocks, classes, full)


def _mobilenet(stem, blocks, classes, full=False):
    layers = [nn.Sequential(*stem)]
    for channels, out, stride in blocks:
        block = nn.conv_bn if full else separable
        options = dict(kernel_size=3) if full else {}
        layers.append(nn.Sequential(*block(channels, out, stride=stride, **options)))
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(out, classes))


def mobilenet_cost(
    width: float = 1.0,
    size=(224, 224),
    in_channels: int = 3,
    classes: int = 1000,
    shallow: bool = False,
    full: bool = False,
) -> dict[str, Cost]:
    """What each kind of layer costs on an image of ``size`` (H, W).

    The kinds are "stem", "depthwise", "pointwise" and "linear"; with ``full``, "full"
    stands in place of the two in the middle. Options as in `mobilenet`.

    Raises: ArgumentError where width leaves no channel.
    """
    blocks, costs = layout(width, shallow), {}
    height, columns = (-(-whole("mobilenet_cost", "size", n) // 2) for n in size)

    def charge(kind, weights):
        before = costs.get(kind, Cost(0, 0))
        madds = before.madds + height * columns * weights
        costs[kind] = Cost(before.weights + weights, madds)

    charge("stem", 9 * in_channels * blocks[0][0])
    for channels, out, stride in blocks:
        height, columns = -(-height // stride), -(-columns // stride)
        if full:
            charge("full", 9 * channels * out)
        else:
            charge("depthwise", 9 * channels)
            charge("pointwise", channels * out)
    height = columns = 1
    charge("linear", out * classes)
    return costs


def total(costs: dict[str, Cost]) -> Cost:
    """The sum over all kinds of layers."""
    return Cost(*map(sum, zip(*costs.values())))


def shares(costs: dict[str, Cost]) -> dict[str, tuple[float, float]]:
    """Each kind's share of all weights and of all multiply-adds (table 2)."""
    all_ = total(costs)
    return {
        kind: (cost.weights / all_.weights, cost.madds / all_.madds)
        for kind, cost in costs.items()
    }


@register_model("mobilenet", lr=3e-3)
def mobilenet_small(
    shape=(1, 28, 28), classes: int = 10, width: float = 1.0
) -> nn.Sequential:
    """MobileNet for small images: five blocks, two of which halve the image."""
    check_image("mobilenet", shape, 4)
    channels = [nn.scaled("mobilenet", c, width) for c in (32, 64, 128, 128, 256, 256)]
    blocks = list(zip(channels, channels[1:], (1, 2, 1, 2, 1)))
    return _mobilenet(nn.conv_bn(shape[0], channels[0], 3), blocks, classes)
