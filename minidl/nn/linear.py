"""Layers of weights without a spatial extent: Linear and Embedding."""

import math

import numpy as np

from .. import functional as F
from ..tensor import Tensor
from . import init
from ._arguments import whole
from .module import Module
from .state import Parameter


def empty(*shape: int) -> Parameter:
    """A float32 parameter for an initialiser to fill."""
    return Parameter(np.empty(shape, np.float32))


def reset(weight: Parameter, bias: Parameter | None) -> None:
    """Draw weights and bias from U(-b, b), b = ``1 / sqrt(fan_in)``, as torch does.

    `init.kaiming_uniform_` with a = sqrt(5) has exactly this bound.
    """
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(init.fans(weight)[0])
        init.uniform_(bias, -bound, bound)


class Linear(Module):
    """``y = x weight^T + bias``.

    Shapes: x (..., in_features); weight (out_features, in_features); bias
    (out_features,); y (..., out_features).
    Raises: ArgumentError unless both sizes are >= 1.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__()
        self.in_features = whole("Linear", "in_features", in_features)
        self.out_features = whole("Linear", "out_features", out_features)
        self.weight = empty(out_features, in_features)
        self.bias = empty(out_features) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new values, see `reset`."""
        reset(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self):
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """A table of vectors, drawn from N(0, 1): ``y = weight[index]``.

    Shapes: index int (...); weight (num_embeddings, embedding_dim);
    y (..., embedding_dim).
    Raises: ArgumentError unless both sizes are >= 1; RangeError for other indices.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int):
        super().__init__()
        self.num_embeddings = whole("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = whole("Embedding", "embedding_dim", embedding_dim)
        self.weight = init.normal_(empty(num_embeddings, embedding_dim))

    def forward(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.weight)

    def extra_repr(self):
        return f"{self.num_embeddings}, {self.embedding_dim}"
