"""SVD compression: a trained dense layer as two thin ones, as near to it as can be.

Denton, Zaremba, Bruna, LeCun, Fergus, "Exploiting Linear Structure Within Convolutional
Networks for Efficient Evaluation", NIPS 2014; the baseline of Yang et al., "Deep Fried
Convnets", ICCV 2015.

A layer of weights W (m, n) is cut after r singular values:

    W = U diag(s) V'        A = diag(s_r)^1/2 V_r'  (r, n)        W ~ B A
                            B = U_r diag(s_r)^1/2   (m, r)

No other matrices of these sizes come nearer; what is lost is the root of the sum of the
squares of the singular values left out (Eckart and Young 1936). The pair has r (m + n)
weights in place of m n, so it pays below r = m n / (m + n). A few epochs of training
afterwards, fine-tuning, win most of the accuracy back.

    CaffeNet's dense layers  9216-4096-4096-1000                    58,621,952
    half                     9216-2048-4096-2048-4096-500-1000      46,588,192
    quarter                  9216-1024-4096-1024-4096-250-1000      23,294,096

The paper prints 46.6M and 23.4M; the latter rounds to 23.3M.

Shapes: x (..., n), y (..., m).

Deviations: at the size of LeNet only the hidden layer is cut; half and quarter of its
ten outputs would be too few for ten classes.
"""

import copy
import math

import numpy as np

from .. import nn
from ..backend import asarray, asnumpy
from ..errors import ArgumentError
from ..nn._arguments import whole
from ..zoo import register_model
from . import fastfood, lenet


def pays_below(m: int, n: int) -> float:
    """``m n / (m + n)``: below that rank the pair has fewer weights than the matrix."""
    whole("pays_below", "m", m)
    return m * n / (m + whole("pays_below", "n", n))


def _rank(rank, most):
    if whole("svd_compression", "rank", rank) > most:
        raise ArgumentError(
            f"svd_compression: rank must be at most {most}, the smaller side of the "
            f"matrix; got {rank}"
        )
    return rank


def pair(inputs: int, outputs: int, rank: int, bias: bool = True) -> nn.Sequential:
    """Two linear layers through ``rank`` units, freshly initialised; one bias at most.

    Raises: ArgumentError unless 1 <= rank <= both.
    """
    _rank(rank, min(inputs, outputs))
    first = nn.Linear(inputs, rank, bias=False)
    return nn.Sequential(first, nn.Linear(rank, outputs, bias))


def factorise(linear: nn.Linear, rank: int) -> nn.Sequential:
    """The `pair` that comes nearest to a layer: B A of its singular vectors.

    Both factors take the root of the singular values, so that they have equal norms.
    The layer is not changed.

    Raises: ArgumentError unless 1 <= rank <= min(m, n).
    """
    weight, bias = linear.weight, linear.bias
    thin = pair(linear.in_features, linear.out_features, rank, bias is not None)
    u, s, v = np.linalg.svd(asnumpy(weight.data).astype(np.float64), False)
    root = np.sqrt(s[:rank])
    factors = root[:, None] * v[:rank], u[:, :rank] * root
    for layer, values in zip(thin, factors):
        layer.weight.data = asarray(values, weight.dtype, weight.device)
    if bias is not None:
        thin[1].bias.data = bias.data.copy()
    return thin


def compress(model: nn.Module, ranks: dict[str, int]) -> nn.Module:
    """A copy of a trained model with some linear layers as pairs.

    ``ranks``: the rank of each by its path, as `Module.named_modules` gives it.

    Raises: ArgumentError for a path that is no linear layer, and for a rank too large.
    """
    model = copy.deepcopy(model)
    modules = dict(model.named_modules())
    for path, rank in ranks.items():
        if type(modules.get(path)) is not nn.Linear:
            have = ", ".join(k for k, m in modules.items() if type(m) is nn.Linear)
            raise ArgumentError(
                f"compress: ranks must name linear layers, here {have}; got {path!r}"
            )
        parent, _, name = path.rpartition(".")
        setattr(modules[parent], name, factorise(modules[path], rank))
    return model


def caffenet_units(share: float) -> tuple[int, ...]:
    """Units along CaffeNet's dense layers as pairs through ``share`` of their outputs.

    Raises: ArgumentError unless 0 < share <= 1.
    """
    if not 0 < share <= 1:
        raise ArgumentError(f"caffenet_units: share must be in (0, 1]; got {share!r}")
    first, *others = fastfood.CAFFENET_DENSE
    pairs = ((max(1, int(out * share)), out) for out in others)
    return first, *(units for both in pairs for units in both)


def _thin_lenet(name, share, shape, classes):
    layers, count = lenet.features(shape, name)
    rank = min(math.ceil(500 * share), count)
    hidden = pair(count, 500, rank), nn.ReLU()
    return nn.Sequential(*layers, *hidden, nn.Linear(500, classes))


@register_model("svd-half")
def svd_half(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """LeNet with its hidden layer through 250 units: the pair of half rank."""
    return _thin_lenet("svd-half", 1 / 2, shape, classes)


@register_model("svd-quarter")
def svd_quarter(shape=(1, 28, 28), classes: int = 10) -> nn.Sequential:
    """LeNet with its hidden layer through 125 units: the pair of quarter rank."""
    return _thin_lenet("svd-quarter", 1 / 4, shape, classes)
