"""Shift, the Walsh-Hadamard transform and sequency, again in plain loops."""

import math

import numpy as np


def shift(x, dy, dx):
    """Each pixel fetched from where it came, zero from outside."""
    y, channels = np.zeros(x.shape), x.shape[1]
    down, right = (
        [int(v) for v in d] if np.ndim(d) else [int(d)] * channels for d in (dy, dx)
    )
    for n, c, i, j in np.ndindex(*x.shape):
        p, q = i - down[c], j - right[c]
        if 0 <= p < x.shape[2] and 0 <= q < x.shape[3]:
            y[n, c, i, j] = x[n, c, p, q]
    return y


def fwht(x):
    """Signs by the parity of the bits that two indices share."""
    y, n = np.zeros(x.shape), x.shape[-1]
    for *row, i in np.ndindex(*x.shape):
        signs = ((-1) ** bin(i & j).count("1") for j in range(n))
        y[*row, i] = math.fsum(s * x[*row, j] for j, s in enumerate(signs))
    return y


def _through(x, p, s, g, b, e):
    """``<e, y>`` of Fastfood term by term, for one row and block, as a list of factors.

    Each term is (x, b, g, s and e at their places, the sign).
    """
    d = len(p)
    for i, k, j in np.ndindex(d, d, len(x)):
        shared = bin(i & k).count("1") + bin(p[k] & j).count("1")
        yield (j, j, k, i, i), (x[j], b[j], g[k], s[i], e[i]), (-1) ** shared


def _fastfood_by(which, shape, x, e, s, g, b, p):
    """The derivative of ``<e, y>`` by one of x, b, g, s and e; left out, it is 1."""
    y = np.zeros(shape)
    for row in np.ndindex(*(x if e is None else e).shape[:-1]):
        for k in range(len(p)):
            ones, part = np.ones(p.shape[1]), slice(k * p.shape[1], None)
            up = ones if e is None else e[row][part]
            down = np.ones(shape[-1]) if x is None else x[row]
            diagonals = (ones if a is None else a[k] for a in (s, g, b))
            for places, factors, sign in _through(down, p[k], *diagonals, up):
                i = places["xbgse".index(which)]
                value = sign * math.prod(factors)
                if which == "x":
                    y[(*row, i)] += value
                elif which == "e":
                    y[(*row, k * p.shape[1] + i)] += value
                else:
                    y[k, i] += value
    return y


def fastfood(x, s, g, b, p):
    return _fastfood_by("e", (*x.shape[:-1], p.size), x, None, s, g, b, p)


def fastfood_input(e, s, g, b, p, width):
    return _fastfood_by("x", (*e.shape[:-1], width), None, e, s, g, b, p)


def fastfood_s(x, e, g, b, p):
    return _fastfood_by("s", p.shape, x, e, None, g, b, p)


def fastfood_g(x, e, s, b, p):
    return _fastfood_by("g", p.shape, x, e, s, None, b, p)


def fastfood_b(x, e, s, g, p):
    return _fastfood_by("b", p.shape, x, e, s, g, None, p)


def sign_changes(i, n):
    """How often row i of the natural Hadamard matrix of size n changes its sign."""
    odd = [bin(i & j).count("1") % 2 for j in range(n)]
    return sum(a != b for a, b in zip(odd, odd[1:]))


def to_sequency(x):
    """What belongs to the row with i sign changes goes to place i."""
    y, n = np.zeros(x.shape), x.shape[-1]
    for i in range(n):
        y[..., sign_changes(i, n)] = x[..., i]
    return y


def from_sequency(x):
    y, n = np.zeros(x.shape), x.shape[-1]
    for i in range(n):
        y[..., i] = x[..., sign_changes(i, n)]
    return y
