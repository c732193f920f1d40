"""CondConv: every example has its own kernel, mixed of a few experts.

Yang, Bender, Le, Ngiam, "CondConv: Conditionally Parameterized Convolutions for
Efficient Inference", NeurIPS 2019, arXiv 1904.04971.

A convolution costs its weights times the pixels, so more weights mean more time. But
kernels can be added before the image is touched, and that costs the weights only once:

    alpha = sigmoid(mean over pixels of x, times R)          R (C, n): how much of each
    W_b   = sum over i of alpha[b, i] W_i                    one kernel for each example
    y_b   = x_b * W_b                                        a plain convolution

    x --+-- mean -- R -- sigmoid -- alpha --> W = alpha_1 W_1 + ... + alpha_n W_n
        |                                      |
        +-------------------------------------(*)-- y

It is linear in the kernels, so three ways of computing it give the same numbers:

    combine  kernels of the batch by one matrix product, then one convolution with as
             many groups as examples                              n |W| + H W |W|
    each     the same, a convolution for each example             n |W| + H W |W|
    mixture  all n experts convolve, their outputs are mixed      n H W |W|

where |W| = O (C / g) k k, H x W is the size of the output, and routing adds C n. The
identity holds before the nonlinearity; `auto` takes the cheaper of the first and last.

    parameters  n |W| + C n             MAdds  n |W| + C n + H W |W|, combined

Shapes: x (N, C, H, W), alpha (N, n), weight (n, O, C / g, k, k), y (N, O, oh, ow).

Deviations: the router has a bias, as in the authors' code but not in the formula;
``bias=False`` leaves it out. Experts are initialised one at a time, as there.
"""

from .. import functional as F
from .. import nn
from ..errors import ArgumentError, ShapeError, unknown_name
from ..nn._arguments import divides, number, whole
from ..nn.linear import empty, reset
from ..ops._geometry import pair
from ..tensor import Tensor
from ..zoo import check_image, register_model
from . import mobilenet

ACTIVATIONS = {"sigmoid": F.sigmoid, "softmax": lambda z: F.softmax(z, 1)}
EVALUATIONS = ("auto", "combine", "each", "mixture")


class Routing(nn.Module):
    """How much of each expert an example gets: numbers from the means of its channels.

    ``alpha = sigmoid(mean(x) R + r)``, with ``hidden`` a ReLU layer of so many units in
    front, with "softmax" numbers that sum to 1.

    Shapes: x (N, channels, H, W) or (N, channels); alpha (N, experts).
    Args: drop: in training each number of alpha is 0 with that probability, and the
    others are divided by 1 - drop; hidden: >= 1 or None.
    Raises: ArgumentError; ShapeError for an input of other channels.
    """

    def __init__(
        self,
        channels: int,
        experts: int,
        hidden: int | None = None,
        activation: str = "sigmoid",
        bias: bool = True,
        drop: float = 0.0,
    ):
        super().__init__()
        self.channels = whole("Routing", "channels", channels)
        self.experts = whole("Routing", "experts", experts)
        if activation not in ACTIVATIONS:
            raise unknown_name("activation of a routing", activation, ACTIVATIONS)
        if hidden is not None:
            whole("Routing", "hidden", hidden)
        self.activation = activation
        self.drop = number("Routing", "drop", drop, 0, 1)
        if drop == 1:
            raise ArgumentError("Routing: drop must be below 1, to leave experts")
        self.hidden = nn.Linear(channels, hidden) if hidden else None
        self.scores = nn.Linear(hidden or channels, experts, bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in (2, 4) or x.shape[1] != self.channels:
            raise ShapeError(
                f"Routing: input must be (N, {self.channels}, H, W) or "
                f"(N, {self.channels}); got {tuple(x.shape)}"
            )
        z = F.mean(x, (2, 3)) if x.ndim == 4 else x
        z = z if self.hidden is None else F.relu(self.hidden(z))
        alpha = ACTIVATIONS[self.activation](self.scores(z))
        return F.dropout(alpha, self.drop, self.training)

    def extra_repr(self):
        return f"{self.channels}, {self.experts}, {self.activation}"


def mix(alpha: Tensor, experts: Tensor) -> Tensor:
    """``sum over i of alpha[b, i] experts[i]`` by one matrix product: (N, ...).

    Shapes: alpha (N, n), experts (n, ...).
    """
    flat = F.matmul(alpha, experts.reshape(experts.shape[0], -1))
    return flat.reshape(alpha.shape[0], *experts.shape[1:])


def conv2d_of_batch(x: Tensor, weight: Tensor, **options) -> Tensor:
    """A convolution with a kernel for each example, as one with N times the groups.

    Shapes: x (N, C, H, W), weight (N, O, C / groups, kh, kw), y (N, O, oh, ow).
    """
    count, out = weight.shape[:2]
    groups = options.pop("groups", 1) * count
    images = x.reshape(1, count * x.shape[1], *x.shape[2:])
    kernels = weight.reshape(count * out, *weight.shape[2:])
    y = F.conv2d(images, kernels, groups=groups, **options)
    return y.reshape(count, out, *y.shape[2:])


def _each(x, weight, **options):
    """The same, example by example."""
    rows = zip(F.split(x, 1), F.split(weight, 1))
    return F.concatenate([F.conv2d(a, w.squeeze(0), **options) for a, w in rows], 0)


def _mixture(x, alpha, weight, groups, **options):
    """All experts convolve; their outputs are mixed."""
    experts, out, *kernel = weight.shape
    each = weight.reshape(experts, groups, out // groups, *kernel)
    each = each.transpose(0, 1)  # a group's channels of all experts are together
    y = F.conv2d(x, each.reshape(-1, *kernel), groups=groups, **options)
    y = y.reshape(x.shape[0], groups, experts, out // groups, *y.shape[2:])
    y = F.einsum("bgnohw,bn->bgohw", y, alpha)
    return y.reshape(x.shape[0], out, *y.shape[3:])


class _Conditional(nn.Module):
    """Experts, and their router unless alpha comes from elsewhere."""

    def _add(self, where, shape, bias, channels, routing, evaluation, allowed):
        if evaluation not in allowed:
            raise unknown_name("evaluation", evaluation, allowed)
        self.evaluation = evaluation
        self.weight = empty(*shape)
        self.bias = empty(*shape[:2]) if bias else None
        self.routing = routing
        if routing is not None and (routing.experts, routing.channels) != (
            shape[0],
            channels,
        ):
            raise ArgumentError(
                f"{where}: routing must be from {channels} channels to {shape[0]} "
                f"experts; got {routing.channels} and {routing.experts}"
            )
        for i in range(shape[0]):  # as if it stood alone: its own fan
            row = None if self.bias is None else Tensor(self.bias.data[i])
            reset(Tensor(self.weight.data[i]), row)

    def _alpha(self, x, alpha):
        where, experts = type(self).__name__, self.weight.shape[0]
        if alpha is None:
            if self.routing is None:
                raise ArgumentError(
                    f"{where}: alpha must be given, as the layer has no routing"
                )
            return self.routing(x)
        if alpha.shape != (x.shape[0], experts):
            raise ShapeError(
                f"{where}: alpha must be {(x.shape[0], experts)}; got "
                f"{tuple(alpha.shape)}"
            )
        return alpha


class CondConv2d(_Conditional):
    """A convolution whose kernel is mixed anew for each example.

    ``y_b = x_b * (sum over i of alpha[b, i] W_i) + sum over i of alpha[b, i] b_i``

    Shapes: x (N, in_channels, H, W); alpha (N, experts); weight (experts,
    out_channels, in_channels / groups, kh, kw); bias (experts, out_channels).
    Args: as of `nn.Conv2d`; routing: a module from x to alpha, "own" for a sigmoid
    `Routing`, None where the caller gives alpha (blocks that share one); evaluation:
    "combine", "each", "mixture", or "auto", the one of fewer multiply-adds.
    Raises: ArgumentError; ShapeError for other channels or another number of experts.
    Source: Yang et al. 2019, equations 1 to 3.
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
        experts: int = 8,
        routing="own",
        evaluation: str = "auto",
    ):
        super().__init__()
        where = type(self).__name__
        self.in_channels = whole(where, "in_channels", in_channels)
        self.out_channels = whole(where, "out_channels", out_channels)
        whole(where, "experts", experts)
        self.kernel_size = pair(where, "kernel_size", kernel_size, 1)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups = divides(
            where, groups, in_channels=in_channels, out_channels=out_channels
        )
        if routing == "own":
            routing = Routing(in_channels, experts)
        shape = experts, out_channels, in_channels // groups, *self.kernel_size
        self._add(where, shape, bias, in_channels, routing, evaluation, EVALUATIONS)

    def forward(self, x: Tensor, alpha: Tensor | None = None) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(
                f"{type(self).__name__}: input must be (N, {self.in_channels}, H, W); "
                f"got {tuple(x.shape)}"
            )
        alpha = self._alpha(x, alpha)
        options = dict(
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        way = self.evaluation
        if x.shape[0] == 0:  # no groups without examples
            way = "mixture"
        elif way == "auto":  # combining costs n + HW, the mixture n HW, both times |W|
            experts, pixels = self.weight.shape[0], x.shape[2] * x.shape[3]
            stride = pair("CondConv2d", "stride", self.stride, 1)
            pixels = max(1, pixels // (stride[0] * stride[1]))
            way = "combine" if experts + pixels < experts * pixels else "mixture"
        if way == "mixture":
            y = _mixture(x, alpha, self.weight, **options)
        else:
            run = conv2d_of_batch if way == "combine" else _each
            y = run(x, mix(alpha, self.weight), **options)
        if self.bias is None:
            return y
        return y + F.matmul(alpha, self.bias).reshape(*y.shape[:2], 1, 1)

    def extra_repr(self):
        experts, out, *_ = self.weight.shape
        shown = f"{self.in_channels}, {out}, {self.kernel_size}, experts={experts}"
        return shown + (f", groups={self.groups}" if self.groups > 1 else "")


class CondLinear(_Conditional):
    """``y_b = (sum over i of alpha[b, i] W_i) x_b``, and biases mixed alike.

    A matrix is used once for each example, so that mixing outputs is always cheaper
    than mixing matrices: "auto" is "mixture".

    Shapes: x (N, in_features), alpha (N, experts); weight (experts, out_features,
    in_features); y (N, out_features).
    Raises: ArgumentError; ShapeError.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        experts: int = 8,
        routing="own",
        evaluation: str = "auto",
    ):
        super().__init__()
        self.in_features = whole("CondLinear", "in_features", in_features)
        whole("CondLinear", "out_features", out_features)
        whole("CondLinear", "experts", experts)
        if routing == "own":
            routing = Routing(in_features, experts)
        allowed = tuple(way for way in EVALUATIONS if way != "each")
        shape = experts, out_features, in_features
        self._add("CondLinear", shape, bias, in_features, routing, evaluation, allowed)

    def forward(self, x: Tensor, alpha: Tensor | None = None) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ShapeError(
                f"CondLinear: input must be (N, {self.in_features}); got "
                f"{tuple(x.shape)}"
            )
        alpha = self._alpha(x, alpha)
        experts, out, _ = self.weight.shape
        if self.evaluation == "combine":
            y = F.matmul(mix(alpha, self.weight), x.unsqueeze(2)).squeeze(2)
        else:
            each = F.linear(x, self.weight.reshape(experts * out, -1))
            each = each.reshape(x.shape[0], experts, out)
            y = F.einsum("bno,bn->bo", each, alpha)
        return y if self.bias is None else y + F.matmul(alpha, self.bias)


def cond_cost(
    channels: int, out: int, kernel_size: int, experts: int, size, groups: int = 1
) -> dict[str, int]:
    """What a layer without biases costs for one image of output ``size`` (H, W).

    "parameters"; multiply-adds of "combine", "route" and "convolve"; "mixture" in place
    of the first and the last.
    """
    weights = out * (channels // groups) * kernel_size**2
    pixels = size[0] * size[1]
    return {
        "parameters": experts * weights + channels * experts,
        "combine": experts * weights,
        "route": channels * experts,
        "convolve": pixels * weights,
        "mixture": experts * pixels * weights,
    }


class CondSeparable(nn.Module):
    """MobileNet's block with experts; both convolutions share one router of its input.

    Shapes: x (N, channels, H, W), y (N, out, H / stride, W / stride), rounded up.
    """

    def __init__(self, channels, out, stride, experts, bias=True, evaluation="auto"):
        super().__init__()
        options = dict(experts=experts, bias=False, routing=None, evaluation=evaluation)
        self.routing = Routing(channels, experts, bias=bias)
        self.depthwise = CondConv2d(
            channels, channels, 3, stride, 1, groups=channels, **options
        )
        self.first = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.pointwise = CondConv2d(channels, out, 1, **options)
        self.second = nn.Sequential(nn.BatchNorm2d(out), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.routing(x)
        x = self.first(self.depthwise(x, alpha))
        return self.second(self.pointwise(x, alpha))


def cond_mobilenet(
    width: float = 1.0,
    experts: int = 8,
    in_channels: int = 3,
    classes: int = 1000,
    begin: int = 7,
    bias: bool = False,
    evaluation: str = "auto",
) -> nn.Sequential:
    """MobileNet with experts in its blocks from layer ``begin`` on and in the end.

    Layer 1 is the stem, layer 2 the first block; 15 leaves only the linear layer.

    Args: bias: of the routers.
    Raises: ArgumentError.
    Source: Yang et al. 2019, section 4.1.
    """
    whole("cond_mobilenet", "begin", begin)
    blocks = mobilenet.layout(width)
    layers = [nn.Sequential(*nn.conv_bn(in_channels, blocks[0][0], 3, 2))]
    options = dict(bias=bias, evaluation=evaluation)
    for layer, (channels, out, stride) in enumerate(blocks, 2):
        layers.append(_block(channels, out, stride, layer >= begin, experts, options))
    return nn.Sequential(*layers, *_end(out, classes, experts, **options))


def _block(channels, out, stride, conditional, experts, options):
    if conditional:
        return CondSeparable(channels, out, stride, experts, **options)
    return nn.Sequential(*mobilenet.separable(channels, out, stride))


def _end(channels, classes, experts, bias, evaluation):
    routing = Routing(channels, experts, bias=bias)
    linear = CondLinear(
        channels, classes, experts=experts, routing=routing, evaluation=evaluation
    )
    return nn.GlobalAvgPool2d(), linear


@register_model("condconv", lr=3e-3)
def cond_conv_small(
    shape=(1, 28, 28), classes: int = 10, experts: int = 4
) -> nn.Sequential:
    """MobileNet for small images with 4 experts in its last three blocks."""
    check_image("condconv", shape, 4)
    channels = [16, 32, 64, 64, 128, 128]
    layers = [nn.Sequential(*nn.conv_bn(shape[0], channels[0], 3))]
    options = dict(bias=True, evaluation="auto")
    for i, stride in enumerate((1, 2, 1, 2, 1)):
        sizes = channels[i], channels[i + 1], stride
        layers.append(_block(*sizes, i >= 2, experts, options))
    return nn.Sequential(*layers, *_end(channels[-1], classes, experts, **options))
