"""Optimiser updates: one pass over a parameter and its state, all changed in place.

``p`` is the parameter, ``g`` its gradient (left as it is), other arrays are state of
the same shape, None where a rule is used without it; options are Python floats.
The references spell out the formulas; loops and CUDA bodies do the same arithmetic in
the same order without temporary arrays. The loops run on one core: memory limits them,
and starting threads costs more than it gains below some ten million elements.
"""

import numpy as np

from ..backend import xp_of
from ._cuda import Elementwise
from ._dispatch import Kernel, jit

# Vectorised loops need NumPy's division: Python's would have to look for zeros.
numpy_errors = dict(error_model="numpy")


def _in_place(loop, reference, states):
    """``loop`` on flat views of p, g and ``states`` arrays; only g may be copied."""

    def cpu(*args):
        flat = []
        for a in args[: states + 2]:
            if a is not None and not a.flags.c_contiguous:
                if a is not args[1]:
                    return reference(*args)  # a copy would take the update in vain
                a = np.ascontiguousarray(a)
            flat.append(a if a is None else a.reshape(-1))
        return loop(*flat, *args[states + 2 :])

    return cpu


def _device(kernel, states, args, *extra):
    """Run a CUDA body; ``args`` are p, g, ``states`` states and options as in a call.

    For a state that is None p stands in: the body then gives it back as it was.
    """
    p, g, state = args[0], args[1], args[2 : states + 2]
    state = [p if a is None else a for a in state]
    kernel(g, *args[states + 2 :], *extra, p, *state)


def sgd_reference(p, g, buf, lr, momentum, kept, weight_decay, nesterov):
    """``d = g + weight_decay p``; ``buf = momentum buf + kept d``; ``p -= lr step``.

    The step is buf, or ``d + momentum buf`` if nesterov is 1.0.
    """
    d = g + weight_decay * p if weight_decay else g
    if buf is not None:
        buf *= momentum
        buf += kept * d
        d = d + momentum * buf if nesterov else buf
    p -= lr * d


@jit(**numpy_errors)
def _sgd_loop(p, g, buf, lr, momentum, kept, weight_decay, nesterov):
    real = p.dtype.type
    rate, mu, part, decay = real(lr), real(momentum), real(kept), real(weight_decay)
    for i in range(p.size):
        d = g[i]
        if decay != 0:
            d += decay * p[i]
        if buf is not None:
            b = mu * buf[i] + part * d
            buf[i] = b
            d = d + mu * b if nesterov != 0 else b
        p[i] -= rate * d


_sgd = Elementwise(
    "T g, T lr, T momentum, T kept, T weight_decay, T nesterov",
    "T p, T buf",
    """
    T d = weight_decay != 0 ? g + weight_decay * p : g;
    buf = momentum != 0 ? momentum * buf + kept * d : buf;
    T step = nesterov != 0 ? d + momentum * buf : buf;
    p = p - lr * (momentum != 0 ? step : d);
    """,
    "minidl_sgd",
)


def sgd_cuda(*args):
    _device(_sgd, 1, args)


def rmsprop_reference(p, g, square, mean, buf, lr, alpha, eps, weight_decay, momentum):
    """``square = alpha square + (1 - alpha) d^2``;
    ``p -= lr d / (sqrt(square) + eps)``.

    With mean, the same average of d, the variance ``max(square - mean^2, 0)`` takes the
    place of square; with buf the step is ``buf = momentum buf + d / (...)``.
    """
    xp = xp_of(p, g)
    d = g + weight_decay * p if weight_decay else g
    square *= alpha
    square += (1 - alpha) * (d * d)
    spread = square
    if mean is not None:
        mean += (1 - alpha) * (d - mean)
        spread = xp.maximum(square - mean * mean, 0.0)
    d = d / (xp.sqrt(spread) + eps)
    if buf is not None:
        buf *= momentum
        buf += d
        d = buf
    p -= lr * d


@jit(**numpy_errors)
def _rmsprop_loop(p, g, square, mean, buf, lr, alpha, eps, weight_decay, momentum):
    real = p.dtype.type
    rate, decay, mu, tiny = real(lr), real(weight_decay), real(momentum), real(eps)
    keep, part, zero = real(alpha), real(1 - alpha), real(0)
    for i in range(p.size):
        d = g[i]
        if decay != 0:
            d += decay * p[i]
        s = keep * square[i] + part * (d * d)
        square[i] = s
        if mean is not None:
            m = mean[i] + part * (d - mean[i])
            mean[i] = m
            s = s - m * m
            s = zero if s < zero else s
        d = d / (np.sqrt(s) + tiny)
        if buf is not None:
            d = mu * buf[i] + d
            buf[i] = d
        p[i] -= rate * d


_rmsprop = Elementwise(
    "T g, T lr, T alpha, T eps, T weight_decay, T momentum, T part, bool centered",
    "T p, T square, T mean, T buf",
    """
    T d = weight_decay != 0 ? g + weight_decay * p : g;
    square = alpha * square + part * (d * d);
    mean = centered ? mean + part * (d - mean) : mean;
    T s = centered ? square - mean * mean : square;
    T step = d / (sqrt(s < 0 ? 0 * s : s) + eps);
    buf = momentum != 0 ? momentum * buf + step : buf;
    p = p - lr * (momentum != 0 ? buf : step);
    """,
    "minidl_rmsprop",
)


def rmsprop_cuda(*args):
    _device(_rmsprop, 3, args, 1 - args[6], args[3] is not None)


def adam_reference(
    p, g, mean, square, rate, root, beta1, beta2, eps, weight_decay, shrink
):
    """``p = shrink p - rate mean / (sqrt(square) / root + eps)``.

    ``mean = beta1 mean + (1 - beta1) d``, ``square = beta2 square + (1 - beta2) d^2``,
    ``d = g + weight_decay p``; rate and root carry the bias corrections,
    ``lr / (1 - beta1^t)`` and ``sqrt(1 - beta2^t)``.
    """
    d = g + weight_decay * p if weight_decay else g
    mean += (1 - beta1) * (d - mean)
    square *= beta2
    square += (1 - beta2) * (d * d)
    p *= shrink
    p -= rate * (mean / (xp_of(p, g).sqrt(square) / root + eps))


@jit(**numpy_errors)
def _adam_loop(p, g, mean, square, rate, root, beta1, beta2, eps, weight_decay, shrink):
    real = p.dtype.type
    step, correction, tiny = real(rate), real(root), real(eps)
    part, keep, share = real(1 - beta1), real(beta2), real(1 - beta2)
    decay, scale = real(weight_decay), real(shrink)
    for i in range(p.size):
        d = g[i]
        if decay != 0:
            d += decay * p[i]
        m = mean[i] + part * (d - mean[i])
        s = keep * square[i] + share * (d * d)
        mean[i], square[i] = m, s
        p[i] = scale * p[i] - step * (m / (np.sqrt(s) / correction + tiny))


_adam = Elementwise(
    "T g, T rate, T root, T beta1, T beta2, T eps, T weight_decay, T shrink, "
    "T part, T share",
    "T p, T mean, T square",
    """
    T d = weight_decay != 0 ? g + weight_decay * p : g;
    mean = mean + part * (d - mean);
    square = beta2 * square + share * (d * d);
    p = shrink * p - rate * (mean / (sqrt(square) / root + eps));
    """,
    "minidl_adam",
)


def adam_cuda(*args):
    _device(_adam, 2, args, 1 - args[6], 1 - args[7])


def average_reference(p, g, part):
    """``p += part (g - p)``: p moves towards g."""
    p += part * (g - p)


@jit(**numpy_errors)
def _average_loop(p, g, part):
    share = p.dtype.type(part)
    for i in range(p.size):
        p[i] += share * (g[i] - p[i])


_average = Elementwise(
    "T g, T part", "T p", "p = p + part * (g - p)", "minidl_average"
)


def average_cuda(*args):
    _device(_average, 0, args)


sgd = Kernel(sgd_reference, _in_place(_sgd_loop, sgd_reference, 1), sgd_cuda)
rmsprop = Kernel(
    rmsprop_reference, _in_place(_rmsprop_loop, rmsprop_reference, 3), rmsprop_cuda
)
adam = Kernel(adam_reference, _in_place(_adam_loop, adam_reference, 2), adam_cuda)
average = Kernel(
    average_reference, _in_place(_average_loop, average_reference, 0), average_cuda
)
