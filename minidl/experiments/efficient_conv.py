"""Five questions about cheap convolutions: shift, separable, interlaced, IGC.

The nets are as small as shows an effect: a 3x3 stem of stride 2, a few blocks, a global
average and a linear layer.
"""

from .. import nn
from ..papers import channel_local_conv, interleaved_group_conv, mobilenet, shift
from ..papers.xception import SeparableConv2d
from .study import Claim, Experiment, Variant


def _net(shape, classes, width, blocks, out):
    """Stem, blocks (a list of modules), global average, linear."""
    stem = nn.conv_bn(shape[0], width, 3, 2)
    end = nn.GlobalAvgPool2d(), nn.Linear(out, classes)
    return nn.Sequential(*stem, *blocks, *end)


# Shift: does it carry what a 3x3 convolution sees?


def _pair(channels, out, stride):
    return nn.Sequential(
        *nn.conv_bn(channels, out, 3), *nn.conv_bn(out, out, 3, stride)
    )


def _without(kind, module):
    """A sequence without the layers of one kind."""
    return nn.Sequential(*(layer for layer in module if not isinstance(layer, kind)))


def _depthwise(channels, out, stride):
    """CSC with a depthwise 3x3 convolution in place of the shift."""
    looks = nn.Conv2d(out, out, 3, padding=1, groups=out, bias=False)
    layers = shift.csc(channels, out, 1, stride)
    return nn.Sequential(
        *(looks if isinstance(layer, shift.Shift2d) else layer for layer in layers)
    )


def _three(block, widths=(12, 24, 48)):
    """A net of three blocks; the last two halve the image."""

    def build(shape, classes):
        rows = zip((widths[0], *widths), widths, (1, 2, 2))
        return _net(shape, classes, widths[0], [block(*r) for r in rows], widths[-1])

    return build


def _csc(expansion, moved=True):
    def block(channels, out, stride):
        module = shift.csc(channels, out, expansion, stride)
        return module if moved else _without(shift.Shift2d, module)

    return block


SHIFT = Experiment(
    "shift-necessity",
    "is shift all that looks at neighbours, and is it enough?",
    "Wu et al. 2018",
    (
        Variant("pairs of 3x3", _three(_pair)),
        Variant("pairs of 3x3, narrowed", _three(_pair, (7, 14, 28))),
        Variant("CSC, expansion 3", _three(_csc(3))),
        Variant("the same, shift left out", _three(_csc(3, moved=False))),
        Variant("CSC, expansion 1", _three(_csc(1))),
        Variant("depthwise, expansion 1", _three(_depthwise)),
    ),
    (
        Claim(
            "The 1x1 convolutions see no neighbours: without the shift accuracy falls.",
            "CSC, expansion 3",
            "the same, shift left out",
            1,
        ),
        Claim(
            "A larger expansion makes up for what shift lacks.",
            "CSC, expansion 3",
            "CSC, expansion 1",
        ),
        Claim(
            "With as many parameters, shift beats a narrowed net of 3x3.",
            "CSC, expansion 3",
            "pairs of 3x3, narrowed",
        ),
    ),
    epochs=4,
)


# Xception: what belongs between the two convolutions, and around them?


def _chain(activation=None, width=32, depth=4, residual=0):
    """``depth`` separable convolutions; identities around ``residual`` at a time."""

    def build(shape, classes):
        units = [
            nn.Sequential(
                SeparableConv2d(width, width, activation=activation),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            for _ in range(depth)
        ]
        if residual:
            groups = range(0, depth, residual)
            units = [
                nn.Residual(nn.Sequential(*units[i : i + residual])) for i in groups
            ]
        return _net(shape, classes, width, units, width)

    return build


SEPARABLE = Experiment(
    "separable-ablation",
    "what stands between the two convolutions, and around them?",
    "Chollet 2017",
    (
        Variant("middle: none", _chain(None)),
        Variant("middle: ReLU", _chain("relu")),
        Variant("middle: ELU", _chain("elu")),
        Variant("18 deep, residual", _chain(None, 16, 18, 3)),
        Variant("18 deep, plain", _chain(None, 16, 18)),
    ),
    (
        Claim(
            "No activation between depthwise and pointwise is better than a ReLU.",
            "middle: none",
            "middle: ReLU",
        ),
        Claim(
            "No activation is better than an ELU.",
            "middle: none",
            "middle: ELU",
        ),
        Claim(
            "Residual connections are essential.",
            "18 deep, residual",
            "18 deep, plain",
            1,
        ),
    ),
    epochs=4,
)


# clcNet: does the interlace matter, and the full channel receptive field?


def _clc(g1, g2, interlaced=True, width=16, blocks=4):
    def build(shape, classes):
        made = [channel_local_conv.clc(width, width, 1, g1, g2) for _ in range(blocks)]
        if not interlaced:
            made = [_without(nn.ChannelShuffle, block) for block in made]
        return _net(shape, classes, width, made, width)

    return build


INTERLACE = Experiment(
    "interlace",
    "do channels have to be interlaced, and fields to be full?",
    "Zhang 2018, clcNet",
    (
        Variant("dense 3x3 + 1x1", _clc(1, 1)),
        Variant("depthwise (16, 1), full", _clc(16, 1)),
        Variant("(8, 2), full", _clc(8, 2)),
        Variant("(4, 4), full", _clc(4, 4)),
        Variant("(4, 4), no interlace", _clc(4, 4, interlaced=False)),
        Variant("(8, 8), a quarter", _clc(8, 8)),
        Variant("(16, 16), a sixteenth", _clc(16, 16)),
    ),
    (
        Claim(
            "Interlaced groups beat groups that never meet, at the same cost.",
            "(4, 4), full",
            "(4, 4), no interlace",
        ),
        Claim(
            "A full channel receptive field is needed.",
            "(4, 4), full",
            "(8, 8), a quarter",
        ),
        Claim(
            "Balanced groups are as good as depthwise ones, or better.",
            "(4, 4), full",
            "depthwise (16, 1), full",
        ),
    ),
    epochs=4,
)


# MobileNet: what does a narrower net lose?


def _mobile(width):
    return lambda shape, classes: mobilenet.mobilenet_small(shape, classes, width)


WIDTH = Experiment(
    "width-multiplier",
    "what does a narrower net lose?",
    "Howard et al. 2017",
    tuple(Variant(f"width {w:g}", _mobile(w)) for w in (1, 0.5, 0.25, 0.125, 0.0625)),
    (
        Claim("Accuracy falls smoothly at first.", "width 1", "width 0.5"),
        Claim(
            "It falls faster where the net gets too small.",
            "width 0.5",
            "width 0.125",
        ),
        Claim("And faster still.", "width 0.125", "width 0.0625", 1),
    ),
    epochs=3,
)


# IGC: how to spend a fixed number of weights?


def _plain(width):
    def build(shape, classes):
        blocks = [nn.Sequential(*nn.conv_bn(width, width, 3)) for _ in range(4)]
        return _net(shape, classes, width, blocks, width)

    return build


def _igc(partitions, each, permuted=True):
    def build(shape, classes):
        block = interleaved_group_conv.igcv1_block
        made = [block(partitions, each) for _ in range(4)]
        if not permuted:
            made = [_without(nn.ChannelShuffle, b) for b in made]
        width = partitions * each
        return _net(shape, classes, width, made, width)

    return build


IGC = Experiment(
    "igc-budget",
    "2,000 weights a block: how many partitions of how many channels?",
    "Zhang et al. 2017",
    (
        Variant("plain 3x3, width 15", _plain(15)),
        Variant("L 40, M 1: width 40", _igc(40, 1)),
        Variant("L 24, M 2: width 48", _igc(24, 2)),
        Variant("L 16, M 3: width 48", _igc(16, 3)),
        Variant("L 11, M 4: width 44", _igc(11, 4)),
        Variant("L 3, M 8: width 24", _igc(3, 8)),
        Variant("L 24, M 2, not permuted", _igc(24, 2, permuted=False)),
    ),
    (
        Claim(
            "A wide block of two grouped convolutions beats a plain one of as many "
            "weights.",
            "L 24, M 2: width 48",
            "plain 3x3, width 15",
        ),
        Claim(
            "Of these blocks the widest is about the best: few channels in a primary "
            "partition, but more than one.",
            "L 24, M 2: width 48",
            "L 3, M 8: width 24",
        ),
        Claim(
            "The permutation matters.",
            "L 24, M 2: width 48",
            "L 24, M 2, not permuted",
        ),
    ),
    epochs=3,
)

EXPERIMENTS = (SHIFT, SEPARABLE, INTERLACE, WIDTH, IGC)
