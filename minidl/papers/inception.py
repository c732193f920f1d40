"""GoogLeNet: four views of the same image beside each other, made cheap by 1x1.

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich, "Going
Deeper with Convolutions", CVPR 2015, arXiv 1409.4842.

What is to be seen in an image comes in several sizes. An Inception module looks with
1x1, 3x3 and 5x5 windows and a pool at once and puts the channels side by side. A 1x1
convolution before each large window, and one behind the pool, keep it affordable:

                     +-- 1x1 -----------------+
                     +-- 1x1 (r3) --- 3x3 ----+
        x (C) -------+                        +---- y = [c1, c3, c5, pp] channels
                     +-- 1x1 (r5) --- 5x5 ----+
                     +-- max 3x3 ---- 1x1 ----+

    weights  C c1 + C r3 + 9 r3 c3 + C r5 + 25 r5 c5 + C pp;  MAdds  H W times as many

ReLU follows every convolution, also those that reduce. Without reductions (the naive
module) the large windows see all C channels and the pool passes all of them on.

Shapes: x (N, C, H, W), y (N, c1 + c3 + c5 + pp, H, W).

Deviations: this is the main tower; the two auxiliary classifiers, which only training
uses, are left out, and so is local response normalisation. The pools between the groups
round sizes up, as public ports do: 224 gives 112, 56, 28, 14 and 7.
"""

from typing import NamedTuple

from .. import nn
from ..errors import ArgumentError
from ..nn._arguments import whole


class Widths(NamedTuple):
    """Channels of a module's convolutions, named as in the drawing.

    None for r3, r5 or pp leaves that 1x1 convolution out.
    """

    c1: int
    r3: int | None
    c3: int
    r5: int | None
    c5: int
    pp: int | None

    def out(self, channels: int) -> int:
        """Channels of the output for ``channels`` of the input."""
        return self.c1 + self.c3 + self.c5 + (channels if self.pp is None else self.pp)


# Table 1 of the paper, a group of modules between two pools a line.
GROUPS = {
    "3": [Widths(64, 96, 128, 16, 32, 32), Widths(128, 128, 192, 32, 96, 64)],
    "4": [
        Widths(192, 96, 208, 16, 48, 64),
        Widths(160, 112, 224, 24, 64, 64),
        Widths(128, 128, 256, 24, 64, 64),
        Widths(112, 144, 288, 32, 64, 64),
        Widths(256, 160, 320, 32, 128, 128),
    ],
    "5": [Widths(256, 160, 320, 32, 128, 128), Widths(384, 192, 384, 48, 128, 128)],
}


def _conv(channels, out, kernel_size, stride=1):
    """Convolution with bias and ReLU; stride 1 keeps the size."""
    pad = kernel_size // 2
    return [nn.Conv2d(channels, out, kernel_size, stride, pad), nn.ReLU()]


def _reduced(channels, mid, out, kernel_size):
    """A large window behind its 1x1 convolution, if it has one."""
    if mid is None:
        return _conv(channels, out, kernel_size)
    return _conv(channels, mid, 1) + _conv(mid, out, kernel_size)


class Inception(nn.Concat):
    """The four branches of a module, their channels one after another.

    Shapes: x (N, channels, H, W), y (N, widths.out(channels), H, W).
    Args: widths: a `Widths` or six numbers in its order.
    Raises: ArgumentError unless every number of channels is an integer >= 1.
    Source: Szegedy et al. 2015, figure 2b; figure 2a where r3, r5 and pp are None.
    """

    def __init__(self, channels: int, widths):
        whole("Inception", "channels", channels)
        c1, r3, c3, r5, c5, pp = _checked(widths)
        pool = [nn.MaxPool2d(3, 1, 1)]
        super().__init__(
            nn.Sequential(*_conv(channels, c1, 1)),
            nn.Sequential(*_reduced(channels, r3, c3, 3)),
            nn.Sequential(*_reduced(channels, r5, c5, 5)),
            nn.Sequential(*pool, *([] if pp is None else _conv(channels, pp, 1))),
        )


def _checked(widths):
    """``widths`` as `Widths` if there are six and all that are given are whole."""
    if len(widths) != len(Widths._fields):
        raise ArgumentError(
            f"Inception: widths must be {', '.join(Widths._fields)}; got {widths!r}"
        )
    widths = Widths(*widths)
    for name, value in zip(Widths._fields, widths):
        if value is not None or name.startswith("c"):
            whole("Inception", f"widths.{name}", value)
    return widths


def inception_cost(channels: int, widths, size):
    """(weights, multiply-adds) of a module's convolutions on an image (H, W).

    Raises: ArgumentError unless every number of channels is an integer >= 1.
    """
    c1, r3, c3, r5, c5, pp = _checked(widths)
    weights = channels * (c1 + (pp or 0))
    for mid, out, area in ((r3, c3, 9), (r5, c5, 25)):
        weights += area * (channels if mid is None else mid) * out
        weights += channels * (mid or 0)
    return weights, size[0] * size[1] * weights


def googlenet(
    in_channels: int = 3, classes: int = 1000, dropout: float = 0.4
) -> nn.Sequential:
    """GoogLeNet: a stem, nine modules in three groups, global average, linear.

    The parts are named as in the paper's table: "3a" to "5b".

    Raises: ArgumentError.
    Source: Szegedy et al. 2015, table 1.
    """
    parts = {
        "stem": nn.Sequential(
            *_conv(in_channels, 64, 7, 2),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            *_conv(64, 64, 1),
            *_conv(64, 192, 3),
        )
    }
    channels = 192
    for group, rows in GROUPS.items():
        parts[f"pool{group}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        for letter, widths in zip("abcde", rows):
            parts[group + letter] = Inception(channels, widths)
            channels = widths.out(channels)
    parts["average"] = nn.GlobalAvgPool2d()
    parts["dropout"] = nn.Dropout(dropout)
    parts["linear"] = nn.Linear(channels, classes)
    return nn.Sequential(parts)
