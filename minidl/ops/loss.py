"""Softmax and cross-entropy in one: the loss of classes and its gradient."""

import numpy as np

from .. import kernels
from ..autograd import primitive
from ..errors import ArgumentError, DtypeError, RangeError, ShapeError
from ..samples import E, S
from .reduction import softmax, sum
from .shape import gather_along, reshape


def _check(where, logits, target, smoothing):
    if logits.ndim < 2:
        raise ShapeError(
            f"{where}: logits must be (N, C, ...); got {tuple(logits.shape)}"
        )
    if logits.dtype.kind != "f":
        raise DtypeError(
            f"{where}: logits must be float32 or float64; got {logits.dtype}"
        )
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{where}: target must be integers; got {target.dtype}")
    expected = (logits.shape[0], *logits.shape[2:])
    if target.shape != expected:
        raise ShapeError(
            f"{where}: target must be {expected} for logits {tuple(logits.shape)}; "
            f"got {tuple(target.shape)}"
        )
    if not 0 <= smoothing <= 1:
        raise ArgumentError(
            f"{where}: label_smoothing must be in [0, 1]; got {smoothing}"
        )
    if isinstance(target, np.ndarray) and target.size:  # to look at a GPU's would wait
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= logits.shape[1]:
            raise RangeError(
                f"{where}: labels must be in [0, {logits.shape[1]}); "
                f"got {low if low < 0 else high}"
            )


def _refused(r, *first):
    return [
        E(ShapeError, "logits must be (N, C, ...)", *first, r(3), r.integers(2, 3)),
        E(ShapeError, "target must be (3,)", *first, r(3, 2), r.integers(2, 4)),
        E(DtypeError, "logits must be", *first, r.integers(2, 3, 2), r.integers(2, 3)),
        E(DtypeError, "must be integers", *first, r(3, 2), r.mask(3)),
        E(RangeError, "got 2", *first, r(3, 2), np.array([0, 2, 1])),
        E(RangeError, "got -1", *first, r(3, 2), np.array([0, -1, 1])),
        E(
            ArgumentError,
            "in [0, 1]",
            *first,
            r(3, 2),
            r.integers(2, 3),
            label_smoothing=1.5,
        ),
    ]


@primitive(
    samples=lambda r: [
        S(r(4, 3), r.integers(3, 4)),
        S(r(4, 3) * 200, r.integers(3, 4)),
        S(r(2, 3, 2, 2), r.integers(3, 2, 2, 2), label_smoothing=0.2),
        S(r(3, 2), r.integers(2, 3), label_smoothing=1.0),
        S(r(1, 1), r.integers(1, 1)),
        S(r(0, 3), r.integers(3, 0)),
    ],
    errors=_refused,
)
def cross_entropy(logits, target, *, label_smoothing=0.0):
    """``log(sum_c exp(x_c)) - (1 - e) x_target - e mean_c x_c`` for each sample.

    Shapes: logits x (N, C, ...); target (N, ...) whole numbers in [0, C); y (N, ...).
    Args: label_smoothing e in [0, 1].
    """
    _check("cross_entropy", logits, target, label_smoothing)
    return kernels.cross_entropy(logits, target, label_smoothing)


@primitive(
    samples=lambda r: [
        S(r(4), r(4, 3), r.integers(3, 4)),
        S(r(2, 2, 2), r(2, 3, 2, 2), r.integers(3, 2, 2, 2), label_smoothing=0.2),
        S(r(0), r(0, 3), r.integers(3, 0)),
    ],
    errors=lambda r: (
        _refused(r, r(3))
        + [E(ShapeError, "gradient must be (3,)", r(2), r(3, 2), r.integers(2, 3))]
    ),
)
def cross_entropy_input(g, logits, target, *, label_smoothing=0.0):
    """The gradient of `cross_entropy` by its logits: ``g (softmax(x) - t)``."""
    _check("cross_entropy_input", logits, target, label_smoothing)
    if g.shape != target.shape:
        raise ShapeError(
            f"cross_entropy_input: gradient must be {tuple(target.shape)}; "
            f"got {tuple(g.shape)}"
        )
    return kernels.cross_entropy_input(g, logits, target, label_smoothing)


def _line(a):
    """What belongs to samples (N, ...), with an axis for the classes."""
    return reshape(a, shape=(a.shape[0], 1, *a.shape[1:]))


def _by_gradient(v, _y, _g, x, target, *, label_smoothing):
    """``sum_c v_c (softmax(x)_c - t_c)``, t the smoothed classes."""
    hit = reshape(gather_along(v, _line(target), dim=1), shape=target.shape)
    flat = sum(v, dim=1) / float(x.shape[1])
    expected = hit * (1.0 - label_smoothing) + flat * label_smoothing
    return sum(v * softmax(x, dim=1), dim=1) - expected


def _by_logits(v, _y, g, x, _target, *, label_smoothing):
    p = softmax(x, dim=1)
    return _line(g) * p * (v - sum(v * p, dim=1, keepdim=True))


cross_entropy.defvjp(
    lambda g, _y, x, target, *, label_smoothing: cross_entropy_input(
        g, x, target, label_smoothing=label_smoothing
    ),
    None,
)
cross_entropy_input.defvjp(_by_gradient, _by_logits, None)
