"""Losses: each takes ``reduction`` "mean", "sum" or "none"."""

import math

from .. import ops
from ..errors import ArgumentError, DtypeError, ShapeError
from ..tensor import Tensor
from .basic import mean


def _reduce(where, loss, reduction):
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ArgumentError(
            f"{where}: reduction must be 'mean', 'sum' or 'none'; got {reduction!r}"
        )
    if reduction == "mean" and loss.numel() == 0:
        raise ShapeError(f"{where}: batch must not be empty; got {loss.shape}")
    return mean(loss) if reduction == "mean" else ops.sum(loss)


def _alike(where, x, target):
    came = getattr(target, "shape", type(target).__name__)
    if x.shape != came:
        raise ShapeError(
            f"{where}: target must have the shape of input {x.shape}; got {came}"
        )
    if x.dtype != target.dtype or x.dtype.kind != "f":
        raise DtypeError(
            f"{where}: input and target must be floats of one dtype; "
            f"got {x.dtype} and {target.dtype}; use .to(dtype)"
        )


def cross_entropy(logits, target, *, reduction="mean", label_smoothing=0.0):
    """``-sum_c t_c log softmax(logits)_c``, t mixed with the uniform distribution.

    Shapes: logits (N, C, ...); target int (N, ...) of classes in [0, C), or float like
    logits, probabilities that add up to 1 along axis 1.
    Args: label_smoothing e in [0, 1]: ``t = (1 - e) t + e / C``.
    Raises: ShapeError, DtypeError, RangeError for a label outside [0, C).
    Source: smoothing from Szegedy et al. 2016, "Rethinking the Inception Architecture".
    """
    if logits.ndim < 2:
        raise ShapeError(
            f"cross_entropy: logits must be (N, C, ...); got {logits.shape}"
        )
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(
            f"cross_entropy: label_smoothing must be in [0, 1]; got {label_smoothing}"
        )
    if not hasattr(target, "dtype"):
        kind = type(target).__name__
        raise DtypeError(f"cross_entropy: target must be a Tensor; got {kind}")
    target = target if isinstance(target, Tensor) else Tensor(target)
    if target.dtype.kind in "iu":
        loss = ops.cross_entropy(logits, target, label_smoothing=label_smoothing)
        return _reduce("cross_entropy", loss, reduction)
    if target.dtype.kind != "f":
        raise DtypeError(
            f"cross_entropy: target must be classes (integers) or "
            f"probabilities (floats); got {target.dtype}"
        )
    _alike("cross_entropy", logits, target)
    logp = ops.log_softmax(logits, dim=1)
    hit = ops.sum(logp * target, dim=1)
    if label_smoothing:
        hit = hit * (1.0 - label_smoothing) + mean(logp, 1) * label_smoothing
    return _reduce("cross_entropy", -hit, reduction)


def binary_cross_entropy_with_logits(x, target, *, reduction="mean"):
    """``-(t log s(x) + (1 - t) log(1 - s(x)))``, s the sigmoid, without overflow.

    Written as ``t softplus(-x) + (1 - t) softplus(x)``, which is smooth at 0, too.
    """
    _alike("binary_cross_entropy_with_logits", x, target)
    no, yes = (ops.softplus(z, threshold=math.inf) for z in (-x, x))
    loss = target * no + (1.0 - target) * yes
    return _reduce("binary_cross_entropy_with_logits", loss, reduction)


def mse_loss(x, target, *, reduction="mean"):
    """``(x - target)^2``."""
    _alike("mse_loss", x, target)
    d = x - target
    return _reduce("mse_loss", d * d, reduction)


def l1_loss(x, target, *, reduction="mean"):
    """``|x - target|``."""
    _alike("l1_loss", x, target)
    return _reduce("l1_loss", ops.abs(x - target), reduction)


def huber_loss(x, target, *, reduction="mean", delta=1.0):
    """``d^2 / 2`` where ``|d| <= delta``, else ``delta (|d| - delta / 2)``.

    d is ``x - target``.

    Source: Huber 1964, "Robust Estimation of a Location Parameter".
    """
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be > 0; got {delta}")
    _alike("huber_loss", x, target)
    d = ops.abs(x - target)
    near = ops.clip(d, max=delta)  # one formula for both sides of the joint
    return _reduce("huber_loss", near * (d - near * 0.5), reduction)
