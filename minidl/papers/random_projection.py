"""Random projections: fewer dimensions, and all distances nearly as they were.

Johnson, Lindenstrauss, "Extensions of Lipschitz Mappings into a Hilbert Space", 1984;
the constants: Dasgupta, Gupta, "An Elementary Proof of a Theorem of Johnson and
Lindenstrauss", 2003.
Ailon, Chazelle, "The Fast Johnson-Lindenstrauss Transform", 2009.

N points, of any dimension, fit into k dimensions with no squared distance wrong by more
than a share eps, if

    k >= 4 ln N / (eps^2 / 2 - eps^3 / 3)

A random matrix does it, with a chance that is not small:

    dense     y = R x / sqrt(k)              R (k, d), standard normal; k d products
    hadamard  y = (H D x)[rows] / sqrt(k)    D random signs, k random rows of H D x;
                                             d log2 d additions, no matrix

Both keep squared lengths on average. Signs and transform spread each point over all of
its coordinates, so that a sample of them says enough; without the signs a point such as
a row of H would fall on one coordinate and mostly be missed.

Shapes: x (..., d), y (..., k).

Deviations: the sample of rows is uniform and without replacement (the subsampled
randomised Hadamard transform), where Ailon and Chazelle take a sparse random matrix.
"""

import math

import numpy as np

from .. import functional as F
from .. import nn, random
from ..errors import ArgumentError, ShapeError
from ..nn._arguments import whole
from ..tensor import Tensor
from .random_features import GaussianRows


def bound(points: int, eps: float) -> float:
    """``4 ln N / (eps^2 / 2 - eps^3 / 3)``: dimensions that N points surely need not.

    Raises: ArgumentError unless points >= 1 and 0 < eps < 1.
    """
    whole("bound", "points", points)
    if not 0 < eps < 1:
        raise ArgumentError(f"bound: eps must be above 0 and below 1; got {eps!r}")
    return 4 * math.log(points) / (eps**2 / 2 - eps**3 / 3)


def least_dimensions(points: int, eps: float) -> int:
    """The smallest whole number of dimensions that is at least the `bound`, and 1.

    Raises: ArgumentError.
    """
    return max(1, math.ceil(bound(points, eps)))


def DenseProjection(in_features: int, k: int) -> GaussianRows:
    """``y = R x / sqrt(k)`` with a fixed matrix R of standard normal numbers.

    Shapes: x (..., in_features), y (..., k).
    Raises: ArgumentError.
    """
    return GaussianRows(in_features, whole("DenseProjection", "k", k), math.sqrt(k))


class HadamardProjection(nn.Module):
    """``y = (H D x)[rows] / sqrt(k)`` with fixed random signs D and k fixed rows.

    x is filled up with zeros to the next power of two.

    Shapes: x (..., in_features), y (..., k).
    Raises: ArgumentError unless 1 <= k <= that power of two.
    """

    def __init__(self, in_features: int, k: int):
        super().__init__()
        self.in_features = whole("HadamardProjection", "in_features", in_features)
        self.k = whole("HadamardProjection", "k", k)
        d = 1 << (in_features - 1).bit_length()
        if k > d:
            raise ArgumentError(
                f"HadamardProjection: k must be at most {d}, the power of two for "
                f"{in_features} features; got {k}"
            )
        draw = random.generator()
        signs = draw.choice(np.array([-1, 1], np.float32), in_features)
        self.register_buffer("signs", Tensor(signs))
        rows = np.sort(draw.choice(d, k, replace=False))
        self.register_buffer("rows", Tensor(rows.astype(np.int64)))
        self.padding = d - in_features

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"HadamardProjection: input must be (..., {self.in_features}); got "
                f"{tuple(x.shape)}"
            )
        mixed = F.fwht(F.pad(x * self.signs, (0, self.padding)))
        return mixed[..., self.rows] / math.sqrt(self.k)

    def extra_repr(self):
        return f"{self.in_features}, {self.k}"
