"""Xception: Inception taken to its end, a depthwise and a 1x1 convolution.

Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017,
arXiv 1610.02357.

An Inception module without its pool, whose branches all are 1x1 -> ReLU -> 3x3, is one
1x1 convolution followed by a grouped 3x3: side by side, the branches' 1x1 are one
matrix, and each 3x3 sees its own segment of the channels (figures 2 and 3).

    +- 1x1 -> ReLU -> 3x3 -+                         +- 3x3 on segment 1 -+
    x                      y    =    1x1 -> ReLU ----|                    |- y
    +- 1x1 -> ReLU -> 3x3 -+                         +- 3x3 on segment 2 -+

One segment makes an ordinary convolution, one for each channel "extreme" Inception
(figure 4). That is nearly a depthwise separable convolution, which does the 3x3 first
and has no ReLU in the middle:

    y[o] = sum over c of p[o, c] (d[c] * x[c])        d (C, 1, 3, 3), p (N, C, 1, 1)

It equals the full convolution with the kernels w[o, c] = p[o, c] d[c], so that for
each input channel all kernels are multiples of one.

    parameters  9 C + C N;  MAdds  H W (9 C + C N);  against a full 3x3: 1/N + 1/9

Shapes: x (N, C, H, W), y (N, N', H, W); every module of the network's entry and the
first of its exit halve H and W, rounded up.

Deviations: no convolution has a bias, and no norm stands inside a separable one. Sizes
are those of the author's Keras code: its stem does not pad, and its pools pad as
TensorFlow's "same" does. On even sizes that is one row below and one column on the
right only, so windows begin at the first pixel, where symmetric padding would begin
before it. On odd sizes both agree. Batch norm has this library's eps and momentum.
"""

from .. import functional as F
from .. import nn
from ..errors import ArgumentError, unknown_name
from ..nn._arguments import whole
from ..tensor import Tensor
from ..zoo import check_image, register_model

ACTIVATIONS = {None: nn.Identity, "relu": nn.ReLU, "elu": nn.ELU}
FIRST = ("depthwise", "pointwise")


def simplified_inception(channels: int, widths) -> nn.Concat:
    """Branches 1x1 (channels to mid) -> ReLU -> 3x3 (mid to out), side by side.

    Shapes: x (N, channels, H, W), y (N, sum of out, H, W).
    Args: widths: (mid, out) of each branch.
    Raises: ArgumentError without a branch or with less than one channel.
    Source: Chollet 2017, figure 2.
    """
    if not widths:
        raise ArgumentError(
            f"simplified_inception: widths must name at least 1 branch; got {widths!r}"
        )
    return nn.Concat(*(_branch(channels, mid, out, 1) for mid, out in widths))


def grouped_inception(channels: int, mid: int, out: int, segments: int):
    """1x1 (channels to mid) -> ReLU -> 3x3 (mid to out) in ``segments`` groups.

    Shapes: x (N, channels, H, W), y (N, out, H, W).
    Raises: ArgumentError unless segments divides mid and out.
    Source: Chollet 2017, figure 3.
    """
    for name, value in (("mid", mid), ("out", out), ("segments", segments)):
        whole("grouped_inception", name, value)
    if mid % segments or out % segments:
        raise ArgumentError(
            f"grouped_inception: segments must divide mid {mid} and out {out}; "
            f"got {segments}"
        )
    return _branch(channels, mid, out, segments)


def extreme_inception(channels: int, out: int) -> nn.Sequential:
    """1x1 (channels to out) -> ReLU -> 3x3, each channel by itself.

    Raises: ArgumentError.
    Source: Chollet 2017, figure 4.
    """
    whole("extreme_inception", "out", out)
    return grouped_inception(channels, out, out, out)


def _branch(channels, mid, out, groups):
    return nn.Sequential(
        nn.Conv2d(channels, mid, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(mid, out, 3, padding=1, groups=groups, bias=False),
    )


def as_grouped(branches: nn.Concat) -> nn.Sequential:
    """A `grouped_inception` with the weights, and so the output, of ``branches``.

    Raises: ArgumentError unless all branches have the same numbers of channels: groups
    of unequal sizes are no grouped convolution.
    """
    firsts, lasts = ([branch[i].weight for branch in branches] for i in (0, 2))
    sizes = [w.shape[1::-1] for w in lasts]
    if len(set(sizes)) > 1:
        raise ArgumentError(
            "as_grouped: branches must all have the same widths (mid, out); "
            f"got {sizes}"
        )
    count, (mid, out) = len(sizes), sizes[0]
    channels = firsts[0].shape[1]
    module = grouped_inception(channels, count * mid, count * out, count)
    return _with_weights(module, {"0": firsts, "2": lasts})


def as_branches(grouped: nn.Sequential) -> nn.Concat:
    """A `simplified_inception` with the weights, and so the output, of ``grouped``."""
    first, last = grouped[0].weight, grouped[2].weight
    count = grouped[2].groups
    mid, out = first.shape[0] // count, last.shape[0] // count
    module = simplified_inception(first.shape[1], [(mid, out)] * count)
    state = {}
    for i in range(count):
        state[f"{i}.0"] = [first[i * mid : (i + 1) * mid]]
        state[f"{i}.2"] = [last[i * out : (i + 1) * out]]
    return _with_weights(module, state)


def _with_weights(module, weights):
    """``module`` with each named layer's weight joined of the given pieces."""
    state = {f"{k}.weight": F.concatenate(pieces) for k, pieces in weights.items()}
    sample = next(iter(state.values()))
    module.to(sample.device).to(sample.dtype)
    module.load_state_dict(state)
    return module


class SeparableConv2d(nn.Module):
    """A depthwise and a 1x1 convolution, without bias; the image keeps its size.

    Shapes: x (N, in_channels, H, W), y (N, out_channels, H, W).
    Args: activation: between the two, None, "relu" or "elu"; first: "depthwise" or
    "pointwise", which of them comes first.
    Raises: UnknownNameError for another activation or order; ArgumentError.
    Source: Chollet 2017, section 2; the middle activation is section 4.7.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        activation: str | None = None,
        first: str = "depthwise",
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            known = filter(None, ACTIVATIONS)
            raise unknown_name("SeparableConv2d activation", activation, known)
        deep = _depth("SeparableConv2d", in_channels, out_channels, first)
        options = dict(padding="same", groups=deep, bias=False)
        self.first = first
        self.depthwise = nn.Conv2d(deep, deep, kernel_size, **options)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        before, behind = self.depthwise, self.pointwise
        if self.first == "pointwise":
            before, behind = behind, before
        return behind(self.activation(before(x)))

    def extra_repr(self):
        return f"first={self.first!r}"


def _depth(where, channels, out, first):
    """How many channels the depthwise convolution sees."""
    whole(where, "in_channels", channels)
    whole(where, "out_channels", out)
    if first not in FIRST:
        raise unknown_name(f"{where} order", first, FIRST)
    return channels if first == "depthwise" else out


def separable_cost(
    in_channels: int,
    out_channels: int,
    size,
    kernel_size: int = 3,
    first: str = "depthwise",
):
    """(parameters, multiply-adds) of a `SeparableConv2d` on an image (H, W).

    Raises: UnknownNameError for another order; ArgumentError.
    """
    deep = _depth("separable_cost", in_channels, out_channels, first)
    whole("separable_cost", "kernel_size", kernel_size)
    weights = kernel_size**2 * deep + in_channels * out_channels
    return weights, size[0] * size[1] * weights


def separable_ratio(out: int, kernel_size: int = 3) -> float:
    """What it costs beside a full convolution, ``1 / out + 1 / kernel_size^2``.

    Raises: ArgumentError.
    """
    whole("separable_ratio", "out", out)
    whole("separable_ratio", "kernel_size", kernel_size)
    return 1 / out + 1 / kernel_size**2


class SameMaxPool2d(nn.Module):
    """The largest of 3x3 pixels, every second: sizes are halved and rounded up.

    Padded as TensorFlow's "same": on both sides where a size is odd, else at its end.

    Shapes: x (N, C, H, W), y (N, C, ceil(H / 2), ceil(W / 2)).
    """

    def forward(self, x: Tensor) -> Tensor:
        odd = tuple(n % 2 for n in x.shape[2:])
        # Rounding the size up lets the last window of an even side hang over its end.
        return F.max_pool2d(x, kernel_size=3, stride=2, padding=odd, ceil_mode=True)


def _separables(channels, outs, activation):
    """ReLU, separable convolution and norm for each of ``outs``, in a list."""
    layers = []
    for out in outs:
        conv = SeparableConv2d(channels, out, activation=activation)
        layers += [nn.ReLU(), conv, nn.BatchNorm2d(out)]
        channels = out
    return layers


def _module(channels, outs, stride, residual, activation, leading=True):
    """Separable convolutions, halving the image with stride 2, and the identity."""
    body = _separables(channels, outs, activation)[0 if leading else 1 :]
    shortcut = None
    if stride == 2:
        body.append(SameMaxPool2d())
        convolved = nn.conv_bn(channels, outs[-1], 1, stride, relu=False)
        shortcut = nn.Sequential(*convolved)
    body = nn.Sequential(*body)
    return nn.Residual(body, shortcut) if residual else body


def _xception(
    stem,
    channels,
    entry,
    middle,
    outs,
    last,
    classes,
    residual=True,
    activation=None,
    dropout=0.0,
):
    """The three flows, from the layers of the stem to the classes.

    channels: those that the stem gives; entry: those of each halving module; middle:
    how many modules of three; outs: the two channels of the last halving module; last:
    those of the layers behind it.
    """
    options = dict(residual=residual, activation=activation)
    flows = {"stem": nn.Sequential(*stem), "entry": nn.Sequential()}
    for i, out in enumerate(entry):
        # The stem ends in a ReLU, so that the first module needs none.
        module = _module(channels, (out, out), 2, **options, leading=i > 0)
        flows["entry"].append(module)
        channels = out
    modules = (_module(channels, (channels,) * 3, 1, **options) for _ in range(middle))
    flows["middle"] = nn.Sequential(*modules)
    halving = _module(channels, outs, 2, **options)
    # The ReLU in front of the first becomes the one behind the last.
    relu, *layers = _separables(outs[-1], last, activation)
    flows["exit"] = nn.Sequential(halving, *layers, relu)
    flows["average"] = nn.GlobalAvgPool2d()
    flows["dropout"] = nn.Dropout(dropout)
    flows["linear"] = nn.Linear(last[-1], classes)
    return nn.Sequential(flows)


def xception(
    in_channels: int = 3,
    classes: int = 1000,
    residual: bool = True,
    activation: str | None = None,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Xception for images of 299x299: flows "stem", "entry", "middle" and "exit".

    Args: residual: False leaves out the identities and the 1x1 convolutions in their
    place (figure 9); activation: in the middle of separable convolutions (figure 10).
    Raises: UnknownNameError for another activation; ArgumentError.
    Source: Chollet 2017, figure 5.
    """
    stem = [
        nn.Conv2d(in_channels, 32, 3, 2, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    ]
    flows = (128, 256, 728), 8, (728, 1024), (1536, 2048)
    return _xception(stem, 64, *flows, classes, residual, activation, dropout)


@register_model("xception", lr=3e-3)
def xception_small(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """Xception for small images: two entry, two middle modules and an exit."""
    check_image("xception", shape, 8)
    stem = nn.conv_bn(shape[0], 32, 3)
    flows = (48, 96), 2, (96, 128), (128,)
    return _xception(stem, 32, *flows, classes)
