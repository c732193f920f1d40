"""Squeeze and excitation: let an image say how much each of its channels counts.

Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018, arXiv 1709.01507.

A convolution mixes channels in the same way wherever it stands. Here the mean of every
channel over the whole image (squeeze, equation 2) passes a small perceptron that ends
in a sigmoid (excitation, equation 3), and scales the channel (equation 4):

    z[n, c] = mean of x[n, c, i, j] over i, j
    s = sigmoid(W2 relu(W1 z + b1) + b2)            W1 (C/r, C), W2 (C, C/r)
    y[n, c, i, j] = s[n, c] x[n, c, i, j]

        x ----+--------------------------------------------------- * --- y
              |                                                    |
              +-- mean -- C -> C/r -- ReLU -- C/r -> C -- sigmoid -+

In a residual block it stands behind the last norm and before the addition, so that the
identity is never scaled:

    y = relu(x + SE(body(x)))

    parameters  2 C^2 / r + C / r + C               the last two are the biases
    MAdds       2 C^2 / r                           without the scaling itself

Shapes: x, y (N, C, H, W); z, s (N, C).

Deviations: none in the layer. In the ResNet-50 here the 3x3 convolution of a block has
the stride, as in public ports; the paper's own ResNet-50 has it in the 1x1 before.
"""

from .. import functional as F
from .. import nn
from ..errors import ArgumentError, ShapeError
from ..nn._arguments import whole
from ..tensor import Tensor


def squeezed(channels: int, reduction: int) -> int:
    """Channels between the two linear maps: ``channels // reduction``.

    Raises: ArgumentError unless 1 <= reduction <= channels.
    """
    whole("SqueezeExcitation", "channels", channels)
    whole("SqueezeExcitation", "reduction", reduction)
    if reduction > channels:
        raise ArgumentError(
            f"SqueezeExcitation: reduction must be at most channels {channels}, to "
            f"leave one; got {reduction}"
        )
    return channels // reduction


class SqueezeExcitation(nn.Module):
    """Every channel times a number in (0, 1) that the whole image decides.

    Shapes: x, y (N, channels, H, W).
    Args: reduction: the perceptron's hidden layer has ``channels // reduction`` units.
    Raises: ArgumentError where reduction exceeds channels; ShapeError for an input of
    other channels.
    Source: Hu et al. 2018, equations 2 to 4.
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = True):
        super().__init__()
        mid = squeezed(channels, reduction)
        self.channels, self.reduction = channels, reduction
        self.squeeze = nn.Linear(channels, mid, bias)
        self.excite = nn.Linear(mid, channels, bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ShapeError(
                f"SqueezeExcitation: input must be (N, {self.channels}, H, W); "
                f"got {tuple(x.shape)}"
            )
        z = F.mean(x, (2, 3))  # (N, C)
        s = F.sigmoid(self.excite(F.relu(self.squeeze(z))))  # (N, C)
        return x * s.reshape(*s.shape, 1, 1)

    def extra_repr(self):
        return f"{self.channels}, reduction={self.reduction}"


def se_cost(channels: int, reduction: int = 16, bias: bool = True):
    """(parameters, multiply-adds) of a layer; the image's size does not matter.

    Raises: ArgumentError where reduction exceeds channels.
    """
    mid = squeezed(channels, reduction)
    weights = 2 * channels * mid
    return weights + (mid + channels if bias else 0), weights


def se_residual(
    body: nn.Module,
    channels: int,
    reduction: int = 16,
    shortcut: nn.Module | None = None,
) -> nn.Residual:
    """``SE(body(x)) + shortcut(x)``; ``channels`` are those that the body gives.

    Raises: ArgumentError where reduction exceeds channels.
    Source: Hu et al. 2018, figure 3.
    """
    gated = nn.Sequential(body, SqueezeExcitation(channels, reduction))
    return nn.Residual(gated, shortcut)


# Groups of ResNet-50: channels inside of a block, blocks, stride of the first.
GROUPS = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]


def _bottleneck(channels, mid, stride, reduction):
    """1x1, 3x3 and 1x1 to four times ``mid``; where the shape changes, a 1x1 beside."""
    out = 4 * mid
    body = nn.Sequential(
        *nn.conv_bn(channels, mid, 1),
        *nn.conv_bn(mid, mid, 3, stride),
        *nn.conv_bn(mid, out, 1, relu=False),
    )
    shortcut = None
    if channels != out or stride != 1:
        shortcut = nn.Sequential(*nn.conv_bn(channels, out, 1, stride, relu=False))
    if reduction is None:
        return nn.Residual(body, shortcut)
    return se_residual(body, out, reduction, shortcut)


def se_resnet50(
    reduction: int | None = 16, in_channels: int = 3, classes: int = 1000
) -> nn.Sequential:
    """ResNet-50 with the layer in each of its 16 blocks; None leaves the layers out.

    Raises: ArgumentError.
    Source: Hu et al. 2018, table 1.
    """
    layers = [*nn.conv_bn(in_channels, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for mid, blocks, stride in GROUPS:
        for i in range(blocks):
            block = _bottleneck(channels, mid, stride if i == 0 else 1, reduction)
            layers.append(nn.Sequential(block, nn.ReLU()))
            channels = 4 * mid
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(channels, classes))
