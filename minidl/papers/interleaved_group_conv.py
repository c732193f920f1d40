"""Interleaved group convolutions: grouped convolutions with permutations between them.

V1: Zhang, Qi, Xiao, Wang, "Interleaved Group Convolutions for Deep Neural Networks",
ICCV 2017, arXiv 1707.02725. V2: Xie, Wang, Zhang, Lai, Hong, Qi, "IGCV2: Interleaved
Structured Sparse Convolutional Neural Networks", CVPR 2018, arXiv 1804.06202. V3: Sun,
Li, Liu, Wang, "IGCV3: Interleaved Low-Rank Group Convolutions for Efficient Deep Neural
Networks", BMVC 2018, arXiv 1806.00178.

V1 has width G = L M. The primary convolution, 3x3, has L partitions of M channels; the
secondary one, 1x1, has M partitions of L channels, one of each primary partition. The
permutation P brings these together and its transpose brings them back:

    y = P Wd P^T Wp x                         L = 3, M = 2:

    primary, 3x3       0 1 | 2 3 | 4 5        L partitions
    permuted           0 2 4 | 1 3 5          inter(G, L)
    secondary, 1x1     0 2 4 | 1 3 5          M partitions
    permuted back      0 1 2 3 4 5            inter(G, M)

V2 goes on: y = P_L W_L ... P_1 W_1 x, each W_l block diagonal with K_l channels in a
partition, W_1 spatial. Complementary condition: one path from each input channel to
each output channel, so K_1 K_2 ... K_L = C. The permutation after layer l is
``inter(C, C / K_l)``; then all of them together are the identity.

V3 has the bottleneck of MobileNetV2 with two groups in each 1x1 convolution: expand,
permute, depthwise 3x3, project. The widths differ, so V2's condition holds for blocks
of channels ("super-channels") in place of channels: mid / (G1 G2) paths, all equal.

    V1   weights  G^2 (S / L + 1 / M) = G (M S + L)           kernel area S = 9
         a plain convolution of so many weights is narrower if L / (L - 1) < M S
         widest for its weights T:  L = M S,  T = 2 sqrt(S) G^(3/2)
    V2   weights  C (S K_1 + K_2 + ... + K_L)
         balance condition S K_1 = K_2 = ... = K_L = (S C)^(1/L): weights
         L C (S C)^(1/L), least with L = ln(S C), where they are e C ln(S C)

Shapes: x (N, C, H, W), y (N, out, H / s, W / s).

Deviations: V2's kernels have one batch norm and one ReLU behind them all, as in V1; its
small net is laid out here. Where the width changes, the first convolution changes it.
"""

import math

from .. import nn
from ..errors import ArgumentError
from ..nn._arguments import divides, number, whole
from ..zoo import check_image, register_model


def igcv1_block(
    partitions: int,
    each: int,
    in_channels: int | None = None,
    stride: int = 1,
    norm: bool = True,
) -> nn.Sequential:
    """V1: L = ``partitions`` of M = ``each`` channels, then M partitions of L.

    L = 1 is a plain convolution with a factor for each channel behind it, M = 1 a
    channel-wise one with a dense 1x1. Permuted back, the channels are in the order of
    the input, as a shortcut needs them.

    Shapes: (N, in_channels, H, W) to (N, L M, H / stride, W / stride).
    Args: in_channels, by default L M; norm: False leaves out batch norm and ReLU.
    Raises: ArgumentError unless L divides in_channels.
    """
    whole("igcv1_block", "each", each)
    width = whole("igcv1_block", "partitions", partitions) * each
    channels = width if in_channels is None else in_channels
    whole("igcv1_block", "in_channels", channels)
    divides("igcv1_block", partitions, called="partitions", in_channels=channels)
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, 1, groups=partitions, bias=False),
        nn.ChannelShuffle(partitions),
        nn.Conv2d(width, width, 1, groups=each, bias=False),
        nn.ChannelShuffle(each),
        *_end(width, norm),
    )


def _end(channels, norm):
    return [nn.BatchNorm2d(channels), nn.ReLU()] if norm else []


def igcv1_weights(partitions: int, each: int, area: int = 9) -> int:
    """T = G (M S + L), the weights of a V1 block of width G = L M."""
    return partitions * each * (each * area + partitions)


def plain_width(weights: float, area: int = 9) -> float:
    """The width of a plain convolution with so many weights: ``sqrt(T / S)``."""
    return math.sqrt(weights / area)


def igcv1_is_wider(partitions: int, each: int, area: int = 9) -> bool:
    """Whether V1 is wider than a plain convolution of as many weights.

    ``L / (L - 1) < M S``, never for L = 1.
    """
    return partitions < (partitions - 1) * each * area


def igcv1_widest(weights: float, area: int = 9) -> tuple[float, float, float]:
    """(L, M, G) of the widest V1 block with so many weights: L = M S."""
    width = (weights / (2 * math.sqrt(area))) ** (2 / 3)
    each = math.sqrt(width / area)
    return each * area, each, width


def igcv1_net(
    depth: int = 20,
    partitions: int = 24,
    each: int = 2,
    in_channels: int = 3,
    classes: int = 10,
) -> nn.Sequential:
    """IGC-L24M2 for small images: a 3x3 stem, three stages of V1 blocks, linear.

    Each stage has (depth - 2) / 3 blocks; L stays, M doubles from stage to stage, and
    with stride 2 the first block of the second and the third stage halves the image.

    Raises: ArgumentError unless depth = 3 n + 2.
    """
    blocks, rest = divmod(whole("igcv1_net", "depth", depth, 5) - 2, 3)
    if rest:
        raise ArgumentError(f"igcv1_net: depth must be 3 n + 2; got {depth}")
    whole("igcv1_net", "partitions", partitions)
    whole("igcv1_net", "each", each)
    channels = partitions * each
    layers = nn.conv_bn(in_channels, channels, 3)
    for stage in range(3):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            many = each * 2**stage
            layers.append(igcv1_block(partitions, many, channels, stride))
            channels = partitions * many
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(channels, classes))


def _check_sizes(where, sizes):
    if not isinstance(sizes, tuple | list) or not sizes:
        raise ArgumentError(f"{where}: sizes must be a list of integers; got {sizes!r}")


def igcv2_block(
    channels: int,
    sizes,
    in_channels: int | None = None,
    stride: int = 1,
    norm: bool = True,
) -> nn.Sequential:
    """V2: a product of structured sparse kernels, a permutation behind each of them.

    The first kernel is 3x3 with the stride, the others are 1x1. Sizes (1, C) are a
    depthwise separable convolution, sizes (M, L) are V1. The complementary condition
    holds where the product of the sizes is ``channels``.

    Shapes: (N, in_channels, H, W) to (N, channels, H / stride, W / stride).
    Args: sizes, K_1, K_2, ...: input channels in a partition of each kernel;
    in_channels, by default ``channels``; norm: False leaves out batch norm and ReLU.
    Raises: ArgumentError unless K_1 divides in_channels, in_channels / K_1 divides
    channels, and the other sizes divide channels.
    """
    where = "igcv2_block"
    whole(where, "channels", channels)
    before = channels if in_channels is None else in_channels
    whole(where, "in_channels", before)
    _check_sizes(where, sizes)
    layers = []
    for i, size in enumerate(sizes):
        name, kernel, step = ("channels", 1, 1) if i else ("in_channels", 3, stride)
        divides(where, size, called=f"sizes[{i}]", **{name: before})
        groups = before // size
        divides(where, groups, called="in_channels / sizes[0]", channels=channels)
        pad = kernel // 2
        layers += [
            nn.Conv2d(before, channels, kernel, step, pad, groups=groups, bias=False),
            nn.ChannelShuffle(groups),
        ]
        before = channels
    return nn.Sequential(*layers, *_end(channels, norm))


def igcv2_weights(channels: int, sizes, area: int = 9) -> int:
    """C (S K_1 + K_2 + ... + K_L), the weights of a V2 block.

    Raises: ArgumentError.
    """
    _check_sizes("igcv2_weights", sizes)
    first, *others = sizes
    return channels * (area * first + sum(others))


def igcv2_optimum(
    channels: int, layers: float | None = None, area: int = 9
) -> tuple[float, float, float]:
    """(L, K, weights) under the balance condition S K_1 = K_2 = ... = K_L = K.

    Without ``layers`` L is the best real number, ln(S C); K is e there.
    Raises: ArgumentError.
    """
    whole("igcv2_optimum", "channels", channels)
    if layers is None:
        layers = math.log(area * channels)
    number("igcv2_optimum", "layers", layers, 1, math.inf)
    size = (area * channels) ** (1 / layers)
    return layers, size, layers * channels * size


def igcv3_block(
    channels: int, out: int, stride: int = 1, expansion: int = 6, groups: int = 2
) -> nn.Module:
    """V3: grouped expand, permute, depthwise 3x3, ReLU6, grouped project, shortcut.

    There is no activation behind the expansion, and a shortcut only where the shape
    stays. `nn.Residual.body` holds the layers then.

    Shapes: (N, channels, H, W) to (N, out, H / stride, W / stride).
    Raises: ArgumentError unless groups divides channels and out.
    """
    whole("igcv3_block", "channels", channels)
    whole("igcv3_block", "out", out)
    divides("igcv3_block", groups, channels=channels, out=out)
    mid = whole("igcv3_block", "expansion", expansion) * channels
    body = nn.Sequential(
        *nn.conv_bn(channels, mid, 1, groups=groups, relu=False),
        nn.ChannelShuffle(groups),
        *nn.conv_bn(mid, mid, 3, stride, mid, relu=False),
        nn.ReLU6(),
        *nn.conv_bn(mid, out, 1, groups=groups, relu=False),
    )
    return nn.Residual(body) if stride == 1 and channels == out else body


# Rows of IGCV3-D: expansion, channels, blocks, stride of the first of them.
IGCV3_D = [
    (1, 16, 1, 1), (6, 24, 4, 2), (6, 32, 6, 2), (6, 64, 8, 2), (6, 96, 6, 1),
    (6, 160, 6, 2), (6, 320, 1, 1),
]  # fmt: skip


def _igcv3(in_channels, stem, stem_stride, rows, head, classes):
    """3x3 stem, blocks by `IGCV3_D`'s kind of rows, 1x1 head, linear."""
    layers, channels = _conv_relu6(in_channels, stem, 3, stem_stride), stem
    for expansion, out, blocks, stride in rows:
        for i in range(blocks):
            step = 1 if i else stride
            layers.append(igcv3_block(channels, out, step, expansion))
            channels = out
    layers += _conv_relu6(channels, head, 1)
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(head, classes))


def _conv_relu6(channels, out, kernel_size, stride=1):
    return [*nn.conv_bn(channels, out, kernel_size, stride, relu=False), nn.ReLU6()]


def igcv3_d(width: float = 1.0, in_channels: int = 3, classes: int = 1000):
    """IGCV3-D for large images: MobileNetV2 with twice the blocks, in two groups each.

    The head has 1280 channels, with a width above 1 more.

    Raises: ArgumentError where ``width`` leaves no channels, or an odd number of them.
    """
    stem, *outs = (
        nn.scaled("igcv3_d", n, width) for n in (32, *(row[1] for row in IGCV3_D))
    )
    if odd := [n for n in (stem, *outs) if n % 2]:
        raise ArgumentError(
            f"igcv3_d: width must leave even numbers of channels, for two groups; got "
            f"{width}, which leaves {odd[0]}"
        )
    rows = [(row[0], out, *row[2:]) for row, out in zip(IGCV3_D, outs)]
    head = nn.scaled("igcv3_d", 1280, max(width, 1))
    return _igcv3(in_channels, stem, 2, rows, head, classes)


@register_model("igcv1", lr=1e-2)
def igcv1_small(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """IGC-L16M2 for small images: 3x3 stem, six V1 blocks, 32 to 128 channels."""
    check_image("igcv1", shape, 4)
    return igcv1_net(8, 16, 2, shape[0], classes)


@register_model("igcv2", lr=1e-2)
def igcv2_small(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """IGCV2 for small images: a 3x3 stem, four V2 blocks, two with stride 2."""
    check_image("igcv2", shape, 4)
    layers, channels = nn.conv_bn(shape[0], 32, 3), 32
    for out, sizes, stride in (
        (64, (2, 4, 8), 2),
        (64, (2, 4, 8), 1),
        (128, (2, 8, 8), 2),
        (128, (2, 8, 8), 1),
    ):
        layers.append(igcv2_block(out, sizes, channels, stride))
        channels = out
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(channels, classes))


@register_model("igcv3", lr=1e-2)
def igcv3_small(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """IGCV3 for small images: a 3x3 stem, four V3 blocks, a 1x1 head."""
    check_image("igcv3", shape, 4)
    rows = [(1, 48, 1, 2), (2, 48, 1, 1), (2, 64, 2, 2)]
    return _igcv3(shape[0], 32, 1, rows, 128, classes)
