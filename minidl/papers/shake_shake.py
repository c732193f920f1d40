"""Shake-Shake: two branches mixed at random, and backwards mixed anew.

Gastaldi, "Shake-Shake Regularization", ICLR 2017 workshop, arXiv 1705.07485.

A residual block has two branches alike. Forwards a random alpha mixes them, backwards
another number, beta, divides the gradient. So that is not the gradient of what was
computed, on purpose:

    forward    y = x + alpha F1(x) + (1 - alpha) F2(x)
    backward   dF1 = beta dy,  dF2 = (1 - beta) dy

    shake  drawn uniformly from [0, 1), for the batch or for each image
    even   1/2, as both are when training is over
    keep   beta = alpha: the true gradient

    branch     ReLU - 3x3, stride s - norm - ReLU - 3x3 - norm
    skip       x; where the width changes: ReLU, two paths one pixel apart, each every
               s-th pixel and a 1x1 to half the channels; side by side; norm
    a net      3x3 stem of 16 channels; three stages of k, 2 k and 4 k channels with
               (depth - 2) / 6 blocks each; ReLU; mean; linear

Shapes: x (N, C, H, W), y (N, out, H / s, W / s), rounded up.

Deviations: none.
"""

import numpy as np

from .. import functional as F
from .. import nn, random
from ..errors import ArgumentError, ShapeError, unknown_name
from ..nn._arguments import whole
from ..tensor import Tensor
from ..zoo import check_image, register_model

FORWARD, BACKWARD = ("even", "shake"), ("even", "keep", "shake")


def shake(a: Tensor, b: Tensor, alpha, beta) -> Tensor:
    """``alpha a + (1 - alpha) b``, whose gradients are beta g and (1 - beta) g.

    alpha and beta: numbers, or tensors that broadcast over a and b; constants.
    """
    mixed = a * alpha + b * (1 - alpha)
    if beta is alpha:
        return mixed
    declared = a * beta + b * (1 - beta)  # its gradient counts, and its value does not
    return declared + (mixed - declared).detach()


class ShakeShake(nn.Module):
    """``alpha F1(x) + (1 - alpha) F2(x)`` of two branches, with its own backward.

    Args: forward, "even" or "shake", and backward, "even", "keep" or "shake": how alpha
    and beta are taken while training; level: "batch" or "image", for what one draw is.
    Out of training both are 1/2.
    Raises: UnknownNameError; ShapeError where the branches' outputs differ.
    Source: Gastaldi 2017, section 1 and table 1.
    """

    def __init__(
        self,
        first: nn.Module,
        second: nn.Module,
        mode: tuple[str, str] = ("shake", "shake"),
        level: str = "image",
    ):
        super().__init__()
        ways = tuple(mode)
        if len(ways) != 2 or ways[0] not in FORWARD:
            raise unknown_name("forward mode", str(ways[0]), FORWARD)
        if ways[1] not in BACKWARD:
            raise unknown_name("backward mode", str(ways[1]), BACKWARD)
        if level not in ("batch", "image"):
            raise unknown_name("level", level, ("batch", "image"))
        self.first, self.second, self.mode, self.level = first, second, ways, level

    def _drawn(self, way, like):
        if way == "even" or not self.training:
            return 0.5
        count = like.shape[0] if self.level == "image" else 1
        values = random.generator().random((count, *[1] * (like.ndim - 1)))
        return Tensor(values.astype(np.dtype(like.dtype))).to(like.device)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.first(x), self.second(x)
        if a.shape != b.shape:
            raise ShapeError(
                f"ShakeShake: both branches must give one shape; got {tuple(a.shape)} "
                f"and {tuple(b.shape)}"
            )
        forward, backward = self.mode
        alpha = self._drawn(forward, a)
        keeps = backward == "keep" or not self.training
        return shake(a, b, alpha, alpha if keeps else self._drawn(backward, a))

    def extra_repr(self):
        return f"{self.mode[0]}-{self.mode[1]}, {self.level}"


class Thinned(nn.Module):
    """Every ``stride``-th pixel, of the image or of it moved up and left by one.

    Zeros enter where the moved image ends. Shapes: x (N, C, H, W), y (N, C, H / stride,
    W / stride), rounded up.
    """

    def __init__(self, stride: int, moved: bool = False):
        super().__init__()
        self.stride, self.moved = whole("Thinned", "stride", stride), bool(moved)

    def forward(self, x: Tensor) -> Tensor:
        x = F.shift(x, -1, -1) if self.moved else x
        return x[:, :, :: self.stride, :: self.stride]

    def extra_repr(self):
        return f"{self.stride}, moved={self.moved}"


def branch(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """ReLU, 3x3, norm, ReLU, 3x3, norm."""
    ends = nn.conv_bn(out, out, 3, relu=False)
    return nn.Sequential(nn.ReLU(), *nn.conv_bn(channels, out, 3, stride), *ends)


def _skip(channels, out, stride):
    """The way around a block that changes the width."""
    paths = [
        nn.Sequential(Thinned(stride, moved), nn.Conv2d(channels, half, 1, bias=False))
        for moved, half in ((False, out // 2), (True, out - out // 2))
    ]
    return nn.Sequential(nn.ReLU(), nn.Concat(*paths), nn.BatchNorm2d(out))


def block(
    channels: int,
    out: int,
    stride: int = 1,
    mode: tuple[str, str] = ("shake", "shake"),
    level: str = "image",
) -> nn.Residual:
    """A residual block of two shaken branches.

    Raises: UnknownNameError; ArgumentError.
    """
    branches = (branch(channels, out, stride) for _ in range(2))
    same = channels == out and stride == 1
    return nn.Residual(
        ShakeShake(*branches, mode, level),
        None if same else _skip(channels, out, stride),
    )


def shake_shake(
    depth: int = 26,
    width: int = 32,
    mode: tuple[str, str] = ("shake", "shake"),
    level: str = "image",
    in_channels: int = 3,
    classes: int = 10,
) -> nn.Sequential:
    """A net "depth 2x(width)d" for small images.

    Raises: ArgumentError unless depth = 6 n + 2; UnknownNameError.
    Source: Gastaldi 2017, section 2.1.
    """
    blocks, rest = divmod(whole("shake_shake", "depth", depth, 8) - 2, 6)
    if rest:
        raise ArgumentError(f"shake_shake: depth must be 6 n + 2; got {depth}")
    whole("shake_shake", "width", width)
    layers, channels = nn.conv_bn(in_channels, 16, 3, relu=False), 16
    for stage in range(3):
        out = width << stage
        for i in range(blocks):
            stride = 2 if stage and i == 0 else 1
            layers.append(block(channels, out, stride, mode, level))
            channels = out
    end = nn.ReLU(), nn.GlobalAvgPool2d(), nn.Linear(channels, classes)
    return nn.Sequential(*layers, *end)


@register_model("shake-shake", lr=3e-3)
def shake_shake_small(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """Shake-Shake, 8 deep, for small images: three blocks, shaken image by image."""
    check_image("shake-shake", shape, 4)
    return shake_shake(8, 16, in_channels=shape[0], classes=classes)
