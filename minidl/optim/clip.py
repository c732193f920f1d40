"""Limits on gradients, applied in place between backward and step."""

import math
from collections.abc import Iterable

import numpy as np

from .. import backend
from ..errors import ArgumentError, GradError
from ..tensor import Tensor


def _gradients(params) -> list:
    """Arrays of the gradients, each the parameter's own: none in a graph, no views."""
    params = [params] if isinstance(params, Tensor) else list(params)
    found = [p for p in params if p.grad is not None]
    for p in found:
        if p.grad.node is not None or p.grad.data.base is not None:
            p.grad = Tensor(p.grad.data.copy())
    return [p.grad.data for p in found]


@np.errstate(over="ignore", invalid="ignore")
def clip_grad_norm_(
    params: Iterable[Tensor], max_norm: float, *, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients by ``min(1, max_norm / (norm + 1e-6))``; return the norm.

    The norm is the Euclidean one of all gradients as one vector; if it is inf or NaN,
    gradients become 0 or NaN. Only ``error_if_nonfinite`` waits for the GPU.

    Raises: ArgumentError unless max_norm >= 0; GradError, if asked for, where the norm
    is inf or NaN, with the gradients untouched.
    Source: Pascanu, Mikolov and Bengio 2013, "On the Difficulty of Training Recurrent
    Neural Networks", algorithm 1.
    """
    if not max_norm >= 0:
        raise ArgumentError(f"clip_grad_norm_: max_norm must be >= 0; got {max_norm}")
    gradients = _gradients(params)
    if not gradients:
        return Tensor(backend.asarray(0.0, "float32"))
    xp = backend.xp_of(*gradients)
    norms = xp.stack([xp.linalg.norm(g.reshape(-1)) for g in gradients])
    total = xp.linalg.norm(norms)
    if error_if_nonfinite and not math.isfinite(total):
        raise GradError(f"clip_grad_norm_: norm must be finite; got {float(total)}")
    scale = xp.minimum(max_norm / (total + 1e-6), 1.0)
    for g in gradients:
        g *= scale.astype(g.dtype)
    return Tensor(xp.asarray(total))


def clip_grad_value_(params: Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of the gradients to [-clip_value, clip_value].

    Raises: ArgumentError unless clip_value >= 0.
    """
    if not clip_value >= 0:
        raise ArgumentError(
            f"clip_grad_value_: clip_value must be >= 0; got {clip_value}"
        )
    for g in _gradients(params):
        backend.xp_of(g).clip(g, -clip_value, clip_value, out=g)
