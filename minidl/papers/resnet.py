"""Residual networks for small images, whose blocks can be left out image by image.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv
1512.03385, section 4.2.

    y = relu(F(x) + S(x))           F  3x3, stride s - norm - ReLU - 3x3 - norm
                                    S  x; where the shape changes, every s-th pixel,
                                       and zeros for the channels that are new

    a net      3x3 stem of 16 channels; three stages of 16, 32 and 64 channels with n
               blocks each, the image halved between them; mean; linear: 6 n + 2 layers

As S has no weights, a block can be left out and leaves a net that fits. With u, 0 or 1,
for each image (Wu et al. 2018, "BlockDrop"; Wang et al. 2018, "SkipNet"):

    y = u relu(F(x) + S(x)) + (1 - u) S(x)

Shapes: x (N, C, H, W), u (N,), y (N, out, H / s, W / s), rounded up.

Deviations: none.
"""

from collections.abc import Sequence

from .. import functional as F
from .. import nn
from ..errors import ArgumentError, ShapeError
from ..nn._arguments import whole
from ..tensor import Tensor
from ..zoo import check_image, register_model


class Shortcut(nn.Module):
    """Every ``stride``-th pixel, and zeros for the channels from ``channels`` to
    ``out``.

    Raises: ArgumentError unless out >= channels.
    Source: He et al. 2016, option A.
    """

    def __init__(self, channels: int, out: int, stride: int = 1):
        super().__init__()
        self.channels = whole("Shortcut", "channels", channels)
        self.out = whole("Shortcut", "out", out, channels)
        self.stride = whole("Shortcut", "stride", stride)

    def forward(self, x: Tensor) -> Tensor:
        s, more = self.stride, self.out - self.channels
        x = x[:, :, ::s, ::s] if s > 1 else x
        return F.pad(x, (0, 0, 0, 0, 0, more)) if more else x

    def extra_repr(self):
        return f"{self.channels}, {self.out}, stride={self.stride}"


class Block(nn.Module):
    """``relu(F(x) + S(x))``, or for some images only ``S(x)``, see `run_or_skip`."""

    def __init__(self, channels: int, out: int, stride: int = 1):
        super().__init__()
        body = nn.conv_bn(channels, out, 3, stride) + nn.conv_bn(
            out, out, 3, 1, 1, False
        )
        self.body = nn.Sequential(*body)
        self.shortcut = Shortcut(channels, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def run_or_skip(block: Block, x: Tensor, keep: Tensor) -> Tensor:
    """``keep * block(x) + (1 - keep) * block.shortcut(x)``, image by image.

    In training mode both are computed for all images, and keep gets a gradient. Out of
    it keep must be 0 or 1 and the block is computed for those that keep it alone, see
    `nn.dispatch`.

    Shapes: keep (N,).
    Raises: ShapeError; out of training ArgumentError for a keep that is neither.
    """
    if keep.shape != x.shape[:1]:
        raise ShapeError(
            f"run_or_skip: keep must be {tuple(x.shape[:1])}; got {tuple(keep.shape)}"
        )
    if not block.training:
        return nn.dispatch([block.shortcut, block], x, keep)
    keep = keep.reshape(-1, 1, 1, 1)
    return keep * block(x) + (1 - keep) * block.shortcut(x)


class ResNet(nn.Module):
    """Stem, blocks and head; ``net(x, keep)`` leaves blocks out.

    Args: blocks: how many in each stage; widths: channels of the stages; stride: of the
    stem.
    Shapes: x (N, in_channels, H, W), keep (N, K) for K blocks, y (N, classes).
    Raises: ArgumentError; ShapeError for a keep of another shape.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (3, 3, 3),
        widths: Sequence[int] = (16, 32, 64),
        in_channels: int = 3,
        classes: int = 10,
        stride: int = 1,
    ):
        super().__init__()
        if len(blocks) != len(widths) or not blocks:
            raise ArgumentError(
                f"ResNet: widths must be given for each of {len(blocks)} stages; got "
                f"{len(widths)}"
            )
        channels = widths[0]
        self.stem = nn.Sequential(*nn.conv_bn(in_channels, channels, 3, stride))
        self.blocks = nn.ModuleList()
        for stage, (count, out) in enumerate(zip(blocks, widths)):
            for i in range(whole("ResNet", "blocks of a stage", count)):
                self.blocks.append(Block(channels, out, 2 if stage and not i else 1))
                channels = out
        self.head = nn.Sequential(nn.GlobalAvgPool2d(), nn.Linear(channels, classes))

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        if keep is not None and keep.shape != (x.shape[0], len(self.blocks)):
            raise ShapeError(
                f"ResNet: keep must be ({x.shape[0]}, {len(self.blocks)}); got "
                f"{tuple(keep.shape)}"
            )
        x = self.stem(x)
        for i, block in enumerate(self.blocks):
            x = block(x) if keep is None else run_or_skip(block, x, keep[:, i])
        return self.head(x)


def resnet(depth: int = 20, in_channels: int = 3, classes: int = 10) -> ResNet:
    """The net of 6 n + 2 layers. Raises: ArgumentError for another depth."""
    blocks, rest = divmod(whole("resnet", "depth", depth, 8) - 2, 6)
    if rest:
        raise ArgumentError(f"resnet: depth must be 6 n + 2; got {depth}")
    return ResNet([blocks] * 3, in_channels=in_channels, classes=classes)


@register_model("resnet", lr=3e-3)
def resnet_small(shape=(1, 28, 28), classes: int = 10) -> ResNet:
    """Six residual blocks of 16, 32 and 64 channels behind a stem of stride 2."""
    check_image("resnet", shape, 4)
    return ResNet((2, 2, 2), (16, 32, 64), shape[0], classes, stride=2)
