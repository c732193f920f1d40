"""Fastfood: a random matrix made of diagonals, and a layer that trains them.

Le, Sarlos, Smola, "Fastfood: Approximating Kernel Expansions in Loglinear Time", ICML
2013.
Yang, Moczulski, Denil, de Freitas, Smola, Song, Wang, "Deep Fried Convnets", ICCV 2015,
arXiv 1412.7149.

Random features need a product with a normal matrix, d^2 numbers for d rows. Fastfood
puts in its place

    V = 1 / (sigma sqrt(d)) S H G P H B          d a power of two

    B   diagonal, random signs              H   the Walsh-Hadamard matrix of +-1
    P   a random permutation                G   diagonal, standard normal
    S   diagonal, s_i / |G|, where s_i is the length of a standard normal vector of d

H mixes every number with every other in d log2 d additions. Every row of H G P H B has
the length sqrt(d) |G|, so row i of V has the length s_i / sigma, as a row of a normal
matrix would have. The mean over all draws is the kernel exactly; but rows of one V are
not independent, and err by a tenth to a half more than as many normal rows.

More than d rows: blocks of d, each with its own S, G, P, B, stand on top of each other.
Inputs that are no power of two long: zeros fill them up.

Adaptive: S, G and B are trained as well, from these random values; P stays. With the
gradient E of y = V x, c = 1 / (sigma sqrt(d)), and sums over the batch,

    by S  sum c E * (H G P H B x)         by B  sum x * (H P' G H c S E)
    by G  sum (H c S E) * (P H B x)       by x  B H P' G H c S E

Scaling S by a, G by b and B by 1 / (a b) changes nothing, so ``sum S dS``, ``sum G dG``
and ``sum B dB`` are one number, ``sum y E``.

    parameters  3 n                          a dense layer: n d
    a row       2 n log2 d additions, 3 n products, n moves

A deep fried net has such a layer where LeNet has its 800 to 500, and 1,024 or 2,048 of
its outputs: 25,500 + 3 n + 10 n weights, biases not counted. That is 52,124 for 2,048
and 38,812 for 1,024; the paper's table prints 38,821, which no way of counting gives.
Its net of reference has 430,500.

Shapes: x (..., in_features), y (..., out_features).

Deviations: a frozen layer ends in a cosine with random phases, an adaptive one in a
ReLU; which of the two the paper's own MNIST nets use we could not confirm. The counts
for ImageNet are formulas: what exactly "16.4M" and "32.8M" include is not known.
"""

import math

import numpy as np

from .. import functional as F
from .. import nn, random
from ..errors import ShapeError
from ..nn._arguments import whole
from ..tensor import Tensor
from ..zoo import register_model
from . import lenet
from .random_features import Phased, on_rows, positive


class Fastfood(nn.Module):
    """``y = V x + bias``, V = ``1 / (sigma sqrt(d)) S H G P H B``, which is not stored.

    d is the power of two from in_features on; ``blocks`` of d rows stand on top of each
    other, and the last is cut to out_features.

    Shapes: x (..., in_features), y (..., out_features); s, g, b and permutation
    (blocks, d), bias (out_features,).
    Args: sigma: > 0, row i of V has the length s_i / sigma, about sqrt(d) / sigma;
    adaptive: S, G and B are parameters, else they are buffers; bias: trained in both.
    Raises: ArgumentError.
    Source: Le, Sarlos and Smola 2013, equation 8; Yang et al. 2015, section 4.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        sigma: float = 1.0,
        adaptive: bool = False,
        bias: bool = False,
    ):
        super().__init__()
        self.in_features = whole("Fastfood", "in_features", in_features)
        self.out_features = whole("Fastfood", "out_features", out_features)
        self.sigma = positive("Fastfood", "sigma", sigma)
        self.adaptive = bool(adaptive)
        d = 1 << (in_features - 1).bit_length()
        shape = (-(-out_features // d), d)
        draw = random.generator()
        g = draw.standard_normal(shape)
        lengths = np.sqrt(draw.chisquare(d, shape))
        s = lengths / np.linalg.norm(g, axis=1, keepdims=True)
        b = draw.choice([-1.0, 1.0], shape)
        order = np.argsort(draw.random(shape), axis=1)
        for name, values in (("s", s), ("g", g), ("b", b)):
            values = Tensor(values.astype(np.float32))
            if adaptive:
                setattr(self, name, nn.Parameter(values))
            else:
                self.register_buffer(name, values)
        self.register_buffer("permutation", Tensor(order.astype(np.int64)))
        self.bias = nn.Parameter(np.zeros(out_features, np.float32)) if bias else None

    @property
    def n(self) -> int:
        """How many rows V has: out_features."""
        return self.out_features

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"Fastfood: input must be (..., {self.in_features}); got "
                f"{tuple(x.shape)}"
            )
        scale = 1 / (self.sigma * math.sqrt(self.s.shape[1]))
        y = F.fastfood(x, self.s * scale, self.g, self.b, self.permutation)
        if self.out_features < self.s.numel():
            y = y[..., : self.out_features]
        return y if self.bias is None else y + self.bias

    def extra_repr(self):
        kind = ", adaptive" if self.adaptive else ""
        return f"{self.in_features}, {self.out_features}, sigma={self.sigma:g}{kind}"


def matrix(layer: Fastfood) -> Tensor:
    """V of a layer, written out: (out_features, in_features)."""
    unit = Tensor(np.eye(layer.in_features, dtype=layer.s.dtype)).to(layer.s.device)
    y = layer(unit)
    return (y if layer.bias is None else y - layer.bias).transpose(0, 1)


def fastfood_features(
    in_features: int, n: int, sigma: float = 1.0, form: str = "paired"
) -> nn.Sequential:
    """`random_features` with a frozen Fastfood in place of the normal matrix.

    Shapes: x (..., in_features); features (..., 2 n) if paired, else (..., n).
    Raises: ArgumentError, UnknownNameError.
    """
    return on_rows(Fastfood(in_features, n, sigma), form)


def cost(d: int, n: int) -> tuple[int, int, int]:
    """(stored numbers, additions, multiplications) of n rows of V for d inputs.

    d is a power of two; n is rounded up to whole blocks. The permutation comes on top,
    n whole numbers; the constant belongs to S.
    """
    rows = -(-n // d) * d
    return 3 * rows, 2 * rows * (d.bit_length() - 1), 3 * rows


def count_weights(model: nn.Module) -> int:
    """Weights as the paper counts them: without biases, frozen S, G and B included."""
    frozen = sum(
        3 * m.s.numel()
        for m in model.modules()
        if isinstance(m, Fastfood) and not m.adaptive
    )
    trained = ((name, p.numel()) for name, p in model.named_parameters())
    return frozen + sum(n for name, n in trained if name.split(".")[-1] != "bias")


# Convolutions of CaffeNet: outputs, inputs of a group, kernel size.
CAFFENET_CONVOLUTIONS = (
    (96, 3, 11),
    (256, 48, 5),
    (384, 256, 3),
    (384, 192, 3),
    (256, 192, 3),
)
CAFFENET_DENSE = (9216, 4096, 4096, 1000)  # units of its dense layers


def caffenet_convolution_weights() -> int:
    """Weights of CaffeNet's convolutions: 2,332,704.

    The paper's slides give 27,232, which leaves the input channels out.
    """
    return sum(out * inputs * k * k for out, inputs, k in CAFFENET_CONVOLUTIONS)


def caffenet_dense_weights(units=CAFFENET_DENSE) -> int:
    """Weights of a chain of dense layers; CaffeNet's have 58,621,952."""
    return sum(a * b for a, b in zip(units, units[1:]))


def caffenet_parameters() -> int:
    """All of CaffeNet's parameters, biases included: 60,965,224."""
    biases = sum(out for out, _, _ in CAFFENET_CONVOLUTIONS) + sum(CAFFENET_DENSE[1:])
    return caffenet_convolution_weights() + caffenet_dense_weights() + biases


def fried_caffenet_weights(n: int, classes: int = 1000) -> int:
    """Weights of n outputs of Fastfood and a softmax layer: ``(3 + classes) n``.

    Convolutions not counted: 16,433,152 for 16,384 and 32,866,304 for 32,768.

    Raises: ArgumentError unless n >= 1.
    """
    return (3 + classes) * whole("fried_caffenet_weights", "n", n)


@register_model("lenet-reference")
def lenet_reference(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """LeNet, which deep fried nets are compared with: 430,500 weights, 580 biases."""
    return lenet.lenet(shape, classes, "lenet-reference")


FROZEN_SIGMA = 8.0  # the width of the kernel on the features of the convolutions


def deep_fried(
    n: int, adaptive: bool, shape=(1, 28, 28), classes: int = 10
) -> nn.Sequential:
    """LeNet's convolutions, n outputs of Fastfood, a linear layer.

    Raises: ShapeError for images smaller than 16x16.
    """
    name = f"{'adaptive-' if adaptive else ''}fastfood-{n}"
    layers, count = lenet.features(shape, name)
    if adaptive:  # rows of length sqrt(2), as He asks before a ReLU
        sigma = math.sqrt((1 << (count - 1).bit_length()) / 2)
        fried = Fastfood(count, n, sigma, adaptive=True, bias=True), nn.ReLU()
    else:
        fried = Fastfood(count, n, FROZEN_SIGMA), Phased(n, scaled=False)
    return nn.Sequential(*layers, *fried, nn.Linear(n, classes))


@register_model("fastfood-1024", lr=2e-3)
def fastfood_1024(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """LeNet with 1,024 frozen Fastfood features in place of its large dense layer."""
    return deep_fried(1024, False, shape, classes)


@register_model("fastfood-2048", lr=2e-3)
def fastfood_2048(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """LeNet with 2,048 frozen Fastfood features in place of its large dense layer."""
    return deep_fried(2048, False, shape, classes)


@register_model("adaptive-fastfood-1024", lr=2e-3)
def adaptive_fastfood_1024(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """LeNet with 1,024 trained Fastfood rows in place of its large dense layer."""
    return deep_fried(1024, True, shape, classes)


@register_model("adaptive-fastfood-2048", lr=2e-3)
def adaptive_fastfood_2048(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """LeNet with 2,048 trained Fastfood rows in place of its large dense layer."""
    return deep_fried(2048, True, shape, classes)
