"""What batch normalisation and cross-entropy compute, said in plain Python."""

import itertools
import math

import numpy as np


def channels(x):
    """[the index of every value of channel c] for each c."""
    found = [[] for _ in range(x.shape[1])]
    for index in np.ndindex(*x.shape):
        found[index[1]].append(index)
    return found


def standardised(x, eps):
    """Each value less its channel's mean, over the root of its variance plus eps."""
    y, roots = np.zeros(x.shape), []
    for places in channels(x):
        values = [x[i].item() for i in places]
        n = max(len(values), 1)
        mean = math.fsum(values) / n
        root = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / n + eps)
        for i in places:
            y[i] = (x[i].item() - mean) / root
        roots.append(root)
    return y, roots


def batch_norm(x, weight=None, bias=None, eps=None, relu=False):
    y, _ = standardised(x, eps)
    for c, places in enumerate(channels(x)):
        for i in places:
            y[i] *= 1 if weight is None else weight[c]
            y[i] += 0 if bias is None else bias[c]
            y[i] = 0 if relu and y[i] < 0 else y[i]
    return y


def counted(g, x, weight, bias, eps, relu):
    """``g`` as it comes through a ReLU."""
    y = batch_norm(x, weight, bias, eps)
    h = g.copy()
    for i in np.ndindex(*g.shape):
        h[i] = 0 if relu and y[i] <= 0 else g[i]
    return h


def batch_norm_sums(g, x, weight=None, bias=None, eps=None, relu=False):
    g, (z, _) = counted(g, x, weight, bias, eps, relu), standardised(x, eps)
    return np.array(
        [
            [math.fsum(g[i] for i in places) for places in channels(x)],
            [math.fsum(g[i] * z[i] for i in places) for places in channels(x)],
        ]
    )


def batch_norm_input(g, x, weight=None, bias=None, eps=None, relu=False):
    """The product of ``g`` with the whole Jacobian, entry by entry.

    ``dz_i / dx_j = ((i == j) - 1 / n - z_i z_j / n) / root``.
    """
    g, (z, roots) = counted(g, x, weight, bias, eps, relu), standardised(x, eps)
    y = np.zeros(x.shape)
    for c, places in enumerate(channels(x)):
        n, scale = len(places), 1 if weight is None else weight[c]
        for i, j in itertools.product(places, places):
            entry = ((i == j) - 1 / n - z[i] * z[j] / n) / roots[c]
            y[j] += g[i] * scale * entry
    return y


def channel_affine(x, scale, shift=None, center=None):
    y = np.zeros(x.shape)
    for c, places in enumerate(channels(x)):
        for i in places:
            y[i] = x[i] * scale[c]
            y[i] -= 0 if center is None else center[c] * scale[c]
            y[i] += 0 if shift is None else shift[c]
    return y


def smoothed(x, target, smoothing):
    """(place, logits, probability wanted of each class) of every sample."""
    count = x.shape[1]
    for place in np.ndindex(*target.shape):
        n, *rest = place
        line = [x[(n, c, *rest)].item() for c in range(count)]
        wanted = [
            smoothing / count + (1 - smoothing) * (c == target[place])
            for c in range(count)
        ]
        yield place, line, wanted


def shares(line):
    """The softmax of a list: one over the sum of how much larger the others are."""
    return [1 / math.fsum(map(math.exp, others(line, v))) for v in line]


def others(line, v):
    return [min(u - v, 700.0) for u in line]


def cross_entropy(x, target, label_smoothing=0.0):
    y = np.zeros(target.shape)
    for place, line, wanted in smoothed(x, target, label_smoothing):
        top = max(line)
        rest = math.log(math.fsum(math.exp(v - top) for v in line))
        y[place] = -math.fsum(w * (v - top - rest) for v, w in zip(line, wanted))
    return y


def cross_entropy_input(g, x, target, label_smoothing=0.0):
    y = np.zeros(x.shape)
    for place, line, wanted in smoothed(x, target, label_smoothing):
        n, *rest = place
        for c, (p, w) in enumerate(zip(shares(line), wanted)):
            y[(n, c, *rest)] = g[place] * (p - w)
    return y
