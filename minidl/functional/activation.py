"""Activations, dropout and normalisation, in torch's signatures."""

import math

import numpy as np

from .. import ops, random
from ..backend import asarray
from ..errors import ArgumentError, DtypeError, ShapeError
from ..kernels import channel_moments
from ..ops._geometry import axes
from ..tensor import Tensor
from .basic import mean


def gelu(x, approximate="none"):
    """``x Phi(x)``, Phi the normal distribution function; "tanh" approximates it.

    Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2.
    """
    if approximate == "none":
        return x * 0.5 * (1.0 + ops.erf(x * math.sqrt(0.5)))
    if approximate == "tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        return x * 0.5 * (1.0 + ops.tanh(inner))
    raise ArgumentError(
        f"gelu: approximate must be 'none' or 'tanh'; got {approximate!r}"
    )


def _floats(where, x):
    if x.dtype.kind != "f":
        raise DtypeError(f"{where}: input must be float32 or float64; got {x.dtype}")


def elu(x, alpha=1.0):
    """``x`` where positive, else ``alpha (exp(x) - 1)``.

    Source: Clevert, Unterthiner and Hochreiter 2015, "Fast and Accurate Deep Network
    Learning by Exponential Linear Units", equation 15.
    """
    _floats("elu", x)
    positive = x > 0
    # exp(x) - 1 = 2 t / (1 - t), t = tanh(x / 2): nothing cancels near 0.
    t = ops.tanh(ops.where(positive, 0.0, x) * 0.5)
    return ops.where(positive, x, t * (2.0 * alpha) / (1.0 - t))


def relu6(x):
    """``min(max(x, 0), 6)``; the derivative at 0 and 6 is 0.

    Source: Krizhevsky 2010, "Convolutional Deep Belief Networks on CIFAR-10".
    """
    _floats("relu6", x)
    bounded = ops.clip(x.detach(), min=0.0, max=6.0)
    return ops.where((x > 0) * (x < 6), x, bounded)


def dropout(x, p=0.5, training=True, *, mask=None):
    """``x * mask / (1 - p)`` in training, else ``x``.

    ``mask`` (bool, the shape of x) says what is kept; without one it is drawn from
    minidl's generator, each element kept with probability ``1 - p``.

    Source: Srivastava et al. 2014, "Dropout", with the scaling moved to training time.
    """
    if not 0 <= p <= 1:
        raise ArgumentError(f"dropout: p must be in [0, 1]; got {p}")
    if mask is not None and (mask.dtype.kind != "b" or mask.shape != x.shape):
        raise ShapeError(
            f"dropout: mask must be bool{x.shape}; got {mask.dtype}{tuple(mask.shape)}"
        )
    if not training or (p == 0 and mask is None):
        return x
    if p == 1:
        return x * 0.0
    if mask is None:
        keep = random.generator().random(x.shape, dtype="float32") >= p
        mask = Tensor(asarray(keep, None, x.device))
    return x * (1.0 / (1.0 - p)) * mask


def batch_norm(
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    *,
    relu=False,
):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel of (N, C, ...).

    In training the mean and (biased) variance are those of the batch, and the running
    ones, if given, move by ``momentum`` towards them (towards the unbiased variance),
    in place; otherwise the running ones are used. ``relu`` takes `relu` of the result,
    which costs less than to take it afterwards.

    Raises: ShapeError, also where a batch has one value per channel.
    Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithm 1.
    """
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: input must be (N, C, ...); got {x.shape}")
    channels = x.shape[1]
    for name, t in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if t is not None:
            _check_affine("batch_norm", name, t, (channels,), x.dtype)
    if (running_mean is None) != (running_var is None):
        raise ArgumentError(
            "batch_norm: running_mean and running_var go together; got one of them"
        )
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError(
                "batch_norm: running_mean and running_var must be given "
                "when not training"
            )
        scale = (1.0 if weight is None else weight) / ops.sqrt(running_var + eps)
        y = ops.channel_affine(x, scale, bias, running_mean)
        return ops.relu(y) if relu else y
    n = x.numel() // max(channels, 1)
    if n < 2:
        raise ShapeError(
            f"batch_norm: training needs more than 1 value per channel; got {x.shape}"
        )
    stats = channel_moments(x.data)
    if running_mean is not None:
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ArgumentError(
                f"batch_norm: momentum must be a number in [0, 1]; got {momentum!r}"
            )
        _move(running_mean, stats[0], momentum)
        _move(running_var, stats[2], momentum, n / (n - 1))
    return ops.batch_norm(x, weight, bias, stats, eps=eps, relu=relu)


def _check_affine(where, name, t, shape, dtype):
    if t.shape != shape:
        raise ShapeError(f"{where}: {name} must be {shape}; got {t.shape}")
    if t.dtype != dtype:
        raise DtypeError(
            f"{where}: input and {name} must have one dtype; got {dtype} and "
            f"{t.dtype}; use .to(dtype)"
        )


def _move(running, batch, momentum, scale=1.0):
    running.data *= 1 - momentum
    running.data += (momentum * scale) * batch


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last axes.

    Source: Ba, Kiros and Hinton 2016, "Layer Normalization", equation 4.
    """
    shape = (
        (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
    )
    shape = tuple(shape)
    if not shape or x.shape[x.ndim - len(shape) :] != shape:
        raise ShapeError(f"layer_norm: input must end in {shape}; got {x.shape}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None:
            _check_affine("layer_norm", name, t, shape, x.dtype)
    over = tuple(range(x.ndim - len(shape), x.ndim))
    d = x - mean(x, over, True)
    y = d / ops.sqrt(mean(d * d, over, True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def normalize(x, p=2.0, dim=1, eps=1e-12):
    """``x / max(norm, eps)``, the ``p``-norm taken along ``dim``; p >= 1 and finite."""
    if not 1 <= p < math.inf:
        raise ArgumentError(f"normalize: p must be >= 1 and finite; got {p}")
    dim = axes("normalize", dim, x.ndim)
    powered = x * x if p == 2 else ops.abs(x) ** p
    least = max(eps**p, float(np.finfo(x.dtype).tiny))  # not rounded to 0 in float32
    total = ops.clip(ops.sum(powered, dim=dim, keepdim=True), min=least)
    return x / (ops.sqrt(total) if p == 2 else total ** (1.0 / p))
