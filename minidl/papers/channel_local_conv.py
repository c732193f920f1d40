"""Channel local convolution: an output channel reads some of the input channels only.

Zhang, "clcNet: Improving the Efficiency of Convolutional Neural Network using Channel
Local Convolutions", CVPR 2018, arXiv 1712.06145.

A grouped convolution GC(g) cuts the channels into g groups that never meet: output
group k reads input group k. An interlaced one, IGC(g), is the same with its outputs
dealt out again: output p is what stood at ``inter(C, g)[p]``. So g consecutive outputs
come from g different groups, and a GC behind it, which reads consecutive channels,
reads many groups at once:

    input      0   1   2   3   4   5      M = 6
               |___|___|   |___|___|      IGC, g1 = 2: each reads one half of the inputs
    IGC        0   1   2   3   4   5      where they are made
    interlace  0   3   1   4   2   5      inter(6, 2)
               |___|   |___|   |___|      GC, g2 = 3: each reads two, one of each half
    output     0   1   2   3   4   5      depends on all of the inputs

A CLC block is such a pair, the first kernel 3x3 and the second 1x1:

    y = relu(norm(GC(interlace(norm(GC3x3(x))))))

Channel dependency graph (CDG): a matrix D (outputs, inputs), one where the output
channel reads the input channel. Kernels compose as matrices do, D = D2 D1. The row sums
are the sizes of the channel receptive fields (CRF). The paper's hypothesis: a block
replaces a plain convolution only if every field is full (FCRF), D without a zero.

    FCRF       g1 g2 <= L                     where L channels lie between the kernels
    paths      L / (g1 g2)                    to each output from each input, if whole
    weights    f = M L A / g1 + L N / g2      kernel area A = 9; also the products for
                                              one output pixel
    minimum    g1 = sqrt(M L A / N), g2 = sqrt(L N / (M A)), f = 2 sqrt(M L A N)

f falls with either g, so at the minimum g1 g2 = L; with g2 = L / g1 the derivative
``-M L A / g1^2 + N`` is zero there, and both terms of f are equal.

Shapes: x (N, C, H, W), y (N, out, H / s, W / s).

Deviations: the pooling at the end averages whatever is left of the image (7x7 of
224x224). The paper's cost function was not at hand; f is derived from the definition.
"""

import math
import warnings
from pathlib import Path

import numpy as np

from .. import nn, pictures
from ..errors import ArgumentError, MinidlWarning, unknown_name
from ..files import AnyPath
from ..nn._arguments import divides, whole
from ..nn.dependency import path_counts
from ..zoo import check_image, register_model


def igc(channels: int, out: int, groups: int, stride: int = 1) -> nn.Sequential:
    """IGC: a grouped 3x3 convolution, its outputs interlaced.

    Shapes: (N, channels, H, W) to (N, out, H / stride, W / stride).
    Raises: ArgumentError unless groups divides channels and out.
    """
    whole("igc", "channels", channels)
    divides("igc", groups, channels=channels, out=whole("igc", "out", out))
    conv = nn.Conv2d(channels, out, 3, stride, 1, groups=groups, bias=False)
    return nn.Sequential(conv, nn.ChannelShuffle(groups))


def _between(where, channels, out, mid, g1=1, g2=1):
    """Channels between the kernels, all sizes checked."""
    whole(where, "channels", channels)
    whole(where, "out", out)
    mid = channels if mid is None else whole(where, "mid", mid)
    divides(where, g1, called="g1", channels=channels, mid=mid)
    divides(where, g2, called="g2", mid=mid, out=out)
    return mid


def clc(
    channels: int,
    out: int,
    stride: int = 1,
    g1: int = 1,
    g2: int = 1,
    mid: int | None = None,
    norm: bool = True,
) -> nn.Sequential:
    """A CLC block: IGC(g1) 3x3 with the stride, GC(g2) 1x1, ReLU at the end only.

    g1 = g2 = 1 is a plain convolution with a 1x1 behind it, g1 = channels with g2 = 1 a
    depthwise separable one. A ReLU between the kernels would make them two layers: the
    pair is to act as one convolution.

    Shapes: (N, channels, H, W) to (N, out, H / stride, W / stride).
    Args: mid, channels between the kernels, by default as many as come in; norm: False
    leaves out batch norms and ReLU, so that the two kernels alone are left.
    Raises: ArgumentError unless g1 divides channels and mid, g2 mid and out. Warns
    where ``g1 g2 > mid``, because outputs then miss some of the inputs (no FCRF).
    """
    mid = _between("clc", channels, out, mid, g1, g2)
    if g1 * g2 > mid:
        warnings.warn(
            f"clc: g1 * g2 should be at most {mid}, the channels between the kernels; "
            f"got {g1} * {g2}: outputs read some of the inputs only (no FCRF)",
            MinidlWarning,
            stacklevel=2,
        )
    first, interlace = igc(channels, mid, g1, stride)
    if not norm:
        second = nn.Conv2d(mid, out, 1, groups=g2, bias=False)
        return nn.Sequential(first, interlace, second)
    second = nn.conv_bn(mid, out, 1, groups=g2)
    return nn.Sequential(first, nn.BatchNorm2d(mid), interlace, *second)


def compose(*matrices) -> np.ndarray:
    """The CDG of kernels one after another: whether there is a path at all.

    `nn.dependency.dependencies` reads the matrices off the layers of a block,
    `nn.dependency.path_counts` says how many paths there are.

    Shapes: matrices (C1, C0), (C2, C1), ... in the order of the calls; result
    (last, C0), bool.
    Raises: ShapeError if two neighbours do not fit.
    """
    return path_counts(*matrices) > 0


def crf_sizes(*matrices) -> np.ndarray:
    """How many input channels each output channel depends on: (last,), integers."""
    return compose(*matrices).sum(1)


def has_fcrf(*matrices) -> bool:
    """Whether every output channel depends on every input channel."""
    return bool(compose(*matrices).all())


def clc_cost(
    channels: int, out: int, g1: int, g2: int, mid: int | None = None, area: int = 9
) -> int:
    """f: the weights of both kernels, also the multiply-adds of one output pixel.

    The IGC has the stride, so its products are counted at output pixels, too.
    Raises: ArgumentError as `clc` does.
    """
    mid = _between("clc_cost", channels, out, mid, g1, g2)
    return channels * mid * area // g1 + mid * out // g2


def best_groups(
    channels: int, out: int, mid: int | None = None, area: int = 9
) -> tuple[int, int, int]:
    """(g1, g2, f): the cheapest divisors with a full channel receptive field.

    Of equally cheap ones those with the smallest g1.
    Raises: ArgumentError.
    """
    mid = _between("best_groups", channels, out, mid)
    firsts, seconds = (
        [g for g in range(1, common + 1) if common % g == 0]
        for common in (math.gcd(channels, mid), math.gcd(mid, out))
    )
    pairs = [(g1, g2) for g1 in firsts for g2 in seconds if g1 * g2 <= mid]
    best = min(pairs, key=lambda pair: clc_cost(channels, out, *pair, mid, area))
    return *best, clc_cost(channels, out, *best, mid, area)


def optimum(
    channels: int, out: int, mid: int | None = None, area: int = 9
) -> tuple[float, float, float]:
    """(g1, g2, f) at the minimum over all real numbers with g1 g2 = mid.

    Raises: ArgumentError.
    """
    mid = _between("optimum", channels, out, mid)
    g1 = math.sqrt(channels * mid * area / out)
    return g1, mid / g1, 2 * math.sqrt(channels * mid * area * out)


# Blocks with 128, 256, 512 and 1024 channels in and out.
CLC_NETS = {"A": (1, 1, 5, 2), "B": (1, 1, 7, 3)}


def _clcnet(in_channels, stem_stride, rows, classes):
    """3x3 stem of 32 channels, blocks of (out, stride), average, linear.

    Every block has g1 = half of its channels and g2 = 2, so that g1 g2 is tight.
    """
    layers, channels = nn.conv_bn(in_channels, 32, 3, stem_stride), 32
    for out, stride in rows:
        layers.append(clc(channels, out, stride, channels // 2, 2))
        channels = out
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(channels, classes))


def clcnet(variant: str = "A", in_channels: int = 3, classes: int = 1000):
    """clcNet-A or -B for large images: MobileNet's layout with CLC blocks.

    Raises: ArgumentError for wrong sizes, UnknownNameError for another variant.
    """
    if variant not in CLC_NETS:
        raise unknown_name("clcNet variant", variant, CLC_NETS)
    rows = [(64, 1)]
    for out, blocks in zip((128, 256, 512, 1024), CLC_NETS[variant]):
        rows += [(out, 2), *[(out, 1)] * blocks]
    return _clcnet(in_channels, 2, rows, classes)


@register_model("clcnet", lr=1e-2)
def clcnet_small(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """clcNet for small images: a 3x3 stem, four CLC blocks, two with stride 2."""
    check_image("clcnet", shape, 4)
    return _clcnet(shape[0], 1, [(64, 2), (64, 1), (128, 2), (128, 1)], classes)


DARK, PALE = "#1f5fa8", "#d0d0d0"


def draw(path: AnyPath, *matrices, output: int = 0) -> Path:
    """The CDG as a bipartite graph in a PNG or SVG file: readable up to 64 channels.

    Inputs stand on the left, the outputs of the last kernel on the right. What channel
    ``output`` of the last kernel depends on is dark, the rest pale.

    Shapes: matrices (C1, C0), (C2, C1), ... in the order of the calls.
    Raises: ArgumentError, ShapeError; MinidlError for another ending of ``path`` and
    where matplotlib is missing; FileError if the file cannot be written.
    """
    last = len(path_counts(*matrices))
    if not 0 <= output < last:
        raise ArgumentError(f"draw: output must be in [0, {last}); got {output!r}")
    counts = [np.shape(matrices[0])[1], *map(len, matrices)]
    # From the right: which channels of each column reach the output.
    reached = [np.arange(last) == output]
    for matrix in reversed(matrices):
        reached.insert(0, reached[0] @ np.asarray(matrix, bool))
    # Columns of different lengths share the height.
    height = [(np.arange(n) + 0.5) / n for n in counts]
    tall = min(max(3.0, 0.28 * max(counts)), 18.0)
    figure = pictures.new_figure(1.5 + 2.4 * len(matrices), tall)
    axes = figure.subplots()
    for x, matrix in enumerate(matrices):
        ends, starts = np.nonzero(matrix)
        lines = np.stack([height[x][starts], height[x + 1][ends]])  # (2, edges)
        dark = reached[x + 1][ends]
        axes.plot([x, x + 1], lines[:, ~dark], color=PALE, linewidth=0.7, zorder=1)
        axes.plot([x, x + 1], lines[:, dark], color=DARK, linewidth=1.4, zorder=2)
    for x, (at, dark) in enumerate(zip(height, reached)):
        axes.scatter(np.full(len(at), x), at, 110, np.where(dark, DARK, PALE), zorder=3)
        for channel, y in enumerate(at if len(at) <= 64 else ()):
            ink = "white" if dark[channel] else "black"
            axes.text(x, y, channel, size=6, color=ink, ha="center", va="center")
    names = ["input", *(f"kernel {i}" for i in range(1, len(counts)))]
    axes.set_xticks(range(len(counts)), [f"{a}\n{n}" for a, n in zip(names, counts)])
    axes.set(xlim=(-0.2, len(matrices) + 0.2), ylim=(1.02, -0.02), yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    size = int(reached[0].sum())
    axes.set_title(f"output {output} depends on {size} of {counts[0]} inputs", size=9)
    return pictures.save(figure, path)
