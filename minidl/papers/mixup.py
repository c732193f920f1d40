"""mixup: train on images that are a little of two, and on labels that say so.

Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR
2018, arXiv 1710.09412.

    lam ~ Beta(alpha, alpha)        one number for the batch, between 0 and 1
    x~ = lam x + (1 - lam) x[p]     p a random permutation of the batch
    loss = lam CE(f(x~), y) + (1 - lam) CE(f(x~), y[p])

The loss is exactly the cross-entropy with mixed one-hot labels, as that is linear in
the labels. alpha = 1 draws lam uniformly; for alpha to 0 it is 0 or 1, which is plain
training; a large alpha mixes half and half. It helps where labels are wrong: no net
can learn by heart what it sees only in mixtures.

Shapes: x (N, ...), y (N,) whole numbers, p (N,).

Deviations: none.
"""

from typing import NamedTuple

import numpy as np

from .. import functional as F
from .. import nn, random
from ..errors import ShapeError
from ..tensor import Tensor
from .random_features import positive


class Mixture(NamedTuple):
    """A mixed batch: the images, both labels of each, and the share of the first."""

    x: Tensor
    first: Tensor
    second: Tensor
    lam: float

    def loss(self, logits: Tensor) -> Tensor:
        """``lam CE(logits, first) + (1 - lam) CE(logits, second)``."""
        one, other = (F.cross_entropy(logits, y) for y in (self.first, self.second))
        return one * self.lam + other * (1 - self.lam)


def mix(x: Tensor, y: Tensor, lam: float, permutation) -> Mixture:
    """The batch mixed with its own permutation.

    Shapes: x (N, ...), y (N,), permutation (N,).
    Raises: ShapeError unless there is a label for each image.
    """
    if x.ndim < 1 or y.shape != x.shape[:1] or len(permutation) != x.shape[0]:
        raise ShapeError(
            f"mixup: y and the permutation must be ({x.shape[0] if x.ndim else ''},) "
            f"as x has images; got {tuple(y.shape)} and ({len(permutation)},)"
        )
    other = Tensor(np.asarray(permutation)).to(x.device)
    return Mixture(x * lam + x[other] * (1 - lam), y, y[other], lam)


def mixup(x: Tensor, y: Tensor, alpha: float = 1.0) -> Mixture:
    """`mix` with lam ~ Beta(alpha, alpha) and a permutation, both drawn anew.

    Raises: ArgumentError unless alpha > 0; ShapeError.
    """
    alpha = positive("mixup", "alpha", alpha)
    draw = random.generator()
    return mix(x, y, float(draw.beta(alpha, alpha)), draw.permutation(x.shape[0]))


class Mixed(nn.Module):
    """A model that is trained by mixup, and is itself otherwise.

    Raises: ArgumentError unless alpha > 0.
    """

    def __init__(self, model: nn.Module, alpha: float = 1.0):
        super().__init__()
        self.model, self.alpha = model, positive("Mixed", "alpha", alpha)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)

    def objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the mixed images, and the loss with both labels."""
        mixture = mixup(x, y, self.alpha)
        logits = self.model(mixture.x)
        return logits, mixture.loss(logits)

    def extra_repr(self):
        return f"alpha={self.alpha:g}"
