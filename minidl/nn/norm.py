"""Normalisation and dropout: layers that behave differently in training."""

import numpy as np

from .. import functional as F
from ..errors import ShapeError
from ..tensor import Tensor
from . import init
from ._arguments import number, whole
from .linear import empty
from .module import Module


class BatchNorm2d(Module):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel.

    In training mode the statistics are those of the batch and the running ones move by
    ``momentum`` towards them; in evaluation mode the running ones are used. Without
    ``track_running_stats`` it is always the batch's.

    Shapes: x, y (N, num_features, H, W); parameters and buffers (num_features,).
    Raises: ArgumentError; ShapeError for other inputs.
    Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithm 1.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ):
        super().__init__()
        self.num_features = whole("BatchNorm2d", "num_features", num_features)
        self.eps = number("BatchNorm2d", "eps", eps, 0, float("inf"))
        self.momentum = number("BatchNorm2d", "momentum", momentum, 0, 1)
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = init.ones_(empty(num_features)) if affine else None
        self.bias = init.zeros_(empty(num_features)) if affine else None
        mean, var = (np.full(num_features, v, np.float32) for v in (0, 1))
        self.register_buffer(
            "running_mean", Tensor(mean) if track_running_stats else None
        )
        self.register_buffer(
            "running_var", Tensor(var) if track_running_stats else None
        )

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        """The normalised images, after a ReLU if ``relu``: together they cost less."""
        if x.ndim != 4 or x.shape[1] != self.num_features:
            raise ShapeError(
                f"BatchNorm2d: input must be (N, {self.num_features}, H, W); "
                f"got {x.shape}"
            )
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum,
            self.eps,
            relu=relu,
        )

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class LayerNorm(Module):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last axes.

    Shapes: x, y (..., *normalized_shape); weight and bias normalized_shape.
    Raises: ArgumentError; ShapeError for other inputs.
    Source: Ba, Kiros and Hinton 2016, "Layer Normalization", equation 4.
    """

    def __init__(
        self,
        normalized_shape,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        sizes = (
            normalized_shape
            if isinstance(normalized_shape, tuple | list)
            else (normalized_shape,)
        )
        self.normalized_shape = tuple(
            whole("LayerNorm", "normalized_shape", n) for n in sizes
        )
        self.eps = number("LayerNorm", "eps", eps, 0, float("inf"))
        self.elementwise_affine = elementwise_affine
        shape, shift = self.normalized_shape, elementwise_affine and bias
        self.weight = init.ones_(empty(*shape)) if elementwise_affine else None
        self.bias = init.zeros_(empty(*shape)) if shift else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class Dropout(Module):
    """In training, each element is 0 with probability p, else divided by ``1 - p``.

    Raises: ArgumentError unless p is in [0, 1].
    Source: Srivastava et al. 2014, "Dropout".
    """

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = number("Dropout", "p", p, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self):
        return f"p={self.p}"
