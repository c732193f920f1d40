"""Dynamic convolution: attention over a few kernels, softened while training begins.

Chen, Dai, Liu, Chen, Yuan, Liu, "Dynamic Convolution: Attention over Convolution
Kernels", CVPR 2020, arXiv 1912.03458.

CondConv's sum of kernels (see `conditional_conv`), with two constraints: the numbers of
an example sum to 1, and at first all kernels get nearly the same share.

    pi = softmax(FC2 relu(FC1 mean(x)) / T)        FC1 C -> C / 4, FC2 C / 4 -> K
    y  = x * (pi_1 W_1 + ... + pi_K W_K) + (pi_1 b_1 + ... + pi_K b_K)

With a large temperature T all kernels learn from every image; T falls from 30 to 1 over
the first ten epochs, and the kernels part. As numbers that sum to 1 span less than free
ones, K = 4 is enough.

    parameters  K |W| + K O + C^2 / 4 + C K / 4       with biases C / 4 + K more
    MAdds       K |W| + C^2 / 4 + C K / 4 + H W |W|

Shapes: x (N, C, H, W), pi (N, K), weight (K, O, C / g, k, k), y (N, O, oh, ow).

Deviations: none in the layer. The paper makes all convolutions but the first dynamic;
which ones its reported sizes include is not known.
"""

import numpy as np

from .. import functional as F
from .. import nn
from ..errors import ArgumentError, ShapeError
from ..nn._arguments import whole
from ..tensor import Tensor
from ..zoo import check_image, register_model
from .conditional_conv import CondConv2d
from .random_features import positive

START, EPOCHS = 30.0, 10  # the temperature at first, and when it has come down to 1


def temperature_at(epoch: int, start: float = START, epochs: int = EPOCHS) -> float:
    """``start`` in epoch 0, falling in a line to 1 in epoch ``epochs``, then 1.

    Raises: ArgumentError unless start > 0, epochs >= 1 and epoch >= 0.
    """
    positive("temperature_at", "start", start)
    whole("temperature_at", "epochs", epochs)
    done = min(whole("temperature_at", "epoch", epoch, 0) / epochs, 1.0)
    return start + (1.0 - start) * done


class Attention(nn.Module):
    """The shares of K kernels: ``softmax(FC2 relu(FC1 mean(x)) / T)``.

    Shapes: x (N, channels, H, W), pi (N, experts), rows that sum to 1.
    Args: reduction: FC1 has ``channels // reduction`` units, one at least.
    Raises: ArgumentError; ShapeError for an input of other channels.
    Source: Chen et al. 2020, equation 4 and figure 3.
    """

    def __init__(self, channels: int, experts: int = 4, reduction: int = 4):
        super().__init__()
        self.channels = whole("Attention", "channels", channels)
        self.experts = whole("Attention", "experts", experts)
        hidden = max(1, channels // whole("Attention", "reduction", reduction))
        self.first = nn.Linear(channels, hidden)
        self.second = nn.Linear(hidden, experts)
        self.start, self.epochs = START, EPOCHS
        # Part of the state: a model that is read back is as soft as it was.
        self.register_buffer("temperature", Tensor(np.float32([START])))

    def set_temperature(self, value: float) -> None:
        """Set T. Raises: ArgumentError unless it is > 0 and finite."""
        self.temperature.data[...] = positive("Attention", "temperature", value)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set T as the schedule has it for this epoch, counted from 0."""
        self.set_temperature(temperature_at(epoch, self.start, self.epochs))

    def status(self) -> str:
        """The temperature."""
        return f"temperature {self.temperature.cpu().item():g}"

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ShapeError(
                f"Attention: input must be (N, {self.channels}, H, W); got "
                f"{tuple(x.shape)}"
            )
        scores = self.second(F.relu(self.first(F.mean(x, (2, 3)))))
        return F.softmax(scores / self.temperature, 1)

    def extra_repr(self):
        return f"{self.channels}, {self.experts}"


class DynamicConv2d(CondConv2d):
    """A convolution whose kernel is a mean of ``experts``, weighted by `Attention`.

    Shapes and further arguments: as of `CondConv2d`.
    Raises: ArgumentError; ShapeError.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups: int = 1,
        bias: bool = True,
        experts: int = 4,
        reduction: int = 4,
        evaluation: str = "auto",
    ):
        attention = Attention(in_channels, experts, reduction)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            experts,
            attention,
            evaluation,
        )


def _attentions(where, model):
    found = [m for m in model.modules() if isinstance(m, Attention)]
    if not found:
        raise ArgumentError(f"{where}: model must have attention; it has none")
    return found


def set_temperature(model: nn.Module, value: float) -> None:
    """Set T of every `Attention` in a model.

    Raises: ArgumentError where it has none, or unless value > 0.
    """
    for attention in _attentions("set_temperature", model):
        attention.set_temperature(value)


def set_schedule(model: nn.Module, start: float, epochs: int = EPOCHS) -> None:
    """Let T of every `Attention` fall from ``start`` to 1 in ``epochs`` epochs.

    Raises: ArgumentError where it has none, unless start > 0 and epochs >= 1.
    """
    temperature_at(0, start, epochs)
    for attention in _attentions("set_schedule", model):
        attention.start, attention.epochs = start, epochs
        attention.start_epoch(0, epochs)


def dynamic_cost(channels: int, out: int, kernel_size: int, experts: int = 4, groups=1):
    """(parameters of attention with biases, of the whole layer with biases)."""
    hidden = max(1, channels // 4)
    attention = channels * hidden + hidden + hidden * experts + experts
    weights = out * (channels // groups) * kernel_size**2
    return attention, attention + experts * (weights + out)


@register_model("dynamicconv", lr=3e-3)
def dynamic_conv_small(
    shape=(1, 28, 28), classes: int = 10, experts: int = 4
) -> nn.Sequential:
    """Four 3x3 convolutions, all but the first with 4 kernels and attention."""
    check_image("dynamicconv", shape, 4)
    layers, channels = nn.conv_bn(shape[0], 16, 3), 16
    for out, stride in ((32, 2), (32, 1), (64, 2)):
        dynamic = DynamicConv2d(
            channels, out, 3, stride, 1, bias=False, experts=experts
        )
        layers += [dynamic, nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(channels, classes))
